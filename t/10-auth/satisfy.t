# media_auth beside other access modules, in front of proxy_pass, across redirects

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MediaTest;

our $upstream = q{
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        location / {
            add_header X-Request-Id upstream;
            return 200 "sub=$http_x_sub id=$http_x_request_id auth=$http_authorization\n";
        }
    }
};

no_shuffle();
run_tests();

__DATA__

=== TEST 1: satisfy any: the address grants
--- config
location / {
    satisfy any;
    allow 127.0.0.1;
    deny all;
    media_auth on;
    try_files /index.html =404;
}
--- request
GET /
--- error_code: 200
--- response_headers
! WWW-Authenticate



=== TEST 2: satisfy any: the token grants
--- config
location / {
    satisfy any;
    deny all;
    media_auth on;
    try_files /index.html =404;
}
--- request
GET /
--- more_headers eval: bearer('anna')
--- error_code: 200



=== TEST 3: satisfy any: media_auth optional without a token grants nothing
--- config
location / {
    satisfy any;
    deny all;
    media_auth optional;
    try_files /index.html =404;
}
--- request
GET /
--- error_code: 403



=== TEST 4: satisfy any: nobody grants; the problem says why
--- config
error_page 401 403 @media_problem;
location @media_problem {
    media_problem on;
}
location / {
    satisfy any;
    deny all;
    media_auth on;
    try_files /index.html =404;
}
--- request
GET /
--- more_headers eval: bearer('anna', exp => time - 10)
--- error_code: 401
--- response_headers
WWW-Authenticate: Bearer realm="ngx_media", error="invalid_token"
Content-Type: application/problem+json
--- response_body_like: "code":"token_expired"



=== TEST 5: satisfy all: a token does not help against deny
--- config
location / {
    deny all;
    media_auth on;
    try_files /index.html =404;
}
--- request
GET /
--- more_headers eval: bearer('anna')
--- error_code: 403



=== TEST 6: in front of proxy_pass, with variables for the upstream
--- http_config eval: media_http() . $::upstream
--- config
location / {
    media_auth on;
    proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    proxy_set_header X-Sub $media_sub;
    proxy_set_header X-Request-Id $media_request_id;
    proxy_set_header Authorization "";
}
--- request
GET /
--- more_headers eval: bearer('anna') . "X-Request-Id: trace-7\nX-Sub: forged"
--- error_code: 200
--- response_headers
X-Request-Id: trace-7
--- response_body eval: "sub=" . user('anna')->{id} . " id=trace-7 auth=\n"



=== TEST 7: in front of proxy_pass, without a token the upstream is not asked
--- http_config eval: media_http() . $::upstream
--- config
location / {
    media_auth on;
    proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1;
}
--- request eval: "POST /\n" . 'x' x 100000
--- error_code: 401



=== TEST 8: a refused body is not asked for: no "100 Continue" before the answer
--- config
lingering_timeout 100ms;
location / {
    media_auth on;
    try_files /index.html =404;
}
--- raw_request eval: http('POST /', "Expect: 100-continue\nContent-Length: 100000\nConnection: close\n")
--- error_code: 401
--- response_body_like: "code":"token_missing"



=== TEST 9: an internal redirect does not lose who is asking
--- config
location = /inner {
    internal;
    media_auth on;
    add_header X-Seen $media_sub;
    try_files /index.html =404;
}
location / {
    media_auth on;
    error_page 404 = /inner;
    try_files /nothing =404;
}
--- request
GET /
--- more_headers eval: bearer('anna')
--- error_code: 200
--- response_headers eval: "X-Seen: " . user('anna')->{id}



=== TEST 10: an internal redirect from an open location into a guarded one is checked there
--- config
location = /inner {
    internal;
    media_auth on;
    try_files /index.html =404;
}
location / {
    error_page 404 = /inner;
    try_files /nothing =404;
}
--- request
GET /
--- error_code: 401



=== TEST 11: Authorization of a Basic user is none of ours where auth_basic guards
--- user_files
>>> htpasswd
joe:{PLAIN}secret
--- config
location / {
    auth_basic "x";
    auth_basic_user_file $TEST_NGINX_SERVER_ROOT/html/htpasswd;
    media_auth optional;
    try_files /index.html =404;
}
--- request
GET /
--- more_headers
Authorization: Basic am9lOnNlY3JldA==
--- error_code: 200
