# X-Request-Id: taken over if sane, else made; in every answer of ours

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MediaTest;

our $config = q{
    location / {
        media_auth on;
        add_header X-Trace "$media_request_id $media_traceparent" always;
        try_files /index.html =404;
    }
    location /plain {
        try_files /index.html =404;
    }
};

no_shuffle();
run_tests();

__DATA__

=== TEST 1: made: UUIDv7, the same in header, problem and variable
--- config eval: $::config
--- request
GET /
--- error_code: 401
--- raw_response_headers_like: X-Request-Id: ([0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})\r\nX-Trace: \1 \r\n



=== TEST 2: taken over
--- config eval: $::config
--- request
GET /
--- more_headers
X-Request-Id: My_id-1.2
--- error_code: 401
--- response_headers
X-Request-Id: My_id-1.2
--- response_body_like: "request_id":"My_id-1.2"



=== TEST 3: X-Correlation-ID is another name of it
--- config eval: $::config
--- request
GET /
--- more_headers
X-Correlation-ID: corr
--- error_code: 401
--- response_headers
X-Request-Id: corr



=== TEST 4: what is not sane is replaced
--- config eval: $::config
--- request
GET /
--- more_headers
X-Request-Id: a"b<script>
--- error_code: 401
--- response_headers_like
X-Request-Id: [0-9a-f-]{36}
--- response_body_unlike: script



=== TEST 5: too long a one is replaced
--- config eval: $::config
--- request
GET /
--- more_headers eval: 'X-Request-Id: ' . 'a' x 65
--- error_code: 401
--- response_headers_like
X-Request-Id: [0-9a-f-]{36}



=== TEST 6: 64 characters are fine
--- config eval: $::config
--- request
GET /
--- more_headers eval: 'X-Request-Id: ' . 'a' x 64
--- error_code: 401
--- response_headers eval: 'X-Request-Id: ' . 'a' x 64



=== TEST 7: traceparent is known
--- config eval: $::config
--- request
GET /
--- more_headers eval: bearer('anna') . "X-Request-Id: r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
--- error_code: 200
--- response_headers
X-Trace: r 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01



=== TEST 8: a broken traceparent is dropped
--- config eval: $::config
--- request
GET /
--- more_headers eval: bearer('anna') . "X-Request-Id: r\ntraceparent: 00-00000000000000000000000000000000-00f067aa0ba902b7-01"
--- error_code: 200
--- raw_response_headers_like: X-Trace: r \r\n



=== TEST 9: a location without us gets none
--- config eval: $::config
--- request
GET /plain
--- more_headers
X-Request-Id: abc
--- error_code: 200
--- response_headers
! X-Request-Id
