# media_auth_jwks URL: no request waits for a fetch; an outage, a rotation, a hostile server

use lib 't/lib';
use Test::More;
use Time::HiRes qw(sleep time);
use MediaTest;
use MediaNginx;
use MediaJwt;

pem_file($_->[0], $_->[1], 'public') for ['k1', 'RSA'], ['k2', 'P-256'], ['k3', 'Ed25519'];
my $guarded = 'location / { media_auth on; empty_gif; } location /open { empty_gif; }';

sub nginx_for {
    my ($issuer, %more) = @_;
    my $http = join ' ', 'media_auth_jwks ' . ($more{url} // $issuer->url) . ';',
        'media_auth_jwks_retry ' . ($more{retry} // '1s') . ';', 'media_auth_jwks_refresh ' . ($more{refresh} // '1h') . ';',
        $more{http} // '';
    return MediaNginx->start(http => $http, server => $guarded, workers => $more{workers} // 1);
}

sub says {
    my ($nginx, $status, $name, @token) = @_;
    return is(ask_with($nginx, '/', token_by(@token))->{status}, $status, $name);
}

sub comes_to {
    my ($nginx, $status, $name, @token) = @_;
    my $token = token_by(@token);
    my $in_row = 0;
    return ok(eval { $nginx->await($name, sub {
        $in_row = ask_with($nginx, '/', $token)->{status} == $status ? $in_row + 1 : 0;
        return $in_row >= 10;
    }) }, $name);
}

# Lets the same processes fetch once more: a token of a key nobody has asks for it
sub fetched_again {
    my ($nginx, $issuer, $name) = @_;
    my $before = $issuer->asked;
    return ok(eval { $nginx->await($name, sub {
        ask_with($nginx, '/', token_by('k1', 'RS256', kid => 'nobody-' . time));
        return $issuer->asked > $before;
    }) }, $name);
}

# ---- the life of a set ----

my $issuer = MediaJwt::Issuer->start;
$issuer->mode('stall');
my $nginx = nginx_for($issuer, workers => 2);
my $begin = time;
my $answer = ask_with($nginx, '/', token_by('k1', 'RS256'));
is($answer->{status}, 503, 'no set has come yet: 503');
is($answer->{json}{code}, 'keys_unavailable', 'no set yet - the code');
like($answer->{headers}{'retry-after'}, qr/^\d+$/, 'no set yet - Retry-After');
ok(time - $begin < 3, 'no set yet - answered at once');
is(ask_with($nginx, '/', 'a.b.c')->{status}, 401, 'no set yet - what no key can help is refused');
is(ask_with($nginx, '/')->{status}, 401, 'no set yet - no token');
is(ask_with($nginx, '/open')->{status}, 200, 'no set yet - other locations');
$issuer->keys('k1');
comes_to($nginx, 200, 'the issuer is there: its set comes by itself', 'k1', 'RS256');
is(scalar grep({ $_ == 200 } map { ask_with($nginx, '/', token_by('k1', 'PS256'))->{status} } 1 .. 20), 20, 'both processes have it');
my $asked = $issuer->asked;
ok($asked <= 4, "one fetch for both processes (asked $asked times)");

# rotation
$issuer->keys('k1', 'k2');
is(ask_with($nginx, '/', token_by('k2', 'ES256'))->{status}, 401, 'a new key: the request is answered at once');
comes_to($nginx, 200, 'a new key - fetched because it was asked for', 'k2', 'ES256');
says($nginx, 200, 'a new key - the old one goes on', 'k1', 'RS256');

# at most one fetch per retry
$begin = time;
my $before = $issuer->asked;
ask_with($nginx, '/', token_by('k1', 'RS256', kid => "nobody-$_")) for 1 .. 60;
my $allowed = 1 + int(time - $begin) + 1;
ok($issuer->asked - $before <= $allowed, 'many unknown kids: ' . ($issuer->asked - $before) . " fetches, at most $allowed");

# outage
for my $mode (qw(stall reset garbage half half-head huge huge-head), '500 Internal Server Error', '404 Not Found', '301 Moved Permanently') {
    $issuer->mode($mode, Location => '/elsewhere');
    my $log = length $nginx->log_text;
    fetched_again($nginx, $issuer, "$mode - it is asked");
    ok(eval { $nginx->await($mode, sub { substr($nginx->log_text, $log) =~ /not fetched, cause="[^"]+", the old one stays/ }) },
        "$mode - the log says so");
    says($nginx, 200, "$mode - the old set is kept", 'k1', 'RS256');
    is(ask_with($nginx, '/open')->{status}, 200, "$mode - nginx serves");
}
for my $body ('<html></html>', '{"keys":{}}', '{"keys":[],"keys":[]}', '', key_set(('k1') x 65)) {
    $issuer->set(mode => 'ok', body => $body, headers => {});
    my $log = length $nginx->log_text;
    fetched_again($nginx, $issuer, 'no set - it is asked');
    ok(eval { $nginx->await('no set', sub { substr($nginx->log_text, $log) =~ /not fetched, cause=/ }) }, 'no set - the log says so');
    says($nginx, 200, 'no set: ' . substr($body, 0, 20), 'k1', 'RS256');
}
for my $type ('text/html', 'application/jsonp', undef) {
    $issuer->set(mode => 'ok', body => key_set('k3'), headers => { 'Content-Type' => $type });
    my $log = length $nginx->log_text;
    fetched_again($nginx, $issuer, 'another type - it is asked');
    ok(eval { $nginx->await('another type', sub { substr($nginx->log_text, $log) =~ /its type is not JSON/ }) }, 'another type - the log says so');
    says($nginx, 401, 'another type: ' . ($type // 'none') . ' - is not taken', 'k3', 'EdDSA');
}

# a reload and a killed process in the middle of the outage
$issuer->mode('stall');
my @old = $nginx->workers;
$nginx->kill('HUP');
$nginx->await('new processes', sub { my %old = map { $_ => 1 } @old; my @new = grep { !$old{$_} } $nginx->workers; @new >= 2 });
is(scalar grep({ $_ == 200 } map { ask_with($nginx, '/', token_by('k1', 'RS256'))->{status} } 1 .. 10), 10, 'a reload keeps the set');
kill 'KILL', $nginx->workers;
$nginx->await('new processes', sub { ask_with($nginx, '/open')->{status} == 200 });
comes_to($nginx, 200, 'a killed process loses nothing', 'k1', 'RS256');

# keys withdrawn
$issuer->keys('k2');
fetched_again($nginx, $issuer, 'a key withdrawn - fetched');
comes_to($nginx, 401, 'a key withdrawn - its tokens are refused', 'k1', 'RS256');
$issuer->set(mode => 'ok', body => key_set(jwk('k2'), { kty => 'oct', kid => 'o', alg => 'HS256', k => 's' x 43 }),
    headers => { 'Content-Type' => 'application/jwk-set+json; charset=utf-8' });
fetched_again($nginx, $issuer, 'a symmetric key - fetched');
comes_to($nginx, 200, 'a symmetric key - the others count', 'k2', 'ES256');
like($nginx->log_text, qr/keys=1 skipped=1/, 'a symmetric key from a network is skipped');
$issuer->mode('ok');
$nginx->kill('QUIT');
ok(eval { $nginx->await('it exits', sub { $nginx->gone }); 1 }, 'it stops in order');
is(join("\n", grep { /\[(?:alert|emerg|crit)\]|Sanitizer|runtime error/ && !/exited on signal 9/ } split /\n/, $nginx->log_text), '', 'a clean log');

# ---- how often ----

my @ages = (['max-age=1', 'public, max-age=1', 1], ['no max-age', 'no-transform', 0], ['max-age of a century', 'max-age=3153600000', 0],
    ['max-age that is no number', 'max-age=soon', 1]);
for my $case (@ages) {
    my ($name, $control, $often) = @$case;
    my $server = MediaJwt::Issuer->start;
    $server->set(body => key_set('k1'), headers => { 'Cache-Control' => $control });
    $nginx = nginx_for($server);
    comes_to($nginx, 200, "$name - fetched", 'k1', 'RS256');
    $begin = time;
    if ($often) {
        ok(eval { $nginx->await($name, sub { $server->asked >= 3 }, 15) }, "$name - again and again");
        ok(time - $begin > 1, "$name - but not sooner than media_auth_jwks_retry");
    } else {
        sleep 2.5;
        is($server->asked, 1, "$name - once");
    }
    $nginx->stop($name);
    $server->stop;
}
my $server = MediaJwt::Issuer->start;
$server->keys('k1');
$nginx = nginx_for($server, refresh => '1s');
ok(eval { $nginx->await('refresh', sub { $server->asked >= 3 }, 15) }, 'media_auth_jwks_refresh 1s - again and again');
my $read = () = $nginx->log_text =~ /key set .* read/g;
is($read, 1, 'the same set again is no new set');
$nginx->stop('refresh');

# ---- a server that lets a byte come now and then ----

$server->mode('drip');
$nginx = nginx_for($server);
ok(eval { $nginx->await('drip', sub { $nginx->log_text =~ /not fetched, cause="it took too long", there is none yet/ }, 20) }, 'a drip has a deadline');
$server->keys('k1');
comes_to($nginx, 200, 'drip - then it comes', 'k1', 'RS256');
$nginx->stop('drip');
$server->stop;

# ---- TLS ----

my $dir = File::Temp->newdir;
sub certificate {
    my ($name, $alt) = @_;
    MediaTest::run('', qw(openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj), "/CN=$name", '-addext', "subjectAltName=$alt",
        '-keyout', "$dir/$name.key", '-out', "$dir/$name.pem");
    return ["$dir/$name.pem", "$dir/$name.key"];
}
my $good = certificate(good => 'IP:127.0.0.1,DNS:localhost');
my $other = certificate(other => 'DNS:other.example');
my %tls = (
    'a certificate we trust' => [$good, $good->[0], 200],
    'nobody trusts it' => [$good, undef, 503, 'self-signed certificate'],
    'a certificate of another name' => [$other, $other->[0], 503, 'IP address mismatch'],
);
for my $name (sort keys %tls) {
    my ($certificate, $ca, $status, $cause) = @{ $tls{$name} };
    my $tls_server = MediaJwt::Issuer->start(tls => $certificate);
    $tls_server->keys('k1');
    $nginx = nginx_for($tls_server, http => $ca ? "media_auth_jwks_trusted_certificate $ca;" : '');
    if ($status == 503) {
        ok(eval { $nginx->await($name, sub { $nginx->log_text =~ /not fetched, cause="$cause"/ }) }, "$name - refused");
    }
    comes_to($nginx, $status, $name, 'k1', 'RS256');
    $nginx->stop($name, $status == 503 ? qr/\[crit\].*SSL_do_handshake/ : undef);
    $tls_server->stop;
}
$issuer->stop;

done_testing();
