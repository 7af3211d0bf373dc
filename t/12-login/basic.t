# POST /login with HTTP Basic
# What counts is left out over reloads: the counters go on there.

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MediaTest;
use MIME::Base64 qw(encode_base64);

sub basic {
    my ($name, $password) = @_;
    return 'Authorization: Basic ' . encode_base64(user($name)->{email} . ':' . ($password // user($name)->{password}), '') . "\n";
}
in_sections(basic => \&basic, encode_base64 => \&encode_base64);

no_shuffle();
run_tests();

__DATA__

=== TEST 1: tokens
--- request
POST /login
--- more_headers eval: basic('anna')
--- error_code: 200
--- response_headers
Content-Type: application/json
Cache-Control: no-store
! WWW-Authenticate
--- response_body_like: ^\{"access_token":"[\w-]+\.[\w-]+\.[\w-]+","token_type":"Bearer","expires_in":900,"refresh_token":"[\w-]{43}"\}$



=== TEST 2: the bare token as text/plain, with the life time configured
--- http_config eval: media_http(media_token_ttl => '90s')
--- request
POST /login
--- more_headers eval: basic('anna') . "Accept: text/plain"
--- error_code: 200
--- response_headers
Content-Type: text/plain
Cache-Control: no-store
--- response_body_like eval: qr/^[\w-]+\.[\w-]+\.[\w-]+$/



=== TEST 3: the account's case does not matter
--- request
POST /login
--- more_headers eval: 'Authorization: bAsIc ' . encode_base64(uc(user('anna')->{email}) . ':' . user('anna')->{password}, '')
--- error_code: 200



=== TEST 4: a wrong password
--- request
POST /login
--- more_headers eval: basic('anna', 'wrong')
--- error_code: 401
--- response_headers
WWW-Authenticate: Basic realm="ngx_media"
Content-Type: application/problem+json
--- response_body_like: ^\{"type":"about:blank","title":"Wrong e-mail or password","status":401,"instance":"/login","code":"credentials_invalid","request_id":"[^"]+"\}$



=== TEST 5: an unknown account: the same answer, and a hash was computed all the same
--- skip_eval: 4: $ENV{TEST_NGINX_USE_HUP}
--- request eval
["POST /login", "GET /metrics"]
--- more_headers eval
["Authorization: Basic " . encode_base64('nobody@example.org:x', ''), ""]
--- error_code eval
[401, 200]
--- response_body_like eval
[qr/"credentials_invalid"/, qr/^ngx_media_login_hashes_total 1$/m]



=== TEST 6: a known account with a wrong password: one hash, too
--- skip_eval: 4: $ENV{TEST_NGINX_USE_HUP}
--- request eval
["POST /login", "GET /metrics"]
--- more_headers eval
[basic('anna', 'wrong'), ""]
--- error_code eval
[401, 200]
--- response_body_like eval
[qr/"credentials_invalid"/, qr/^ngx_media_login_hashes_total 1\n(?:.*\n)*/m]



=== TEST 7: a disabled account
--- request
POST /login
--- more_headers eval: MediaTest::run('', qw(mediactl user disable), user('gone')->{email}); basic('gone')
--- error_code: 401



=== TEST 8: no credentials at all
--- request
POST /login
--- error_code: 401
--- response_headers
WWW-Authenticate: Basic realm="ngx_media"



=== TEST 9: Basic that is no base64
--- request
POST /login
--- more_headers
Authorization: Basic ?!
--- error_code: 401



=== TEST 10: without a colon
--- request
POST /login
--- more_headers eval: 'Authorization: Basic ' . encode_base64('abc', '')
--- error_code: 401



=== TEST 11: a password longer than any hash takes
--- request
POST /login
--- more_headers eval: basic('anna', 'x' x 600)
--- error_code: 401



=== TEST 12: an empty password
--- request
POST /login
--- more_headers eval: basic('anna', '')
--- error_code: 401



=== TEST 13: GET
--- request
GET /login
--- more_headers eval: basic('anna')
--- error_code: 405
--- response_headers
Allow: POST



=== TEST 14: a body beside Basic is thrown away
--- pipelined_requests eval: ["POST /login\n" . 'x' x 30000, "POST /login"]
--- more_headers eval: basic('anna')
--- error_code eval: [200, 200]



=== TEST 15: the password is in no log, $remote_user finds nothing
--- http_config eval: media_http() . 'log_format user "user=[$remote_user] [$http_authorization]"; access_log $TEST_NGINX_SERVER_ROOT/logs/error.log user;'
--- request
POST /login
--- more_headers eval: basic('anna')
--- error_code: 200
--- wait: 0.2
--- error_log
user=[-] []
--- no_error_log eval: ['[alert]', '[emerg]', encode_base64(user('anna')->{password}, '') =~ s/=.*//r, user('anna')->{password}]



=== TEST 16: the database is away
--- http_config eval: media_http(pg => 1, media_pg_connect_timeout => '500ms', media_pg_timeout => '1s')
--- request
POST /login
--- more_headers eval: basic('anna')
--- error_code: 503
--- response_headers
Retry-After: 5
--- response_body_like: "code":"database_unavailable"



=== TEST 17: a client that leaves while its password is hashed
--- request
POST /login
--- more_headers eval: basic('anna')
--- timeout: 0.01
--- abort
--- ignore_response
--- wait: 0.5
--- no_error_log
[alert]
[emerg]
Sanitizer
