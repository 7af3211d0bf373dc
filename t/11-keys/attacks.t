# The attacks of RFC 8725 and their relatives, against an nginx that has keys of every kind: each is 401
# invalid_token, and nothing of a token reaches the log

use lib 't/lib';
use Test::More;
use Digest::SHA qw(hmac_sha256);
use MIME::Base64 qw(encode_base64url decode_base64);
use MediaTest;
use MediaNginx;
use MediaJwt;

my $secret = 's' x 32;
my $file = write_file(secret => $secret);
my %pem = (rsa => pem_file('rsa', 'RSA', 'public'), ec => pem_file('ec', 'P-256', 'public'), ed => pem_file('ed', 'Ed25519', 'public'));
pem_file($_->[0], $_->[1], 'public') for ['mine', 'RSA'], ['p384', 'P-384'];
my $issuer = MediaJwt::Issuer->start;
$issuer->keys('mine');
my $nginx = MediaNginx->start(
    http => "media_auth_key HS256 $file kid=hs; media_auth_key RS256 $pem{rsa} kid=rsa; media_auth_key ES256 $pem{ec} kid=ec;"
        . " media_auth_key EdDSA $pem{ed} kid=ed; media_auth_jwks file " . write_file('set', key_set({ %{ jwk('rsa') }, kid => 'set', alg => 'RS256' })) . ';',
    server => 'large_client_header_buffers 4 64k; location / { media_auth on; add_header X-Seen $media_sub; empty_gif; }');

