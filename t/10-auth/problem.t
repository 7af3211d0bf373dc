# RFC 9457 answers: of ours, and of core's own errors through error_page

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MediaTest;

no_shuffle();
run_tests();

__DATA__

=== TEST 1: no such route
--- request
GET /nothing/here?secret=1
--- error_code: 404
--- response_headers
Content-Type: application/problem+json
--- response_body_like: ^\{"type":"about:blank","title":"Not found","status":404,"instance":"/nothing/here","code":"not_found","request_id":"[0-9a-f-]{36}"\}$



=== TEST 2: HEAD of an error has its length and no body
--- request
HEAD /nothing
--- error_code: 404
--- response_headers_like
Content-Length: \d{3}
--- response_body:



=== TEST 3: core's 413
--- config eval: media_server('location /small { client_max_body_size 1k; media on; }')
--- request eval: "POST /small\n" . 'x' x 2000
--- more_headers eval: bearer('anna')
--- error_code: 413
--- response_headers
Content-Type: application/problem+json
--- response_body_like: "status":413,"instance":"/small","code":"too_large"



=== TEST 4: core's 414
--- request eval: 'GET /' . 'a' x 20000
--- error_code: 414
--- response_headers
Content-Type: application/problem+json
--- response_body_like: "status":414,.*"code":"uri_too_long"



=== TEST 5: core's 431
--- request
GET /healthz
--- more_headers eval: 'X-Long: ' . 'a' x 20000
--- error_code: 431
--- response_body_like: "status":431,.*"code":"headers_too_large"



=== TEST 6: core's 400: a request line that is none
--- raw_request eval: "GET\r\n\r\n"
--- error_code: 400
--- response_body_like: "status":400,.*"code":"bad_request"



=== TEST 7: core's 400: a NUL in the path
--- request
GET /media/%00
--- error_code: 400
--- response_body_like: "code":"bad_request"



=== TEST 8: core's 403
--- config
include $TEST_NGINX_MEDIA_CONF;
location /closed { deny all; }
--- request
GET /closed
--- error_code: 403
--- response_headers
Content-Type: application/problem+json
--- response_body_like: "status":403,"instance":"/closed","code":"forbidden"



=== TEST 9: the problem location is not for callers
--- request
GET /media_problem
--- error_code: 404
--- response_body_like: "code":"not_found"



=== TEST 10: a playback token never comes back in a problem, however it is written
--- pipelined_requests eval: ["GET /play/c2VjcmV0/x", "GET /%70lay/c2VjcmV0/x/y", "POST /play/c2VjcmV0/x", "GET //play/c2VjcmV0"]
--- error_code eval: [401, 401, 405, 404]
--- response_body_unlike eval: [qr/c2VjcmV0/, qr/c2VjcmV0/, qr/c2VjcmV0/, qr/c2VjcmV0/]



=== TEST 11: media_auth at server level guards the routes, not their errors
--- config eval: media_server('media_auth on;')
--- pipelined_requests eval: ["GET /closed", "GET /media/x"]
--- error_code eval: [401, 401]
--- response_body_like eval: [qr/token_missing/, qr/token_missing/]



=== TEST 12: a text that is no UTF-8 becomes some
--- request eval: "GET /media?\xff=1"
--- more_headers eval: bearer('anna')
--- error_code: 400
--- response_body_like: "code":"bad_request"
