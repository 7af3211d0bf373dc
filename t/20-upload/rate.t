# media_rate_limit: uploads of a user, requests of a user or an address, counted by all workers

use lib 't/lib';
use Test::More;
use Time::HiRes qw(sleep time);
use MediaTest;
use MediaNginx;
use MediaUpload;

my $bytes = mp4(1000);
my @conf = (
    workers => 2,
    http => media_http(media_rate_limit => '3/h'),
    server => upload_server(lines => [
        'location /slow/ { rewrite ^/slow(/.*)$ $1 break; media on; media_pipeline test-idle; media_rate_limit 2/2s burst=1; }',
        'location /all/ { rewrite ^/all(/.*)$ $1 break; media on; media_pipeline test-idle; media_rate_limit 4/m all; }',
        'location /any/ { rewrite ^/any(/.*)$ $1 break; media on; media_pipeline test-idle; media_rate_limit off; }',
        'location /other/ { media_auth optional; media_rate_limit 2/m; alias /etc/; }',
    ]));
my $nginx = MediaNginx->start(@conf);

sub by { my ($user, $line, @headers) = @_; return http($line, bearer($user) . join '', map { "$_\n" } @headers) }
sub upload { my ($user, $prefix) = @_; return by($user, "PUT $prefix/upload/a.mp4", 'Content-Length: 1000') . $bytes }

sub limited {
    my ($answer, $name, $policy, $after) = @_;
    problem($answer, 429, 'rate_limited', $name);
    like($answer->{headers}{'retry-after'}, $after, "$name - when to come back");
    is($answer->{headers}{'ratelimit-policy'}, $policy, "$name - its policy");
    like($answer->{headers}{ratelimit}, qr/;r=0;t=[1-9]\d*$/, "$name - nothing is left");
    return;
}

# ---- uploads ----

for my $n (1 .. 3) {
    my $answer = $nginx->ask(upload('anna', ''));
    committed($answer, $bytes, "upload $n of 3");
    is($answer->{headers}{'ratelimit-policy'}, '"uploads";q=3;w=3600', "upload $n of 3 - the policy");
    my $t = 1200 * $n;
    my ($left, $reset) = $answer->{headers}{ratelimit} =~ /^"uploads";r=(\d+);t=(\d+)$/;
    is($left, 3 - $n, "upload $n of 3 - what is left");
    cmp_ok(abs($reset - $t), '<=', 30, "upload $n of 3 - until all is: $reset");
}
my $client = $nginx->client;
$client->send(by('anna', 'PUT /upload/a.mp4', 'Content-Length: 1000', 'Expect: 100-continue'));
limited($client->answer, 'a fourth, before its body', '"uploads";q=3;w=3600', qr/^1[12]\d\d$/);
# every worker counts the same
limited($nginx->ask(upload('anna', '')), "a fourth, attempt $_", '"uploads";q=3;w=3600', qr/^\d+$/) for 1 .. 8;
is($nginx->ask(by('anna', "GET $_"))->{headers}{ratelimit}, undef, "GET $_ is not counted") for '/me', '/media', '/healthz';
committed($nginx->ask(upload('ben', '')), $bytes, 'somebody else');
my $answer = $nginx->ask(by('ben', 'PUT /upload/a.mp4?colour=red', 'Content-Length: 0'));
problem($answer, 400, 'unknown_field', 'a refused one');
like($answer->{headers}{ratelimit}, qr/;r=1;/, 'a refused one counts, too');
$answer = $nginx->ask(http('PUT /upload/a.mp4', "Content-Length: 0\n"));
is($answer->{status}, 401, 'without a token');
is($answer->{headers}{ratelimit}, undef, 'without a token - nobody to count');
committed($nginx->ask(upload('anna', '/any')), $bytes, 'where it is off');
is($nginx->metric('problems_total{code="rate_limited"}'), 9, 'refusals are counted');

# ---- it comes back ----

