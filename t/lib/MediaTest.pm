package MediaTest;

# What the suites of t/ share: the gateway's configuration against the running
# servers (`make up`, .run/env), accounts, tokens, and media made without a worker.
#
#   use lib 't/lib';
#   use Test::Nginx::Socket 'no_plan';
#   use MediaTest;
#
# A block without http_config, main_config and config gets the shipped
# configuration. Every block without one gets no_error_log [alert] [crit]
# [emerg].

use v5.30;
use warnings;

use Cwd qw(abs_path);
use Digest::SHA qw(hmac_sha256 sha256_hex);
use Exporter 'import';
use File::Basename qw(dirname);
use File::Temp ();
use IPC::Open3 qw(open3);
use JSON::PP ();
use MIME::Base64 qw(encode_base64 encode_base64url);
use Test::Nginx::Socket ();

our @EXPORT = qw(in_sections user token bearer sign sql media s3_ask s3_curl s3_put http secret_file file_of media_main media_http
    media_server media_routes);

# Makes functions (name => code) known to the eval filter of sections, which runs in a package of its own.
sub in_sections {
    my %code = @_;
    no strict 'refs';
    *{"Test::Base::Filter::$_"} = $code{$_} for keys %code;
    return;
}

my $root = abs_path(dirname(__FILE__) . '/../..');
my $secrets = $ENV{MEDIA_SECRETS} // dirname($ENV{PGPASSFILE} // '');

{ no strict 'refs'; in_sections(map { $_ => \&{$_} } @EXPORT) }

if (!$ENV{PGPORT} || !-r "$secrets/jwt-key") {
    Test::Nginx::Socket::bail_out("no running system: make up, then source .run/env");
}

$ENV{TEST_NGINX_MEDIA_CONF} = "$root/conf/media.conf";
Test::Nginx::Socket::log_level('info');
Test::Nginx::Socket::no_long_string();
Test::Nginx::Socket::no_root_location();
Test::Nginx::Socket::add_block_preprocessor(sub {
    my $block = shift;
    $block->set_value(main_config => media_main()) unless defined $block->main_config;
    $block->set_value(http_config => media_http()) unless defined $block->http_config;
    $block->set_value(config => media_server()) unless defined $block->config;
    if (!defined $block->no_error_log && !defined $block->error_log && !defined $block->must_die) {
        $block->set_value(no_error_log => "[alert]\n[crit]\n[emerg]\n");
    }
});

# ---- configuration ----

sub secret_file { return "$secrets/$_[0]" }

# main{}; the arguments are more lines of it
sub media_main {
    return join "\n",
        "env PGPASSFILE=$secrets/pgpass-media_gateway;",
        (map { "env $_;" } qw(AMQP_URL AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN
            MEDIA_S3_OUTPUT_ACCESS_KEY_ID MEDIA_S3_OUTPUT_SECRET_ACCESS_KEY)),
        'thread_pool media_login threads=4;', @_, '';
}

