# POST /validate, GET /me

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MediaTest;

no_shuffle();
run_tests();

__DATA__

=== TEST 1: /validate says the claims
--- request
POST /validate
--- more_headers eval: bearer('anna', jti => 'abc')
--- error_code: 200
--- response_headers
Content-Type: application/json
Cache-Control: no-store
--- response_body_like eval: qr/"jti":"abc".*"sub":"\Q@{[user('anna')->{id}]}\E"/



=== TEST 2: /validate without a token
--- request
POST /validate
--- error_code: 401
--- response_headers
WWW-Authenticate: Bearer realm="ngx_media"



=== TEST 3: /validate is POST
--- request
GET /validate
--- more_headers eval: bearer('anna')
--- error_code: 405
--- response_headers
Allow: POST
--- response_body_like: "code":"method_not_allowed"



=== TEST 4: /validate with a body, then the connection goes on
--- pipelined_requests eval: ["POST /validate\n" . 'x' x 3000, "GET /me"]
--- more_headers eval: bearer('anna')
--- error_code eval: [200, 200]



=== TEST 5: /me
--- request
GET /me
--- more_headers eval: bearer('anna')
--- error_code: 200
--- response_headers
Cache-Control: no-store
--- response_body_like eval: qr/"email": ?"\Q@{[user('anna')->{email}]}\E".*"quota": ?\{/



=== TEST 6: HEAD /me
--- request
HEAD /me
--- more_headers eval: bearer('anna')
--- error_code: 200
--- response_body:



=== TEST 7: /me of a disabled account
--- request
GET /me
--- more_headers eval: MediaTest::run('', qw(mediactl user disable), user('gone')->{email}); bearer('gone')
--- error_code: 401
--- response_body_like: "code":"token_invalid"



=== TEST 8: the database is away
--- http_config eval: media_http(pg => 1, media_pg_connect_timeout => '500ms', media_pg_timeout => '1s')
--- request
GET /me
--- more_headers eval: bearer('anna')
--- error_code: 503
--- response_headers
Retry-After: 5
--- response_body_like: "code":"database_unavailable"
--- no_error_log
[alert]
[emerg]



=== TEST 9: the client leaves while the database is awaited
--- http_config eval: media_http(pg => 1, media_pg_connect_timeout => '500ms', media_pg_timeout => '1s')
--- request
GET /me
--- more_headers eval: bearer('anna')
--- timeout: 0.2
--- abort
--- ignore_response
--- wait: 1.2
--- no_error_log
[alert]
[emerg]
Sanitizer