my $began = time;
committed($nginx->ask(upload('anna', '/slow')), $bytes, 'another limit counts anew');
limited($nginx->ask(upload('anna', '/slow')), 'burst=1', '"uploads";q=2;w=2', qr/^1$/);
$nginx->await('the next', sub { $nginx->ask(upload('anna', '/slow'))->{status} == 201 });
cmp_ok(time - $began, '>=', 0.8, 'after a second');
cmp_ok(time - $began, '<', 2, 'and not much later');

# ---- every request, by user or address ----

like($nginx->ask(by('carl', 'GET /all/me'))->{headers}{ratelimit}, qr/^"requests";r=3;t=15$/, 'all: /me is counted');
committed($nginx->ask(upload('carl', '/all')), $bytes, 'all: an upload is counted once');
like($nginx->ask(by('carl', 'GET /all/me'))->{headers}{ratelimit}, qr/;r=1;/, 'all: then');
is($nginx->ask(by('carl', 'GET /all/media'))->{status}, 200, 'all: another route');
limited($nginx->ask(by('carl', 'GET /all/me')), 'all', '"requests";q=4;w=60', qr/^1[45]$/);
limited($nginx->ask(upload('carl', '/all')), 'all, an upload', '"requests";q=4;w=60', qr/^1[45]$/);
is($nginx->ask(http('GET /all/healthz', ''))->{status}, 200, "all: $_ of 4 by an address") for 1 .. 4;
limited($nginx->ask(http('GET /all/healthz', '')), 'all, an address', '"requests";q=4;w=60', qr/^1[45]$/);
is($nginx->ask(by('dora', 'GET /all/me'))->{status}, 200, 'all: a user from there');

$answer = $nginx->ask(http('GET /other/hostname', ''));
is($answer->{status}, 200, 'a location of another module');
is($answer->{headers}{'ratelimit-policy'}, '"requests";q=2;w=60', 'a location of another module - its policy');
is($nginx->ask(http('GET /other/hostname', ''))->{status}, 200, 'the second');
limited($nginx->ask(http('GET /other/hostname', '')), 'the third', '"requests";q=2;w=60', qr/^[23]\d$/);
is($nginx->ask(by('dora', 'GET /other/hostname'))->{status}, 200, 'the third, with a token');

# ---- a reload forgets nothing ----

my $old = [$nginx->workers];
$nginx->kill('HUP');
$nginx->await('new workers', sub { my %now = map { $_ => 1 } $nginx->workers; !grep { $now{$_} } @$old });
limited($nginx->ask(upload('anna', '')), 'after a reload', '"uploads";q=3;w=3600', qr/^1[12]\d\d$/);
$nginx->configure(@conf, http => media_http(media_rate_limit => '5/h'));
$old = [$nginx->workers];
$nginx->kill('HUP');
$nginx->await('new workers', sub { my %now = map { $_ => 1 } $nginx->workers; !grep { $now{$_} } @$old });
like($nginx->ask(upload('anna', ''))->{headers}{ratelimit}, qr/;r=4;/, 'another rate starts anew');
$nginx->stop;

# ---- through the zone's sets: many users, none is mistaken for another ----

$nginx = MediaNginx->start(http => media_http(), server => <<'CONF');
set_real_ip_from 127.0.0.1;
real_ip_header X-Real-IP;
location / { media_rate_limit 1/h; alias /etc/; }
keepalive_requests 10000;
CONF
my $many = $nginx->client;

sub crowd {
    my %seen;
    for my $n (1 .. 3000) {
        $many->send(http('GET /hostname', sprintf "X-Real-IP: 10.%d.%d.1\n", $n >> 8, $n & 255));
        $seen{ $many->answer->{status} }++;
    }
    return \%seen;
}
is_deeply(crowd(), { 200 => 3000 }, '3000 addresses, once each');
is_deeply(crowd(), { 429 => 3000 }, 'and once more');
my @v6 = map { $many->send(http('GET /hostname', "X-Real-IP: $_\n")); $many->answer->{status} }
    '2001:db8:1:2::1', '2001:db8:1:2:ffff::2', '2001:db8:1:3::1';
is_deeply(\@v6, [200, 429, 200], 'an IPv6 network is one client');
$nginx->stop('many');
done_testing();