my $json = JSON::PP->new->canonical->allow_nonref;
my $claims = $json->encode(claims_for('anna'));
my %claims = %{ claims_for('anna') };
my $pem = MediaNginx::slurp($pem{rsa});
my $der = decode_base64($pem =~ s/-----[^-]+-----//gr);
my $id = user('anna')->{id};

sub b64 { return encode_base64url($_[0]) }

# HMAC-SHA256 over two texts
sub hs {
    my ($header, $payload, $key) = @_;
    my $input = b64($header) . '.' . b64($payload);
    return "$input." . b64(hmac_sha256($input, $key // $secret));
}

sub with { my (%more) = @_; my %c = (%claims, %more); delete @c{ grep { !defined $c{$_} } keys %c }; return $json->encode(\%c) }

my $good = '{"alg":"HS256","kid":"hs"}';
my $url = $issuer->url;
my ($rs_input, $rs_sig) = token_raw('rsa', 'RS256', '{"alg":"RS256","kid":"rsa"}', $claims) =~ /^(.*)\.([^.]+)$/;
my ($es_input) = token_raw('ec', 'ES256', '{"alg":"ES256","kid":"ec"}', $claims) =~ /^(.*)\.[^.]+$/;
my ($ed_input) = token_raw('ed', 'EdDSA', '{"alg":"EdDSA","kid":"ed"}', $claims) =~ /^(.*)\.[^.]+$/;
my $mine = jwk('mine');

my @attacks = (
    # the algorithm is said by the key
    (map { ["alg $_", b64(qq({"alg":"$_"})) . '.' . b64($claims) . '.'] } qw(none None NONE nOnE noNe)),
    (map { ["alg $_ with a MAC", hs(qq({"alg":"$_"}), $claims)] } qw(none None NONE nOnE hs256 HS256K HS1 HS384 HS512 RS256 ES256 EdDSA)),
    ['no alg', hs('{"typ":"JWT"}', $claims)],
    ['alg null', hs('{"alg":null}', $claims)],
    ['alg a list', hs('{"alg":["HS256"]}', $claims)],
    ['alg with a NUL', hs('{"alg":"HS256\u0000"}', $claims)],
    (map { ["HS256 with the public key as secret, $_->[0]", hs('{"alg":"HS256"}', $claims, $_->[1])] }
        ['PEM', $pem], ['PEM without newline', $pem =~ s/\n\z//r], ['DER', $der], ['one line', $pem =~ s/\n//gr]),
    ['HS256 with the public key, its kid', hs('{"alg":"HS256","kid":"rsa"}', $claims, $pem)],
    ['RS256 in name, HMAC by the public key', hs('{"alg":"RS256","kid":"rsa"}', $claims, $pem)],
    ['PS256 by the RS256 key', token_raw('rsa', 'PS256', '{"alg":"PS256","kid":"rsa"}', $claims)],
    ['a PS256 signature called RS256', token_raw('rsa', 'PS256', '{"alg":"RS256","kid":"rsa"}', $claims)],
    ['an RS512 signature called RS256', token_raw('rsa', 'RS512', '{"alg":"RS256","kid":"rsa"}', $claims)],
    ['RS384 by a key set for RS256', token_raw('rsa', 'RS384', '{"alg":"RS384","kid":"set"}', $claims)],
    # keys the token brings
    ['jwk', token_raw('mine', 'RS256', $json->encode({ alg => 'RS256', jwk => $mine }), $claims)],
    ['jwk with our kid', token_raw('mine', 'RS256', $json->encode({ alg => 'RS256', kid => 'rsa', jwk => $mine }), $claims)],
    ['jku', token_raw('mine', 'RS256', $json->encode({ alg => 'RS256', kid => 'mine', jku => $url }), $claims)],
    ['x5u', token_raw('mine', 'RS256', $json->encode({ alg => 'RS256', kid => 'mine', x5u => $url }), $claims)],
    ['x5c', token_raw('mine', 'RS256', $json->encode({ alg => 'RS256', x5c => [MIME::Base64::encode_base64($der, '')] }), $claims)],
    # kid
    (map { ["kid $_->[0]", hs($json->encode({ alg => 'HS256', kid => $_->[1] }), $claims, $_->[2])] }
        ['/dev/null', '../../../../../../dev/null', ''], ['a file', $file, $secret], ['sql', q{x' UNION SELECT 'k' --}, 'k'],
        ['shell', 'hs|/bin/true', ''], ['empty', '', $secret], ['a longer one', 'hs ', $secret], ['other letters', 'HS', $secret],
        ['of another algorithm', 'rsa', $secret], ['very long', 'k' x 600, $secret], ['%', 'h%73', $secret], ['a list', ['hs'], $secret],
        ['a number', 1, $secret], ['null', undef, $secret], ['a template', '${env:HOME}', $secret]),
    ['kid with a NUL', hs('{"alg":"HS256","kid":"hs\u0000"}', $claims)],
    # extensions and other kinds of token
    (map { ["header $_", hs(qq({"alg":"HS256",$_}), $claims)] } '"crit":["exp"],"exp":1', '"crit":[]', '"crit":null', '"b64":false',
        '"b64":false,"crit":["b64"]', '"typ":"dpop+jwt"', '"typ":"logout+jwt"', '"typ":7', '"cty":"JWT"', '"cty":"jwt"'),
    ['a token in a token', hs('{"alg":"HS256","cty":"JWT"}', hs($good, $claims))],
    ['a token in a token that does not say so', hs($good, hs($good, $claims))],
    ['five parts', join '.', (b64('{"alg":"dir","enc":"A128GCM"}'), '', 'AAAA', 'AAAA', 'AAAA')],
    ['JSON serialization', '{"payload":"' . b64($claims) . '","protected":"' . b64($good) . '","signature":"AA"}'],
    # members twice
    ['alg twice', hs('{"alg":"none","alg":"HS256"}', $claims)],
    ['kid twice', hs('{"alg":"HS256","kid":"x","kid":"hs"}', $claims)],
    ['alg twice, once escaped', hs('{"alg":"HS256","\u0061lg":"none"}', $claims)],
    ['sub twice', hs($good, $claims =~ s/^\{/{"sub":"$id",/r)],
    ['exp twice', hs($good, $claims =~ s/^\{/{"exp":1,/r)],
    ['a member twice, deep', hs($good, $claims =~ s/^\{/{"a":[{"b":1,"b":1}],/r)],
    # wrong types
    (map { ["exp $_", hs($good, $claims =~ s/"exp":\d+/"exp":$_/r)] } '"9999999999"', 'null', 'true', '[9999999999]', '{}', '1e300', '-1',
        '99999999999999999999', '1e400', 'NaN'),
    ['no exp', hs($good, with(exp => undef))],
    (map { ["nbf $_", hs($good, $claims =~ s/^\{/{"nbf":$_,/r)] } '"0"', 'null', '9999999999'),
    (map { ["iat $_", hs($good, $claims =~ s/"iat":\d+/"iat":$_/r)] } '"0"', 'null', '9999999999'),
    (map { ["aud $_", hs($good, $claims =~ s/"aud":"ngx_media"/"aud":$_/r)] } '1', 'null', '[1]', '["x"]', '{"ngx_media":1}', '[]', '"NGX_MEDIA"'),
    (map { ["iss $_", hs($good, $claims =~ s/"iss":"ngx_media"/"iss":$_/r)] } '1', 'null', '["ngx_media"]', '"ngx_media/"', '""'),
    (map { ["sub $_", hs($good, $claims =~ s/"sub":"[^"]+"/"sub":$_/r)] } '1', 'null', '["x"]'),
    (map { ["payload $_", hs($good, $_)] } '', 'x', 'null', '[]', '"x"', "$claims$claims", "$claims\0", substr($claims, 0, -1)),
    ['deep nesting', hs($good, $claims =~ s/^\{/'{"x":' . '[' x 1000 . ']' x 1000 . ','/er)],
    # signatures
    ['no signature', $rs_input . '.'],
    ['no third part', $rs_input],
    (map { ["cut by $_", $rs_input . '.' . substr($rs_sig, 0, -$_)] } 1, 4, 100),
    ['longer', "$rs_input.${rs_sig}AAAA"],
    ['padded', "$rs_input.$rs_sig=="],
    ['ES256 as DER', token_raw('ec', 'DER', '{"alg":"ES256","kid":"ec"}', $claims)],
    ['ES256 by a P-384 key', token_raw('p384', 'ES384', '{"alg":"ES256","kid":"ec"}', $claims)],
    ['ES384 by a P-384 key nobody knows', token_raw('p384', 'ES384', '{"alg":"ES384","kid":"ec"}', $claims)],
    ['ES256, r = s = 0', "$es_input." . b64("\0" x 64)],
    ['ES256, r = s = 1', "$es_input." . b64(("\0" x 31 . "\1") x 2)],
    ['ES256, r = s = n', "$es_input." . b64(pack('H*', 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551') x 2)],
    ['ES256, empty DER', "$es_input." . b64("0\6\2\1\0\2\1\0")],
    ['EdDSA, zeros', "$ed_input." . b64("\0" x 64)],
    ['EdDSA, the identity', "$ed_input." . b64("\1" . "\0" x 63)],
    ['RS256, zeros', "$rs_input." . b64("\0" x 256)],
    ['RS256, signature 1', "$rs_input." . b64("\0" x 255 . "\1")],
    ['another payload under the same signature', b64('{"alg":"RS256","kid":"rsa"}') . '.' . b64(with(roles => ['admin'])) . ".$rs_sig"],
    # sizes
    ['8193 bytes', hs($good, with(x => 'x' x 6000))],
    ['60000 bytes', hs($good, with(x => 'x' x 44_000))],
    ['a header of 2000 bytes', hs('{"alg":"HS256","x":"' . 'x' x 2000 . '"}', $claims)],
    ['many claims', hs($good, $claims =~ s/^\{/'{' . join('', map { qq("$_":1,) } 1 .. 600)/er)],
    ['only dots', '.' x 5000],
);

my %good = (
    HS256 => hs($good, $claims), RS256 => token_raw('rsa', 'RS256', '{"alg":"RS256","kid":"rsa"}', $claims),
    ES256 => token_raw('ec', 'ES256', '{"alg":"ES256","kid":"ec"}', $claims), EdDSA => token_raw('ed', 'EdDSA', '{"alg":"EdDSA","kid":"ed"}', $claims),
    'a key of the set' => token_raw('rsa', 'RS256', '{"alg":"RS256","kid":"set"}', $claims),
    'typ and cty that mean nothing' => hs('{"alg":"HS256","typ":"application/at+jwt","cty":"json","jku":"' . $url . '"}', $claims),
);
is(ask_with($nginx, '/', $good{$_})->{status}, 200, "good: $_") for sort keys %good;

for my $attack (@attacks) {
    my ($name, $token) = @$attack;
    my $answer = ask_with($nginx, '/', $token);
    is($answer->{status}, 401, $name);
    is($answer->{headers}{'www-authenticate'}, 'Bearer realm="ngx_media", error="invalid_token"', "$name - the challenge");
    is($answer->{json}{code}, 'token_invalid', "$name - the code");
    my @parts = grep { length > 20 } split /\./, $token;
    is(scalar grep({ index($answer->{body}, $_) >= 0 } @parts), 0, "$name - no part of it in the answer");
}
is(ask_with($nginx, '/', $good{$_})->{status}, 200, "good, still: $_") for sort keys %good;
is($issuer->asked, 0, 'jku and x5u were not fetched');
is(scalar grep({ my $t = $_->[1]; index($nginx->log_text, (split /\./, $t)[2] // 'none here') >= 0 && length((split /\./, $t)[2] // '') > 20 } @attacks),
    0, 'no signature in the log');
$nginx->stop;

done_testing();