# http{}; name => value replaces or adds a directive, undef takes it out; cache, rate, download_key: values of
# those $media_ variables; cache_size; s3, s3_output: endpoints
sub media_http {
    my %given = @_;
    my $cache = delete $given{cache} // 'media_objects';
    my $cache_size = delete $given{cache_size} // '256m';
    my $rate = delete $given{rate} // 0;
    my $download_key = delete $given{download_key} // '';
    my $s3 = delete $given{s3} // $ENV{AWS_ENDPOINT_URL};
    my $pg = delete $given{pg} // $ENV{PGPORT};
    my %upstream = (media_s3 => $s3);
    my $bucket = $ENV{MEDIA_S3_BUCKET} // 'media';
    my $output = $ENV{MEDIA_S3_OUTPUT_BUCKET} // $bucket;
    if (my $url = delete $given{s3_output}) {
        $given{media_s3_output_endpoint} = $upstream{media_s3_output} = $url;
    }
    my %directive = (
        media_pg => qq{"host=127.0.0.1 port=$pg dbname=media user=media_gateway"},
        media_s3_endpoint => $s3,
        media_s3_bucket => $bucket,
        ($output ne $bucket ? (media_s3_output_bucket => $output) : ()),
        media_auth_key => "HS256 $secrets/jwt-key",
        media_play_key => "$secrets/play-key",
        media_login_pool => 'media_login',
        %given,
    );
    return join "\n",
        (map { "$_ $directive{$_};" } grep { defined $directive{$_} } sort keys %directive),
        (map { "upstream $_ { server " . $upstream{$_} =~ s{^https?://([^/]+).*}{$1}r . '; keepalive 8; }' } sort keys %upstream),
        "proxy_cache_path cache levels=1:2 keys_zone=media_objects:1m max_size=$cache_size use_temp_path=off;",
        qq(map "" \$media_cache { default $cache; }),
        qq(map "" \$media_rate { default $rate; }),
        qq(map "" \$media_download_key { default "$download_key"; }),
        "include $root/conf/media-download.conf;", '';
}

# server{}: the shipped routes; the arguments are more lines of it
sub media_server { return join "\n", (map {"include $root/conf/$_.conf;"} qw(media media-metrics)), @_, '' }

# The same with other values of some of its directives, each where it stands first
sub media_routes {
    my %given = @_;
    my $text = slurp("$root/conf/media.conf");
    for my $name (sort keys %given) {
        $text =~ s/^(\s*\Q$name\E) [^;]*;/$1 $given{$name};/m or die "no $name in media.conf";
    }
    return "$text\ninclude $root/conf/media-metrics.conf;\n";
}

# ---- the outside ----

# A file with these bytes that is gone with its last reference
sub file_of {
    my ($bytes) = @_;
    my $file = File::Temp->new;
    binmode $file;
    print {$file} $bytes;
    close $file;
    return $file;
}

# Runs a program with text on its stdin, returns its stdout; dies when it fails.
sub run {
    my ($input, @command) = @_;
    my $in = file_of($input);
    open my $stdin, '<', $in->filename or die $!;
    my $pid = open3('<&' . fileno $stdin, my $out, undef, @command);
    my $text = do { local $/; <$out> } // '';
    waitpid $pid, 0;
    die "$command[0] failed: $text" if $?;
    return $text;
}

# SQL as the owner of the schema, values unaligned
sub sql {
    local $ENV{PGUSER} = 'media_owner';
    my $text = run("SET search_path = media;\n$_[0]", qw(psql -X -q -A -t -v ON_ERROR_STOP=1 -f -));
    chomp $text;
    return $text;
}

# A request for an object by the test's own keys; more arguments are options of curl
sub s3_curl {
    my ($key, @options) = @_;
    my $bucket = $ENV{MEDIA_S3_BUCKET} // 'media';
    $bucket = $ENV{MEDIA_S3_OUTPUT_BUCKET} // $bucket if $key !~ m{original(?:$|&)};
    return s3_ask("$ENV{AWS_ENDPOINT_URL}/$bucket/$key", @options);
}

sub s3_ask {
    my ($url, @options) = @_;
    my $region = $ENV{AWS_REGION} // 'us-east-1';
    return run(qq{user = "$ENV{AWS_ACCESS_KEY_ID}:$ENV{AWS_SECRET_ACCESS_KEY}"\n},
        qw(curl -sS -K - --max-time 60 -H), 'x-amz-content-sha256: UNSIGNED-PAYLOAD', '--aws-sigv4', "aws:amz:$region:s3",
        @options, $url);
}

sub s3_put {
    my ($key, $bytes) = @_;
    my $file = file_of($bytes);
    my $head = s3_curl($key, qw(-f -D - -o /dev/null -T), $file->filename);
    return $head =~ /^etag: "([^"]+)"/mi ? $1 : die "no ETag: $head";
}

# ---- accounts and tokens ----

my %users;

# {id, email, password} of an account of this test file, made on first use
sub user {
    my ($name, @roles) = @_;
    return $users{$name} //= do {
        my $email = "$name.$$.$^T\@example.org";
        my $password = "pass-$name-$$";
        run("$password\n", qw(mediactl user add), $email, (map { ('--role', $_) } @roles), '--password-stdin');
        { email => $email, password => $password, id => sql("SELECT id FROM users WHERE email = '$email'") };
    };
}

