# Every algorithm by media_auth_key, against tokens of PyJWT; the login's tokens and our key set, checked by PyJWT

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaNginx;
use MediaJwt;

my %kinds = (
    (map { $_ => 'RSA' } qw(RS256 RS384 RS512 PS256 PS384 PS512)),
    ES256 => 'P-256', ES384 => 'P-384', ES512 => 'P-521', EdDSA => 'Ed25519',
);
my $secret = 's' x 64;
my $secret_file = write_file(secret => $secret);

# ---- checked by us: one nginx with all of them ----

my @keys = ((map { "media_auth_key $_ $secret_file kid=$_;" } qw(HS256 HS384 HS512)),
    (map { "media_auth_key $_ " . pem_file($_, $kinds{$_}, 'public') . " kid=$_;" } sort keys %kinds),
    'media_auth_key EdDSA ' . pem_file('Ed448', 'Ed448', 'public') . ' kid=Ed448;');
my $guarded = 'location / { media_auth on; add_header X-Seen $media_sub; empty_gif; }';
my $nginx = MediaNginx->start(http => join("\n", @keys), server => $guarded);

my @cases = ((map { [$_, $_, secret => $secret] } qw(HS256 HS384 HS512)), (map { [$_, $_] } sort keys %kinds),
    ['Ed448', 'EdDSA']);
for my $case (@cases) {
    my ($name, $alg, @more) = @$case;
    my $token = token_by($name, $alg, @more);
    my $answer = ask_with($nginx, '/', $token);
    is($answer->{status}, 200, "$name - accepted");
    is($answer->{headers}{'x-seen'}, user('anna')->{id}, "$name - its sub");
    is(ask_with($nginx, '/', token_by($name, $alg, @more, kid => undef))->{status}, 200, "$name - without a kid");
    my $bad = $token =~ s/\.([^.]+)\z/'.' . reverse $1/er;
    $answer = ask_with($nginx, '/', $bad);
    is($answer->{status}, 401, "$name - another signature");
    is($answer->{headers}{'www-authenticate'}, 'Bearer realm="ngx_media", error="invalid_token"', "$name - the challenge");
    is($answer->{json}{code}, 'token_invalid', "$name - the code");
    is(ask_with($nginx, '/', token_by($name, $alg, @more, exp => time - 1))->{json}{code}, 'token_expired', "$name - expired");
}
is(ask_with($nginx, '/', token_by('RS256', 'PS256'))->{status}, 401, 'a PS256 signature by the key of RS256');
is(ask_with($nginx, '/', token_by('RS256', 'RS256', kid => 'PS256'))->{status}, 401, 'RS256 under the kid of PS256');
$nginx->stop('all algorithms');

# ---- issued by us: login, the key set, PyJWT ----

my $password = user('anna')->{password};
for my $alg (sort keys %kinds) {
    my $path = pem_file($alg, $kinds{$alg}, 'private');
    $nginx = MediaNginx->start(http => media_http(media_auth_key => "$alg $path"));
    my $login = $nginx->ask(http('POST /login', "Connection: close\nContent-Type: application/json\nContent-Length: LEN\n")
        =~ s/LEN/length body($password)/er . body($password));
    my $token = $login->{json}{access_token} // '';
    my $set = ask_with($nginx, '/.well-known/jwks.json');
    is($set->{status}, 200, "$alg - the key set");
    like($set->{headers}{'content-type'}, qr{^application/jwk-set\+json}, "$alg - its type");
    like($set->{headers}{'cache-control'}, qr/max-age=\d+/, "$alg - may be cached");
    my ($jwk) = @{ $set->{json}{keys} };
    is($jwk->{alg}, $alg, "$alg - the key says its algorithm");
    is($jwk->{use}, 'sig', "$alg - and its use");
    is(join(',', grep { exists $jwk->{$_} } qw(d p q dp dq qi k)), '', "$alg - nothing secret");
    like($jwk->{kid}, qr/^[\w-]{43}$/, "$alg - its kid is a thumbprint");
    is(verify_by($alg, $alg, $token, $jwk)->{sub}, user('anna')->{id}, "$alg - PyJWT checks our token by it");
    is(ask_with($nginx, '/me', $token)->{status}, 200, "$alg - and so do we");
    $nginx->stop("$alg issued");
}

sub body { return JSON::PP->new->encode({ email => user('anna')->{email}, password => $_[0] }) }

# ---- keys that change ----

my @set = ('HS256 ' . $secret_file . ' kid=old', 'RS256 ' . pem_file('RS256', 'RSA', 'private') . ' kid=new');
$nginx = MediaNginx->start(http => media_http(media_auth_key => $set[0]) . "media_auth_key $set[1];");
my $keys = ask_with($nginx, '/.well-known/jwks.json')->{json}{keys};
is(join(',', map { $_->{kid} } @$keys), 'new', 'a secret is not published');
is(ask_with($nginx, '/me', token_by('x', 'HS256', secret => $secret, kid => 'old'))->{status}, 200, 'the old key counts');
is(ask_with($nginx, '/me', token_by('RS256', 'RS256', kid => 'new'))->{status}, 200, 'the new key counts');
is($nginx->ask(http('HEAD /.well-known/jwks.json', "Connection: close\n"))->{status}, 200, 'HEAD of the key set');
is($nginx->ask(http('POST /.well-known/jwks.json', "Connection: close\n"))->{headers}{allow}, 'GET, HEAD', 'no POST');
$nginx->stop('two keys');
$nginx = MediaNginx->start;
is(ask_with($nginx, '/.well-known/jwks.json')->{body}, '{"keys":[]}', 'secrets alone: an empty set');
$nginx->stop('one secret');

done_testing();
