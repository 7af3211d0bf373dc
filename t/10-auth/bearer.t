# media_auth on any location: what a bearer token must be (RFC 6750, RFC 8725)

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MediaTest;

our $config = q{
    location / {
        media_auth on;
        add_header X-Seen "$media_sub $media_roles $media_email" always;
        try_files /index.html =404;
    }
    location /optional {
        media_auth optional;
        add_header X-Seen "[$media_sub]" always;
        try_files /index.html =404;
    }
    location /off {
        media_auth off;
        try_files /index.html =404;
    }
};

no_shuffle();
run_tests();

__DATA__

=== TEST 1: no token: 401 with a bare challenge
--- config eval: $::config
--- request
GET /
--- error_code: 401
--- response_headers
WWW-Authenticate: Bearer realm="ngx_media"
Content-Type: application/problem+json
Cache-Control: no-store
--- response_body_like: ^\{.*"status":401,"instance":"/","code":"token_missing","request_id":"[0-9a-f-]{36}"\}$



=== TEST 2: a valid token, its claims in variables
--- config eval: $::config
--- request
GET /
--- more_headers eval: bearer('anna', roles => ['user', 'admin'])
--- error_code: 200
--- response_headers eval
"X-Seen: " . user('anna')->{id} . " user,admin " . user('anna')->{email}
--- response_body_like: It works



=== TEST 3: the scheme's case does not matter
--- config eval: $::config
--- request
GET /
--- more_headers eval: 'Authorization: bEARER   ' . token('anna')
--- error_code: 200



=== TEST 4: another scheme is no token
--- config eval: $::config
--- request
GET /
--- more_headers
Authorization: Basic YTpi
--- error_code: 401
--- response_headers
WWW-Authenticate: Bearer realm="ngx_media"



=== TEST 5: nothing behind the scheme
--- config eval: $::config
--- request
GET /
--- more_headers
Authorization: Bearer
--- error_code: 401
--- response_headers
WWW-Authenticate: Bearer realm="ngx_media", error="invalid_token"
--- response_body_like: "code":"token_invalid"



=== TEST 6: a wrong signature
--- config eval: $::config
--- request
GET /
--- more_headers eval: 'Authorization: Bearer ' . sign({alg => 'HS256'}, {sub => user('anna')->{id}, exp => time + 60, iss => 'ngx_media', aud => 'ngx_media'}, 'x' x 32)
--- error_code: 401
--- response_headers
WWW-Authenticate: Bearer realm="ngx_media", error="invalid_token"
--- response_body_like: "code":"token_invalid"



=== TEST 7: expired
--- config eval: $::config
--- request
GET /
--- more_headers eval: bearer('anna', exp => time - 1)
--- error_code: 401
--- response_headers
WWW-Authenticate: Bearer realm="ngx_media", error="invalid_token"
--- response_body_like: "code":"token_expired"



=== TEST 8: leeway lets it live a little longer
--- http_config eval: media_http(media_auth_leeway => '60s')
--- config eval: $::config
--- request
GET /
--- more_headers eval: bearer('anna', exp => time - 5)
--- error_code: 200



=== TEST 9: without exp
--- config eval: $::config
--- request
GET /
--- more_headers eval: bearer('anna', exp => undef)
--- error_code: 401
--- response_body_like: "code":"token_invalid"



=== TEST 10: not valid yet
--- config eval: $::config
--- request
GET /
--- more_headers eval: bearer('anna', nbf => time + 100)
--- error_code: 401
--- response_body_like: "code":"token_invalid"



=== TEST 11: another issuer
--- config eval: $::config
--- request
GET /
--- more_headers eval: bearer('anna', iss => 'somebody')
--- error_code: 401
--- response_body_like: "code":"token_invalid"



=== TEST 12: another audience
--- config eval: $::config
--- request
GET /
--- more_headers eval: bearer('anna', aud => ['a', 'b'])
--- error_code: 401
--- response_body_like: "code":"token_invalid"



=== TEST 13: one audience of several
--- config eval: $::config
--- request
GET /
--- more_headers eval: bearer('anna', aud => ['a', 'ngx_media'])
--- error_code: 200



=== TEST 14: alg none
--- config eval: $::config
--- request
GET /
--- more_headers eval: 'Authorization: Bearer ' . (sign({alg => 'none'}, {sub => user('anna')->{id}, exp => time + 60, iss => 'ngx_media', aud => 'ngx_media'}) =~ s/[^.]+$//r)
--- error_code: 401
--- response_body_like: "code":"token_invalid"



=== TEST 15: sub is no user id: no account of ours, but perhaps of what stands behind another location
--- request
POST /validate
--- more_headers eval: bearer('anna', sub => 'anna')
--- error_code: 401
--- response_body_like: "code":"token_invalid"



=== TEST 16: a playback token is no access token
--- config eval: $::config
--- request
GET /
--- more_headers eval: 'Authorization: Bearer ' . sign({alg => 'HS256'}, {sub => user('anna')->{id}, exp => time + 60, aud => 'media-play', epoch => 1}, do { local (@ARGV, $/) = secret_file('play-key'); <> })
--- error_code: 401



=== TEST 17: two Authorization headers
--- config eval: $::config
--- raw_request eval: http('GET /', "Connection: close\n" . bearer('anna') . bearer('anna'))
--- error_code: 400



=== TEST 18: optional: nothing passes, anonymous
--- config eval: $::config
--- request
GET /optional
--- error_code: 200
--- response_headers
X-Seen: []



=== TEST 19: optional: a good token is seen
--- config eval: $::config
--- request
GET /optional
--- more_headers eval: bearer('anna')
--- error_code: 200
--- response_headers eval: "X-Seen: [" . user('anna')->{id} . "]"



=== TEST 20: optional: a bad token is 401
--- config eval: $::config
--- request
GET /optional
--- more_headers
Authorization: Bearer a.b.c
--- error_code: 401



=== TEST 21: off: nothing is looked at
--- config eval: $::config
--- request
GET /off
--- more_headers
Authorization: Bearer a.b.c
--- error_code: 200



=== TEST 22: the token stays out of the answer and, save at debug level, out of the log
--- config eval: $::config
--- request
GET /
--- more_headers
Authorization: Bearer c2VjcmV0aGVhZGVy.c2VjcmV0Y2xhaW1z.c2VjcmV0c2ln
--- error_code: 401
--- response_body_unlike: c2VjcmV0
--- no_error_log
c2VjcmV0
[alert]
[emerg]



=== TEST 23: where the routes are not ours, sub need not be one of our users
--- config eval: $::config
--- request
GET /
--- more_headers eval: bearer('anna', sub => 'anna')
--- error_code: 200
--- response_headers_like
X-Seen: anna user .*



=== TEST 24: the access phase cannot guard what the rewrite module answers: nginx -t warns, and so it is
--- http_config eval: media_http()
--- config
location / {
    media_auth on;
    return 200 "anybody\n";
}
--- request
GET /
--- error_code: 200
--- response_body
anybody
--- error_log
"return", "rewrite" and the like run before "media_auth", which cannot guard them