sub slurp {
    open my $file, '<:raw', $_[0] or die "$_[0]: $!";
    local $/;
    return <$file> =~ s/\n\z//r;
}

# A compact JWS over the given header and claims
sub sign {
    my ($header, $claims, $key) = @_;
    my $json = JSON::PP->new->canonical;
    my $input = join '.', map { encode_base64url($json->encode($_)) } $header, $claims;
    return "$input." . encode_base64url(hmac_sha256($input, $key // slurp("$secrets/jwt-key")));
}

# An access token of a user; claims may be overridden, undef takes one out
sub token {
    my ($name, %claims) = @_;
    my $user = user($name);
    my $now = time;
    my %all = (
        sub => $user->{id}, email => $user->{email}, roles => ['user'], iat => $now, nbf => $now,
        exp => $now + 600, iss => 'ngx_media', aud => 'ngx_media', jti => "t-$now", %claims,
    );
    delete @all{ grep { !defined $all{$_} } keys %all };
    return sign({ alg => 'HS256', typ => 'JWT' }, \%all);
}

sub bearer { return 'Authorization: Bearer ' . token(@_) . "\n" }

# ---- media without a worker ----

# A row of `user` with its original and outputs {name => [type, bytes]} in S3. Its one job waits for a step
# that does not exist, so no worker takes it. Returns the id.
sub media {
    my ($user, %m) = @_;
    my $owner = user($user)->{id};
    my ($id, $job) = split /\|/, sql('SELECT uuid7(), uuid7()');
    my $state = $m{state} // 'ready';
    my $name = $m{name} // 'clip.mp4';
    my $error = $state eq 'failed' ? "'no_audio', 'the video has no sound'" : 'NULL, NULL';
    my $original = object("media/$id/original", $m{bytes} // 'the original');
    my $text = "INSERT INTO media (id, owner_id, name, content_type, size_bytes, sha256, etag, object_key,"
        . " pipeline, state, error_code, error_detail) VALUES ('$id', '$owner', '$name', '"
        . ($m{type} // 'video/mp4') . "', $original->{columns}, 'audio', '$state', $error);\n"
        . "INSERT INTO objects (object_key, media_id, state) VALUES ('$original->{key}', '$id', 'live');\n"
        . "INSERT INTO jobs (id, media_id, owner_id, pipeline, step, queue, depends_on)"
        . " VALUES ('$job', '$id', '$owner', 'audio', 'audio', 'long', '{never}');\n";
    for my $output (sort keys %{ $m{outputs} // {} }) {
        my ($type, $bytes) = @{ $m{outputs}{$output} };
        my $o = object("media/$id/$job/1/$output", $bytes);
        $text .= "INSERT INTO outputs (media_id, name, job_id, kind, content_type, size_bytes, sha256, etag,"
            . " object_key, duration) VALUES ('$id', '$output', '$job', 'audio', '$type', $o->{columns}, "
            . ($m{duration} // 'NULL') . ");\n"
            . "INSERT INTO objects (object_key, media_id, job_id, fence, state)"
            . " VALUES ('$o->{key}', '$id', '$job', 1, 'live');\n";
    }
    sql($text);
    return $id;
}

sub object {
    my ($key, $bytes) = @_;
    my $etag = s3_put($key, $bytes);
    my $columns = length($bytes) . ", '" . sha256_hex($bytes) . "', '$etag', '$key'";
    return { key => $key, columns => $columns };
}

# A request as Test::Nginx sends it raw: method and target, header lines, body
sub http {
    my ($line, $headers, $body) = @_;
    $headers =~ s/(?<!\r)\n/\r\n/g;
    return "$line HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n" . ($body // '');
}

1;
