# /healthz, /readyz, /metrics
# What counts is left out over reloads: the counters go on there.

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MediaTest;

no_shuffle();
run_tests();

__DATA__

=== TEST 1: alive
--- request eval: ["GET /healthz", "HEAD /healthz"]
--- error_code eval: [200, 200]
--- response_headers eval: ["Content-Type: text/plain; charset=utf-8", "Content-Length: 3"]
--- response_body eval: ["ok\n", ""]



=== TEST 2: ready
--- request
GET /readyz
--- error_code: 200
--- response_headers
Content-Type: text/plain; charset=utf-8
Cache-Control: no-store
--- response_body_like: ^postgresql ok\ns3 ok\nrabbitmq (?:ok|degraded)\n$



=== TEST 3: many want to know: each dependency is asked once a second
--- skip_eval: 4: $ENV{TEST_NGINX_USE_HUP}
--- request eval: [('GET /readyz') x 20, 'GET /metrics']
--- error_code eval: [(200) x 21]
--- response_body_like eval: [(qr/^postgresql ok\ns3 ok\n/) x 20, qr/^ngx_media_pg_queries_total [1-9]\n(?:.*\n)*ngx_media_s3_requests_total [1-9]\n/m]



=== TEST 4: S3 is away
--- http_config eval: media_http(s3 => 'http://127.0.0.1:1')
--- request
GET /readyz
--- error_code: 503
--- response_body_like: ^postgresql ok\ns3 down\nrabbitmq



=== TEST 5: S3 does not answer
--- http_config eval: media_http(s3 => 'http://127.0.0.1:$TEST_NGINX_RAND_PORT_1')
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_no_close
--- tcp_reply_delay: 60s
--- tcp_reply: x
--- request
GET /readyz
--- timeout: 4
--- error_code: 503
--- response_body_like: ^postgresql ok\ns3 down\n



=== TEST 6: S3 has no such bucket
--- http_config eval: media_http(media_s3_bucket => 'no-such-bucket-here')
--- request
GET /readyz
--- error_code: 503
--- response_body_like: ^postgresql ok\ns3 down\n



=== TEST 7: PostgreSQL is away
--- http_config eval: media_http(pg => 1)
--- request
GET /readyz
--- timeout: 4
--- error_code: 503
--- response_body_like: ^postgresql down\ns3 ok\n



=== TEST 8: RabbitMQ is away: degraded, and good enough
--- http_config eval: media_http(media_amqp_url_file => "$ENV{TEST_NGINX_SERVER_ROOT}/html/amqp")
--- user_files
>>> amqp
amqp://nobody:none@127.0.0.1:1/%2F
--- request
GET /readyz
--- error_code: 200
--- response_body_like: ^postgresql ok\ns3 ok\nrabbitmq degraded\n$



=== TEST 9: the client leaves while it waits
--- http_config eval: media_http(pg => 1)
--- request
GET /readyz
--- timeout: 0.2
--- abort
--- ignore_response
--- wait: 2.2
--- no_error_log
[alert]
[emerg]
Sanitizer



=== TEST 10: metrics in Prometheus' text format, every line of it
--- request
GET /metrics
--- error_code: 200
--- response_headers
Content-Type: text/plain; version=0.0.4; charset=utf-8
--- response_body_like: ^(?:# HELP ngx_media_(\w+) [^\n]+\n# TYPE ngx_media_\1 (?:counter|gauge)\n(?:ngx_media_\1(?:\{\w+=\"\w+\"\})? \d+\n)+)+$



=== TEST 11: what is counted; the list of what was revoked is asked for, too
--- skip_eval: 4: $ENV{TEST_NGINX_USE_HUP}
--- request eval: ["GET /me", "GET /me", "GET /media/00000000-0000-7000-8000-000000000000/original", "GET /metrics"]
--- more_headers eval: [bearer('anna'), 'Authorization: Bearer x', bearer('anna'), '']
--- error_code eval: [200, 401, 404, 200]
--- response_body_like eval
[qr//, qr//, qr//, qr/^ngx_media_downloads_total 0\n(?:.*\n)*ngx_media_auth_ok_total 2\n(?:.*\n)*ngx_media_auth_failed_total 1\n(?:.*\n)*ngx_media_pg_queries_total [3-9]\n/m]



=== TEST 12: metrics where nobody asked for them
--- config
location / { media on; }
location @media_object { return 404; }
--- request
GET /metrics
--- error_code: 404
--- response_body_like: "code":"not_found"



=== TEST 13: other methods
--- pipelined_requests eval: ["POST /healthz", "POST /readyz", "POST /metrics"]
--- error_code eval: [405, 405, 405]
--- response_headers eval: [("Allow: GET, HEAD") x 3]
