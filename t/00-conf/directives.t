# What `nginx -t` says to the values of each directive, with file and line; and to a configuration that lacks
# something as a whole.

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaNginx;
use MediaUpload;
use File::Temp ();

my $dir = File::Temp->newdir;
my $routes = upload_server();

sub file {
    my ($name, $text) = @_;
    MediaNginx::spew("$dir/$name", $text);
    return "$dir/$name";
}

my $short = file(short => 'x' x 31);
my $huge = file(huge => 'x' x 65_537);
my $empty = file(empty => '');
my $secret = file(secret => 'k' x 32);
my $amqp = file(amqp => "amqp://user:secret\@127.0.0.1:1/%2F\n");
my $http_url = file(http_url => "http://user:secret\@127.0.0.1/\n");
my $rsa = MediaTest::run('', qw(openssl genrsa 2048));
my $private = file(private => $rsa);
my $public = file(public => MediaTest::run($rsa, qw(openssl rsa -pubout)));
my $weak = file(weak => MediaTest::run('', qw(openssl genrsa 1024)));

# A configuration's text, its exit code and what it says
sub check {
    my (%conf) = @_;
    my %http = %{ $conf{http} // {} };
    local %ENV = (%ENV, %{ $conf{env} // {} });
    delete @ENV{ @{ $conf{no_env} // [] } };
    my $server = $conf{no_routes} ? '' : $routes;
    my $text = MediaNginx::conf_text(
        dir => $dir, port => $ENV{TEST_NGINX_PORT} // 1984,
        ($conf{main} ? (main => $conf{main}) : ()),
        http => media_http(%http) . join("\n", @{ $conf{in_http} // [] }, ''),
        server => $server . join("\n", @{ $conf{in_server} // [] }, ''));
    MediaNginx::spew("$dir/nginx.conf", $text);
    return (MediaNginx::config_test("$dir", '-e', "$dir/early.log", '-p', "$dir"), $text);
}

# A faulty line: the message, its file and line. `where`: in_http, in_server, or a directive of http{} that the
# line replaces.
sub refuses {
    my ($where, $line, $message) = @_;
    my ($name) = $line =~ /^(\w+)/;
    my %conf = $where =~ /^in_/ ? ($where => [$line]) : (http => { $where => undef }, in_http => [$line]);
    my ($exit, $said, $text) = check(%conf);
    my @lines = split /\n/, $text;
    my ($n) = grep { $lines[ $_ - 1 ] eq $line } reverse 1 .. @lines;
    my ($got) = $said =~ /^nginx: \[emerg\] (.*)$/m;
    is($exit, 1, "$line - refused") or diag($said);
    my $want = ref $message ? $message : qr/^\Q$message\E$/;
    (my $cause = $got // '') =~ s{ in \Q$dir\E/nginx\.conf:$n$}{} or fail("$line - file and line: $said");
    like($cause, $want, "$line - the cause");
    return;
}

sub wrong { return refuses('in_http', @_) }

sub whole {
    my ($name, $message, %conf) = @_;
    my ($exit, $said) = check(%conf);
    is($exit, 1, "$name - refused") or diag($said);
    like($said, ref $message ? $message : qr/^nginx: \[emerg\] \Q$message\E$/m, "$name - the cause");
    return;
}

sub accepts {
    my ($name, %conf) = @_;
    my ($exit, $said) = check(%conf);
    is($exit, 0, "$name - accepted") or diag($said);
    unlike($said, qr/\[(?:warn|emerg|alert|error)\]/, "$name - without a warning");
    return;
}

sub within { return "location /x { $_[0] }" }

sub warns {
    my ($name, $message, %conf) = @_;
    my ($exit, $said) = check(%conf);
    is($exit, 0, "$name - accepted") or diag($said);
    like($said, qr/^nginx: \[warn\] \Q$message\E/m, "$name - with a warning");
    return;
}

# ---- PostgreSQL ----

refuses('media_pg', 'media_pg "host=127.0.0.1 password=secret";',
    '"media_pg" must not hold a password, use PGPASSFILE or PGPASSWORD in nginx\'s environment');
refuses('media_pg', 'media_pg "host=db.example.org dbname=media";', qr/in "media_pg"$/);
refuses('media_pg', 'media_pg "host=127.0.0.1 nonsense";', qr/^it is not of the form keyword=value/);
refuses('media_pg', 'media_pg "service=media";', qr/^a service file is not supported/);
wrong('media_pg "host=127.0.0.1";', '"media_pg" directive is duplicate');
wrong('media_pg_connections 0;', 'value must be between 1 and 65535');
wrong('media_pg_connections 65536;', 'value must be between 1 and 65535');
wrong('media_pg_connections many;', '"media_pg_connections" directive invalid number');
whole('PGHOST is a name', qr/\[emerg\] "media_pg": /, http => { media_pg => undef }, env => { PGHOST => 'db.example.org' });
accepts('PGHOST is an address', http => { media_pg => undef }, env => { PGHOST => '127.0.0.1' });
accepts('a socket directory', http => { media_pg => '"host=/run/postgresql"' });
accepts('two hosts', http => { media_pg => '"host=127.0.0.1,::1 port=5432,5433"' });

# ---- times, sizes, flags: a value that is none ----

for my $time (qw(media_pg_timeout media_pg_connect_timeout media_amqp_timeout media_s3_connect_timeout
    media_s3_send_timeout media_s3_read_timeout media_s3_idle_timeout media_memory_wait media_auth_leeway media_token_ttl media_refresh_ttl))
{
    wrong("$time soon;", qq{"$time" directive invalid value});
    wrong("$time 1s 2s;", qq{invalid number of arguments in "$time" directive});
    accepts($time, http => { $time => '7s' });
}
for my $size (qw(media_s3_part_size media_s3_single_max media_memory media_min_rate)) {
    wrong("$size big;", qq{"$size" directive invalid value});
}
for my $bucket ('', 'ab', 'A-b', 'a/b', '-ab', 'ab.', 'a' x 64) {
    refuses('media_s3_bucket', qq{media_s3_bucket "$bucket";}, qq{"$bucket" is not the name of a bucket ([a-z0-9.-], 3 to 63)});
}
accepts('media_s3_bucket', http => { media_s3_bucket => 'my.bucket-1' });
refuses('media_auth_realm', qq{media_auth_realm 'a"b';}, '"a"b" cannot stand in quotes in a header');
refuses('media_auth_realm', q{media_auth_realm 'a\\\\b';}, qr{cannot stand in quotes in a header$});
for my $text (qw(media_s3_region media_auth_issuer media_auth_audience media_auth_realm)) {
    accepts($text, http => { $text => 'of-mine' });
    refuses($text, "$text a b;", qq{invalid number of arguments in "$text" directive});
}
for my $once (qw(media_pg_timeout media_s3_region media_s3_bucket media_memory media_token_ttl)) {
    my $value = { media_s3_region => 'a', media_s3_bucket => 'abc', media_memory => '64m' }->{$once} // '5s';
    my ($exit, $said) = check(http => { $once => $value }, in_http => ["$once $value;"]);
    like($said, qr{\[emerg\] "$once" directive is duplicate in \Q$dir\E/nginx\.conf:\d+$}m, "$once - only once");
}

# ---- RabbitMQ ----

wrong("media_amqp_url_file $dir/none;", qr/^open\(\) "\Q$dir\E\/none" failed \(2: No such file or directory\)$/);
wrong("media_amqp_url_file $http_url;", qq{"$http_url" does not hold an amqp:// URL});
wrong("media_amqp_url_file $empty;", qq{"$empty" does not hold an amqp:// URL});
wrong("media_amqp_url_file $huge;", qq{"$huge" has 65537 bytes, at most 65536 are allowed});
accepts('media_amqp_url_file', http => { media_amqp_url_file => $amqp }, no_env => ['AMQP_URL']);
whole('no AMQP URL', qq{"media on" needs "media_amqp_url_file" or AMQP_URL in nginx's environment},
    no_env => ['AMQP_URL']);

# ---- S3 ----

for my $case (
    ['ftp://127.0.0.1', qr/^"ftp:.*" in "media_s3_endpoint" must start with http:\/\/ or https:\/\/$/],
    ['127.0.0.1:9000', qr/must start with http:\/\//],
    ['http://127.0.0.1:9000/bucket', qr{^"http://127.0.0.1:9000/bucket" in "media_s3_endpoint" must be scheme://host\[:port\]$}],
    ['http://', qr{^no host in "http://" of "media_s3_endpoint"$}],
    ['http://127.0.0.1:99999', qr{^invalid port in "http://127.0.0.1:99999"}],
    ['http://no.such.host.invalid', qr{^host not found in "http://no.such.host.invalid"}],
    ['http://key:secret@127.0.0.1', qr{^invalid port in}],
) {
    refuses('media_s3_endpoint', "media_s3_endpoint $case->[0];", $case->[1]);
}
wrong('media_s3_endpoint http://127.0.0.1:1;', '"media_s3_endpoint" directive is duplicate');
accepts('an endpoint with a slash', http => { media_s3_endpoint => 'http://127.0.0.1:9000/' });
accepts('an IPv6 endpoint', http => { media_s3_endpoint => 'http://[::1]:9000' });
accepts('an endpoint nobody can look up, with its addresses',
    http => { media_s3_endpoint => 'http://s3.invalid:9000 address=127.0.0.1 address=::1' });
accepts('an https endpoint', http => { media_s3_endpoint => 'https://127.0.0.1:9000' });
whole('no endpoint', '"media on" needs "media_s3_endpoint"', http => { media_s3_endpoint => undef });

my @keys = qw(AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY);
my $keys = file(keys => "[default]\naws_access_key_id = AK\naws_secret_access_key = s\n[half]\naws_access_key_id = AK\n");
whole("no $_", q{credentials for S3: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set in nginx's environment},
    no_env => [$_]) for @keys;
whole('no credentials', qr{\[emerg\] "media on" needs credentials for S3: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY},
    no_env => \@keys);
for my $case (
    ['AWS_SHARED_CREDENTIALS_FILE', $keys],
    ['AWS_CONTAINER_CREDENTIALS_RELATIVE_URI', '/v2/credentials'],
    ['AWS_CONTAINER_CREDENTIALS_FULL_URI', 'http://127.0.0.1:1/'],
) {
    accepts("$case->[0] in the environment", no_env => \@keys, env => { $case->[0] => $case->[1] });
}
my %web = (AWS_WEB_IDENTITY_TOKEN_FILE => "$dir/none", AWS_ROLE_ARN => 'arn', AWS_ENDPOINT_URL_STS => 'http://127.0.0.1:1');
accepts('a web identity in the environment', no_env => \@keys, env => \%web);
accepts("media_s3_credentials $_->[0]", http => { media_s3_credentials => $_->[0] }, env => $_->[1])
    for ['env', {}], ['imds', {}], ["file $keys", {}], ['web_identity', \%web],
        ['ecs', { AWS_CONTAINER_CREDENTIALS_FULL_URI => 'http://127.0.0.1:1/' }];
wrong('media_s3_credentials ec2;', qr/^unknown source "ec2" in "media_s3_credentials", known are env web_identity ecs file imds $/);
wrong('media_s3_credentials file;', '"media_s3_credentials" directive needs a path: file PATH [PROFILE]');
wrong("media_s3_credentials imds $keys;", '"media_s3_credentials" directive takes a path with "file" only');
wrong("media_s3_credentials file $dir/none;", qq{"$dir/none": it cannot be read});
wrong("media_s3_credentials file $keys half;", qq{"$keys": the profile lacks aws_access_key_id or aws_secret_access_key});
wrong("media_s3_credentials file $keys other;", qq{"$keys": there is no profile "other"});
wrong("media_s3_credentials file $huge;", qq{"$huge": it cannot be read});
whole('a profile of the environment', qr{"\Q$keys\E": there is no profile "other" in \Q$dir\E/nginx.conf:\d+$}m,
    http => { media_s3_credentials => "file $keys" }, env => { AWS_PROFILE => 'other' });
whole('web_identity without its environment',
    q{credentials for S3: AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN must be set in nginx's environment},
    http => { media_s3_credentials => 'web_identity' });
whole('an STS that is no URL', q{credentials for S3: AWS_ENDPOINT_URL_STS is no http:// or https:// URL in nginx's environment},
    http => { media_s3_credentials => 'web_identity' }, env => { %web, AWS_ENDPOINT_URL_STS => 'sts' });
whole('an STS without address', q{credentials for S3: host not found in "no.such.host.invalid"},
    http => { media_s3_credentials => 'web_identity' }, env => { %web, AWS_ENDPOINT_URL_STS => 'http://no.such.host.invalid' });
whole('keys from far away', qr{AWS_CONTAINER_CREDENTIALS_FULL_URI must be https://, or name a loopback},
    http => { media_s3_credentials => 'ecs' }, env => { AWS_CONTAINER_CREDENTIALS_FULL_URI => 'http://192.0.2.1/' });
for my $region ('', 'eu west', 'r' x 64, "eu\xc3\xa9", 'a/b') {
    refuses('media_s3_region', qq{media_s3_region "$region";}, qq{"$region" is not the name of a region ([A-Za-z0-9_-], at most 63)});
}
wrong('media_s3_addressing host;', 'invalid value "host"');
accepts('virtual hosts', http => { media_s3_addressing => 'virtual', media_s3_endpoint => 'https://localhost:9000' });
whole("virtual hosts of $_", qr/"media_s3_addressing virtual" needs a host name in the endpoint, ".*" is an address$/m,
    http => { media_s3_addressing => 'virtual', media_s3_endpoint => $_ }) for 'http://127.0.0.1:9000', 'http://[::1]';
# the output store has the same ones, and what the input store has where they are not written
for my $case (['endpoint', 'ftp://a', qr/^"ftp:.*" in "media_s3_output_endpoint" must start with http/],
    ['endpoint', 'http://127.0.0.1:1/b', qr{^"http://127.0.0.1:1/b" in "media_s3_output_endpoint" must be scheme://host\[:port\]$}],
    ['bucket', 'A', qr/^"A" is not the name of a bucket/], ['region', 'a.b', qr/^"a.b" is not the name of a region/],
    ['addressing', 'host', qr/^invalid value "host"$/], ['credentials', 'ec2', qr/^unknown source "ec2" in "media_s3_output_credentials"/],
    ['credentials', "file $keys other", qr/: there is no profile "other"$/])
{
    refuses('in_http', "media_s3_output_$case->[0] $case->[1];", $case->[2]);
}
accepts("media_s3_output_$_->[0]", http => { "media_s3_output_$_->[0]" => $_->[1] })
    for ['bucket', 'made'], ['region', 'eu-1'], ['credentials', "file $keys"];
accepts('keys of the output store', env => { MEDIA_S3_OUTPUT_ACCESS_KEY_ID => 'a', MEDIA_S3_OUTPUT_SECRET_ACCESS_KEY => 'b' });
whole('half the keys of the output store', qr/credentials for S3: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set in nginx's environment \(with MEDIA_S3_OUTPUT_ for AWS_\)$/m,
    env => { MEDIA_S3_OUTPUT_ACCESS_KEY_ID => 'a' });
whole('a virtual host that is none', qr/"media_s3_addressing virtual" needs a host name in the endpoint, "127.0.0.1" is an address$/m,
    http => { media_s3_output_addressing => 'virtual', media_s3_endpoint => 'http://127.0.0.1:1' });
whole('an output store without the CA', qr/^nginx: \[emerg\] no trusted certificates from "\Q$dir\E\/none"/m, http => { media_s3_output_endpoint => 'https://127.0.0.1',
    media_s3_output_trusted_certificate => "$dir/none" });
for my $upstream ('', 'upstream media_s3_output { server 127.0.0.1:1; }') {
    my ($exit, $said) = check(http => { media_s3_output_endpoint => 'http://127.0.0.1:1' }, in_http => [$upstream]);
    my $warned = $said =~ /\[warn\] "media_s3_output_endpoint" without "upstream media_s3_output"/;
    ok($exit == 0 && !!$warned == !$upstream, 'an output endpoint ' . ($upstream ? 'with' : 'without') . ' its upstream') or diag($said);
}
wrong('media_s3_checksum md5;', 'invalid value "md5"');
whole('a trailer without checksum',
    q{"media_s3_checksum none" needs "media_s3_payload" signed or unsigned: a trailer is a checksum},
    http => { media_s3_checksum => 'none' });
whole('a checksum of an unsigned payload', q{"media_s3_payload unsigned" carries no checksum, "media_s3_checksum" must be none},
    http => { media_s3_checksum => 'sha256', media_s3_payload => 'unsigned' });
wrong('media_s3_sse aes;', '"aes" in "media_s3_sse" is neither off, AES256 nor aws:kms');
wrong('media_s3_sse AES256 key=a;', '"key=a" in "media_s3_sse" is neither key=ID nor bucket_key, which go with aws:kms');
wrong('media_s3_sse aws:kms key=;', qr/^"key=" in "media_s3_sse"/);
accepts("media_s3_sse $_", http => { media_s3_sse => $_ }) for 'off', 'AES256', 'aws:kms', 'aws:kms key=arn:aws:kms:a:1:key/b bucket_key';
for my $prefix ('a', '/', 'a//', '../', 'a/./', 'a b/', 'p' x 256 . '/') {
    refuses('in_server', qq{media_s3_prefix "$prefix";}, $prefix =~ m{/$} ? qr/^"\Q$prefix\E" in "media_s3_prefix" is no prefix of a key: /
        : qq{"$prefix" in "media_s3_prefix" must end in "/"});
}
whole('a variable that is none', qr/unknown "no_such_variable" variable$/m, in_server => ['media_s3_prefix "$no_such_variable/";']);
accepts('media_s3_prefix', in_server => ['media_s3_prefix "tenants/${media_sub}/";']);
accepts('no prefix', in_server => ['media_s3_prefix "";']);

wrong('media_s3_payload none;', 'invalid value "none"');
accepts("media_s3_payload $_", http => { media_s3_payload => $_ }) for qw(trailer signed unsigned);
accepts('unsigned to all of 127/8', http => { media_s3_payload => 'unsigned', media_s3_endpoint => 'http://127.9.9.9' });
accepts('unsigned to ::1', http => { media_s3_payload => 'unsigned', media_s3_endpoint => 'http://[::1]' });
accepts('unsigned over TLS', http => { media_s3_payload => 'unsigned', media_s3_endpoint => 'https://192.0.2.1' });
whole("unsigned to $_->[0]", qq{"media_s3_payload unsigned" over plain http is for loopback only, $_->[1] is not},
    http => { media_s3_payload => 'unsigned', media_s3_endpoint => "http://$_->[0]" })
    for ['192.0.2.1', '192.0.2.1:80'], ['[2001:db8::1]:9', '[2001:db8::1]:9'];

whole('parts of less than 5m', '"media_s3_part_size" is 5242879, it must be between 5m and 1g',
    http => { media_s3_part_size => 5_242_879 });
whole('parts of more than 1g', '"media_s3_part_size" is 1073741825, it must be between 5m and 1g',
    http => { media_s3_part_size => 1_073_741_825, media_memory => '8192m' });
whole('memory for three parts',
    '"media_memory" is 20971519, it must hold at least four times "media_s3_part_size" (5242880)',
    http => { media_s3_part_size => '5m', media_memory => 20_971_519 });
whole('more than S3 takes at once', '"media_s3_single_max" is 5368709121, one request to S3 takes 5g at most',
    http => { media_s3_single_max => 5_368_709_121 });
accepts('media_s3_single_max', http => { media_s3_single_max => '5g' });
accepts('media_s3_single_max 0', http => { media_s3_single_max => 0 });
accepts('media_min_rate 0', http => { media_min_rate => 0 });
wrong("media_s3_connections $_;", 'value must be between 1 and 65535') for 0, 65_536;
accepts('media_s3_connections', http => { media_s3_connections => 1 });
accepts('memory for four parts', http => { media_s3_part_size => '5m', media_memory => '20m' });
wrong('media_s3_keepalive 0;', 'value must be between 1 and 65535');
accepts('media_s3_keepalive', http => { media_s3_keepalive => 1 });

for my $case (['90s', 1], ['60001ms', 1], ['60s', 0], ['1s', 0], ['20s', 0], ['0', 0]) {
    my ($idle, $warns) = @$case;
    my ($exit, $said) = check(http => { media_s3_idle_timeout => $idle });
    is($exit, 0, "media_s3_idle_timeout $idle - accepted");
    my @warnings = $said =~ /(\[warn\] location "[^"]*": "media_s3_idle_timeout" \(\d+ ms\) is longer than "client_body_timeout" \(60000 ms\))/g;
    is(!!@warnings, !!$warns, "media_s3_idle_timeout $idle - " . ($warns ? 'client_body_timeout is the shorter one' : 'no warning')) or diag($said);
}

whole('no trusted certificates', qr{\[emerg\] no trusted certificates from "\Q$dir\E/none"},
    http => { media_s3_endpoint => 'https://127.0.0.1', media_s3_trusted_certificate => "$dir/none" });

# ---- keys ----

wrong("media_auth_key HS224 $secret;", qr/^unknown algorithm "HS224" in "media_auth_key", known are .*HS256.*RS256.*EdDSA/);
wrong("media_auth_key none $secret;", qr/^unknown algorithm "none"/);
wrong("media_auth_key HS256;", 'invalid number of arguments in "media_auth_key" directive');
wrong("media_auth_key HS256 $dir/none;", qr/^open\(\) "\Q$dir\E\/none" failed \(2: /);
wrong("media_auth_key HS256 $short;", qq{"$short": the secret is shorter than 32 bytes});
wrong("media_auth_key HS256 $public;", qq{"$public": the secret of an HMAC key is a PEM text});
wrong("media_auth_key HS256 $empty;", qr/^"\Q$empty\E": the key is empty/);
wrong("media_auth_key HS256 $huge;", qq{"$huge" has 65537 bytes, at most 65536 are allowed});
wrong("media_auth_key RS256 $secret;", qq{"$secret": not an unencrypted PEM public or private key});
wrong("media_auth_key RS256 $weak;", qr/^"\Q$weak\E": the RSA key has 1024 bits/);
wrong("media_auth_key HS384 $secret;", qq{"$secret": the secret is shorter than 48 bytes});
wrong("media_auth_key ES256 $public;", qq{"$public": the key is not an EC key on the curve P-256});
wrong("media_auth_key EdDSA $public;", qq{"$public": the key is not an Ed25519 or Ed448 key});
wrong("media_auth_key HS256 $secret two;", 'invalid parameter "two" in "media_auth_key", it must be kid=...');
wrong("media_auth_key HS256 $secret kid=" . 'k' x 129 . ';', qr/^"\Q$secret\E": the kid is not UTF-8 of at most 128 bytes$/);
wrong("media_play_key $secret;", '"media_play_key" directive is duplicate');
refuses('media_play_key', "media_play_key $short;", qq{"$short": the secret is shorter than 32 bytes});
accepts('several keys, one with an id', in_http => ["media_auth_key HS256 $secret kid=two;", "media_auth_key RS256 $public;"]);
accepts('an RSA key that signs', http => { media_auth_key => "RS256 $private" });
whole('a key that cannot sign', '"media on" needs "media_auth_key" with a key that signs',
    http => { media_auth_key => "RS256 $public" });
whole('no key', '"media on" needs "media_auth_key" with a key that signs', http => { media_auth_key => undef });
whole('no playback key', '"media on" needs "media_play_key"', http => { media_play_key => undef });
SKIP: {
    skip 'root reads every file', 2 if $> == 0;
    chmod 0, $secret;
    wrong("media_auth_key HS256 $secret;", qr/^open\(\) ".*" failed \(13: Permission denied\)$/);
    chmod 0600, $secret;
}

# ---- key sets, tokens, rules ----

my ($exit, $said);
my $set = file('set.jwks', '{"keys":[{"kty":"oct","alg":"HS256","k":"' . 'A' x 43 . '"}]}');
my $no_set = file('no-set.jwks', '{"keys":{}}');
my $empty_set = file('empty.jwks', '{"keys":[]}');
wrong("media_auth_jwks file $dir/none;", qr/^open\(\) "\Q$dir\E\/none" failed \(2: /);
wrong("media_auth_jwks file $no_set;", qq{"$no_set" is no key set: it has no array "keys"});
wrong("media_auth_jwks file $secret;", qr/^"\Q$secret\E" is no key set: not valid JSON/);
wrong("media_auth_jwks files $set;", '"media_auth_jwks" takes "file" and a path, or a URL');
wrong("media_auth_jwks $set;", qq{"$set" must start with http:// or https://, or be "file" and a path});
wrong('media_auth_jwks ftp://127.0.0.1/;', '"ftp://127.0.0.1/" must start with http:// or https://, or be "file" and a path');
wrong('media_auth_jwks http://;', 'no host in "http://"');
wrong('media_auth_jwks http://no.such.host.invalid/;', 'host not found in "http://no.such.host.invalid/"');
wrong('media_auth_jwks http://127.0.0.1:99999/;', 'invalid port in "http://127.0.0.1:99999/"');
wrong("media_auth_jwks file $set again;", 'invalid number of arguments in "media_auth_jwks" directive');
for my $source ("file $set", 'http://127.0.0.1:1/jwks', 'https://127.0.0.1:1/jwks') {
    accepts("media_auth_jwks $source", in_http => ["media_auth_jwks $source;"]);
    my ($exit, $said) = check(in_http => ["media_auth_jwks $source;", "media_auth_jwks $source;"]);
    like($said, qr{\[emerg\] "media_auth_jwks" directive is duplicate in }, "media_auth_jwks $source - only once");
}
accepts('several key sets', in_http => ["media_auth_jwks file $set;", 'media_auth_jwks http://127.0.0.1:1/a;', 'media_auth_jwks http://127.0.0.1:1/b;']);
accepts('media_auth by a key set alone', no_routes => 1, http => { media_auth_key => undef }, in_http => ["media_auth_jwks file $set;"],
    in_server => ['location /x { media_auth on; }']);
warns('a set without a usable key', qq{"$empty_set" holds no key that can verify a token in}, in_http => ["media_auth_jwks file $empty_set;"]);
warns('keys over plain http', '"media_auth_jwks http://192.0.2.1/": whoever is on the way can put in keys of his own, use https',
    in_http => ['media_auth_jwks http://192.0.2.1/;']);
whole('no trusted certificates for keys', qr{\[emerg\] no trusted certificates from "\Q$dir\E/none"},
    in_http => ['media_auth_jwks https://127.0.0.1/;', "media_auth_jwks_trusted_certificate $dir/none;"]);
whole('a retry of less than a second', '"media_auth_jwks_retry" is 999 ms, it must be at least 1s',
    in_http => ["media_auth_jwks file $set;", 'media_auth_jwks_retry 999ms;']);
whole('a refresh sooner than a retry', '"media_auth_jwks_refresh" is 5000 ms, shorter than "media_auth_jwks_retry", 6000 ms',
    in_http => ["media_auth_jwks file $set;", 'media_auth_jwks_retry 6s;', 'media_auth_jwks_refresh 5s;']);

for my $size ('64', '65535', 'much', 'on', '-1') {
    wrong("media_auth_cache $size;", qq{"$size" in "media_auth_cache" is neither "off" nor a size of at least 65536});
}
accepts("media_auth_cache $_", in_http => ["media_auth_cache $_;"]) for qw(off 64k 1024m);
($exit, $said) = check(in_http => ['media_auth_cache off;', 'media_auth_cache 1m;']);
like($said, qr/"media_auth_cache" directive is duplicate in/, 'media_auth_cache - only once');

for my $source ('', 'headers', 'cookie', 'cookie:', 'query:', 'query:a=b', 'query:a&b', 'cookie:a;b', 'query:a b') {
    refuses('in_server', within(qq{media_auth_source header "$source";}),
        qq{"$source" in "media_auth_source" is none of header, cookie:NAME, query:NAME});
}
refuses('in_server', within('media_auth_source header; media_auth_source header;'), '"media_auth_source" directive is duplicate');
accepts('media_auth_source', in_server => [within('media_auth_source header cookie:__Host-s query:access_token query:t;')]);

refuses('in_server', within('media_auth_require roles;'), 'invalid number of arguments in "media_auth_require" directive');
for my $rule ('roles =', 'roles !=', '"" admin') {
    refuses('in_server', within("media_auth_require $rule;"),
        '"media_auth_require" takes a claim, perhaps = or !=, and at least one value');
}
accepts('media_auth_require', in_http => ['media_auth_require roles != guest;'], in_server => ['media_auth_require roles admin operator;',
    within('media_auth on; media_auth_require /a/b = x; media_auth_require level 3;')]);
warns('rules without media_auth', 'location "/x": "media_auth_require" asks nobody without "media_auth"',
    in_server => [within('media_auth_require roles admin;')]);
accepts('rules beside media_auth off, from outside', in_http => ['media_auth_require roles admin;'], in_server => [within('media_auth off;')]);

# ---- threads and shared memory ----

wrong('media_login_pool media_login;', '"media_login_pool" directive is duplicate');
refuses('media_login_pool', 'media_login_pool nowhere;', 'unknown thread pool "nowhere"');
whole('no pool', '"media on" needs "media_login_pool" (and the "thread_pool" of that name)',
    http => { media_login_pool => undef });
for my $zone (qw(media_shm_size media_revoked_size)) {
    wrong("$zone 1k;", qr/^"1k" in "$zone" is not a size of at least \d+$/);
    wrong("$zone large;", qr/^"large" in "$zone" is not a size/);
    accepts($zone, http => { $zone => '1m' });
    my ($exit, $said) = check(http => { $zone => '1m' }, in_http => ["$zone 1m;"]);
    like($said, qr/"$zone" directive is duplicate in .*nginx\.conf:\d+$/m, "$zone - only once");
}
for my $ttl ('0', '86401s') {
    wrong("media_token_ttl $ttl;", '"media_token_ttl" is ' . ($ttl =~ s/s//r) . 's, it must be between 1s and 24h');
}
accepts('media_token_ttl', http => { media_token_ttl => '24h' });

# ---- locations ----

for my $flag (qw(media media_problem media_metrics)) {
    refuses('in_server', within("$flag perhaps;"), qq{invalid value "perhaps" in "$flag" directive, it must be "on" or "off"});
    refuses('in_server', within("$flag on; $flag on;"), qq{"$flag" directive is duplicate});
    accepts("$flag off", in_server => [within("$flag off;")]);
}
refuses($_, 'media on;', '"media" directive belongs into a location') for qw(in_http in_server);
refuses($_, 'media_problem on;', '"media_problem" directive belongs into a location') for qw(in_http in_server);
refuses('in_server', within('if ($arg_a) { media on; }'), '"media" directive is not allowed here');
refuses('in_server', within('media_pg "host=127.0.0.1";'), '"media_pg" directive is not allowed here');

refuses('in_server', within('media_auth maybe;'), 'invalid value "maybe"');
refuses('in_server', within('media_auth on; media_auth off;'), '"media_auth" directive is duplicate');
accepts("media_auth $_", in_server => [within("media_auth $_;")]) for qw(on off optional);
whole('media_auth without a key', '"media_auth" needs "media_auth_key" or "media_auth_jwks"',
    no_routes => 1, http => { media_auth_key => undef }, in_server => [within('media_auth optional;')]);
accepts('media_auth off without a key',
    no_routes => 1, http => { media_auth_key => undef }, in_server => [within('media_auth off;')]);

for my $name ('Audio', 'a b', 'a/b', '', 'p' x 64, "\xc3\xa4") {
    refuses('in_server', within(qq{media_pipeline "$name";}),
        qq{"$name" in "media_pipeline" is not a pipeline name ([a-z0-9_-], at most 63)});
}
refuses('in_server', within('media_pipeline a; media_pipeline b;'), '"media_pipeline" directive is duplicate');
accepts('media_pipeline everywhere', http => { media_pipeline => 'p' x 63 }, in_server => ['media_pipeline a-b_9;']);

refuses('in_server', within('media_max_size much;'), '"media_max_size" directive invalid value');
refuses('in_server', within('media_max_size -1;'), '"media_max_size" directive invalid value');
refuses('in_server', within('media_max_size 1; media_max_size 2;'), '"media_max_size" directive is duplicate');
accepts('media_max_size', http => { media_max_size => '4g' });

for my $type ('video', 'mp4', '', '/', '/mp4', 'video/mp4/x', 'video/*', 'video/ mp4') {
    refuses('in_server', within(qq{media_types audio/ "$type";}),
        qq{"$type" in "media_types" is neither a type (video/mp4) nor a family (video/)});
}
wrong("media_quota $_;", qq{"$_" in "media_quota" is neither a size nor off}) for '-1', 'much', '10x', '10g5';
wrong("media_quota 10g $_;", qq{"$_" in "media_quota" is not uploads=number (1 or more)}) for 'uploads', 'uploads=', 'uploads=0', 'uploads=-1', 'files=1';
wrong('media_quota;', 'invalid number of arguments in "media_quota" directive');
refuses('in_http', 'media_quota 1m; media_quota 2m;', '"media_quota" directive is duplicate');
accepts("media_quota $_", http => { media_quota => $_ }, in_server => ['location /q/ { media_quota off; }']) for '0', '10g', '10g uploads=4', 'off uploads=4';
wrong("media_rate_limit $_;", qr{^"$_" in "media_rate_limit" is not a rate }) for '10', '/m', '0/m', '10/', '10/x', '10/0s', '10/2d', '1000001/s', '-1/s', 'many/s';
wrong("media_rate_limit 10/m $_;", qr{^"$_" in "media_rate_limit" is neither burst=number}) for 'burst', 'burst=', 'burst=0', 'burst=x', 'nodelay';
refuses('in_http', 'media_rate_limit 1/m; media_rate_limit off;', '"media_rate_limit" directive is duplicate');
accepts("media_rate_limit $_", http => { media_rate_limit => $_ }, in_server => ['location /r/ { media_rate_limit off; }'])
    for '10/s', '10/m', '5/h', '7/d', '10/90s', '1000/1h burst=50', '10/s all', '10/s burst=5 all';
refuses('in_server', within('media_types video/; media_types audio/;'), '"media_types" directive is duplicate');
refuses('in_server', within('media_types;'), 'invalid number of arguments in "media_types" directive');
accepts('media_types', http => { media_types => 'video/ audio/mpeg application/vnd.x+y audio/x-ms.wma' });

for my $origin ('example.org', 'https://', 'https://Example.org', 'https://example.org/', 'https://example.org:443', 'http://example.org:80', 'null', '*') {
    refuses('in_http', "media_cors_origin https://a.example $origin;", qr{^"\Q$origin\E" in "media_cors_origin" is no origin as browsers name it });
}
refuses('in_http', 'media_cors_origin *; media_cors_origin off;', '"media_cors_origin" directive is duplicate');
accepts("media_cors_origin $_", http => { media_cors_origin => $_ }, in_server => ['location /c/ { media_cors_origin off; }'])
    for '*', 'off', 'https://a.example http://b.example:8080 http://[::1]:80443 https://h:80';

# ---- the whole ----

accepts('nothing of ours', no_routes => 1, http => { map { $_ => undef } qw(media_pg media_s3_endpoint media_s3_bucket
    media_auth_key media_play_key media_login_pool) }, no_env => [qw(AMQP_URL AWS_ACCESS_KEY_ID)]);

my ($exit, $said) = check(in_server => ['location /guarded { media_auth on; return 200; }']);
is($exit, 0, 'media_auth and return - accepted');
like($said, qr{^nginx: \[warn\] location "/guarded": "return", "rewrite" and the like run before "media_auth", which cannot guard them$}m,
    'media_auth and return - a warning');
($exit, $said) = check(in_server => ['location /guarded { media_auth on; if ($arg_x) { return 403; } }']);
like($said, qr{\[warn\] location "/guarded"}, 'media_auth and if - a warning');
($exit, $said) = check(in_server => ['location /open { media_auth off; return 200; }', 'location /free { return 200; }']);
unlike($said, qr/\[warn\]/, 'return without media_auth - no warning');

# no secret meets the terminal
($exit, $said) = check(http => { media_pg => '"host=127.0.0.1 password=hidden-secret"' });
unlike($said, qr/hidden-secret/, 'a password is not repeated');

done_testing();
