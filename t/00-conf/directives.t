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
    my $said = MediaTest::run('', 'sh', '-c', '"$0" -t -e "$1/early.log" -p "$1" -c "$1/nginx.conf" 2>&1; echo "exit=$?"',
        MediaNginx::binary(), "$dir");
    $said =~ s/exit=(\d+)\n\z//;
    return ($1, $said, $text);
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
    media_s3_send_timeout media_s3_read_timeout media_auth_leeway media_token_ttl media_refresh_ttl))
{
    wrong("$time soon;", qq{"$time" directive invalid value});
    wrong("$time 1s 2s;", qq{invalid number of arguments in "$time" directive});
    accepts($time, http => { $time => '7s' });
}
for my $size (qw(media_s3_part_size media_memory)) {
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
accepts('an https endpoint', http => { media_s3_endpoint => 'https://127.0.0.1:9000' });
whole('no endpoint', '"media on" needs "media_s3_endpoint"', http => { media_s3_endpoint => undef });
whole("no $_", q{"media on" needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in nginx's environment}, no_env => [$_])
    for qw(AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY);

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
accepts('memory for four parts', http => { media_s3_part_size => '5m', media_memory => '20m' });
wrong('media_s3_keepalive 0;', 'value must be between 1 and 65535');
accepts('media_s3_keepalive', http => { media_s3_keepalive => 1 });

whole('no trusted certificates', qr{\[emerg\] no trusted certificates from "\Q$dir\E/none"},
    http => { media_s3_endpoint => 'https://127.0.0.1', media_s3_trusted_certificate => "$dir/none" });

# ---- keys ----

wrong("media_auth_key HS384 $secret;", qr/^unknown algorithm "HS384" in "media_auth_key", known are .*HS256.*RS256/);
wrong("media_auth_key none $secret;", qr/^unknown algorithm "none"/);
wrong("media_auth_key HS256;", 'invalid number of arguments in "media_auth_key" directive');
wrong("media_auth_key HS256 $dir/none;", qr/^open\(\) "\Q$dir\E\/none" failed \(2: /);
wrong("media_auth_key HS256 $short;", qq{"$short": the secret is shorter than 32 bytes});
wrong("media_auth_key HS256 $public;", qq{"$public": the secret of an HMAC key is a PEM text});
wrong("media_auth_key HS256 $empty;", qr/^"\Q$empty\E": the key is empty/);
wrong("media_auth_key HS256 $huge;", qq{"$huge" has 65537 bytes, at most 65536 are allowed});
wrong("media_auth_key RS256 $secret;", qq{"$secret": not an unencrypted PEM public or private key});
wrong("media_auth_key RS256 $weak;", qr/^"\Q$weak\E": the RSA key has 1024 bits/);
wrong("media_play_key $secret;", '"media_play_key" directive is duplicate');
refuses('media_play_key', "media_play_key $short;", qq{"$short": the secret is shorter than 32 bytes});
accepts('several keys, one with an id', in_http => ["media_auth_key HS256 $secret two;", "media_auth_key RS256 $public;"]);
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

# ---- threads and shared memory ----

wrong('media_login_pool media_login;', '"media_login_pool" directive is duplicate');
refuses('media_login_pool', 'media_login_pool nowhere;', 'unknown thread pool "nowhere"');
whole('no pool', '"media on" needs "media_login_pool" (and the "thread_pool" of that name)',
    http => { media_login_pool => undef });
wrong('media_shm_size 1k;', qr/^"1k" in "media_shm_size" is not a size of at least \d+$/);
wrong('media_shm_size large;', qr/^"large" in "media_shm_size" is not a size/);
accepts('media_shm_size', http => { media_shm_size => '1m' });
my ($exit, $said) = check(http => { media_shm_size => '1m' }, in_http => ['media_shm_size 1m;']);
like($said, qr/"media_shm_size" directive is duplicate in .*nginx\.conf:\d+$/m, 'media_shm_size - only once');

# ---- locations ----

sub within { return "location /x { $_[0] }" }

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
whole('media_auth without a key', '"media_auth" needs "media_auth_key"',
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
refuses('in_server', within('media_types video/; media_types audio/;'), '"media_types" directive is duplicate');
refuses('in_server', within('media_types;'), 'invalid number of arguments in "media_types" directive');
accepts('media_types', http => { media_types => 'video/ audio/mpeg application/vnd.x+y audio/x-ms.wma' });

# ---- the whole ----

accepts('nothing of ours', no_routes => 1, http => { map { $_ => undef } qw(media_pg media_s3_endpoint media_s3_bucket
    media_auth_key media_play_key media_login_pool) }, no_env => [qw(AMQP_URL AWS_ACCESS_KEY_ID)]);

($exit, $said) = check(in_server => ['location /guarded { media_auth on; return 200; }']);
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
