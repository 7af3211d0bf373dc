# POST /login with a JSON body

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MediaTest;
use JSON::PP ();

sub login {
    my ($body, @headers) = @_;
    $body = JSON::PP->new->canonical->encode($body) if ref $body;
    return http('POST /login', join('', map { "$_\n" } 'Connection: close', @headers)
        . 'Content-Length: ' . length($body) . "\n", $body);
}

sub chunked {
    my ($body, $size) = @_;
    $body = JSON::PP->new->canonical->encode($body) if ref $body;
    my $chunks = '';
    while (length $body) {
        my $chunk = substr $body, 0, $size, '';
        $chunks .= sprintf "%x\r\n%s\r\n", length $chunk, $chunk;
    }
    return http('POST /login', "Connection: close\nContent-Type: application/json\nTransfer-Encoding: chunked\n",
        "${chunks}0\r\n\r\n");
}

sub good { my $u = user('anna'); return { email => $u->{email}, password => $u->{password}, @_ } }

in_sections(login => \&login, chunked => \&chunked, good => \&good);

no_shuffle();
run_tests();

__DATA__

=== TEST 1: tokens
--- raw_request eval: login(good(), 'Content-Type: application/json')
--- error_code: 200
--- response_body_like: ^\{"access_token":"



=== TEST 2: with parameters in Content-Type
--- raw_request eval: login(good(), 'Content-Type: application/json; charset=utf-8')
--- error_code: 200



=== TEST 3: chunked, in pieces of one byte
--- raw_request eval: chunked(good(), 1)
--- error_code: 200



=== TEST 4: arriving slowly
--- raw_request eval
my $r = login(good(), 'Content-Type: application/json');
[substr($r, 0, -40), substr($r, -40, 20), substr($r, -20)]
--- raw_request_middle_delay: 0.1
--- error_code: 200



=== TEST 5: into a small buffer, without a temporary file
--- config eval: media_server('location = /login { client_body_buffer_size 16; media on; }')
--- raw_request eval: chunked(good(), 7)
--- error_code: 200
--- no_error_log
buffered to a temporary file
[alert]
[emerg]



=== TEST 6: a wrong password
--- raw_request eval: login(good(password => 'wrong'), 'Content-Type: application/json')
--- error_code: 401
--- response_headers
WWW-Authenticate: Basic realm="ngx_media"



=== TEST 7: an unknown member is refused by name
--- raw_request eval: login(good(remember => JSON::PP::true()), 'Content-Type: application/json')
--- error_code: 400
--- response_body_like: "detail":"[^,]*remember.*"code":"unknown_field"



=== TEST 8: a missing member is named
--- raw_request eval: login({email => 'a@b'}, 'Content-Type: application/json')
--- error_code: 400
--- response_body_like: "detail":"[^,]*password.*"code":"bad_request"



=== TEST 9: a member of the wrong type is named
--- raw_request eval: login({email => 'a@b', password => 7}, 'Content-Type: application/json')
--- error_code: 400
--- response_body_like: "detail":"[^,]*password.*"code":"bad_request"



=== TEST 10: no JSON
--- raw_request eval: login('{"email":', 'Content-Type: application/json')
--- error_code: 400
--- response_body_like: "code":"bad_request"



=== TEST 11: the same member twice
--- raw_request eval: login('{"email":"a@b","email":"c@d","password":"x"}', 'Content-Type: application/json')
--- error_code: 400



=== TEST 12: another type of body
--- raw_request eval: login('email=a&password=b', 'Content-Type: application/x-www-form-urlencoded')
--- error_code: 415
--- response_body_like: "code":"type_not_allowed"



=== TEST 13: no type
--- raw_request eval: login(good())
--- error_code: 415



=== TEST 14: more than 16 KiB, said beforehand
--- raw_request eval: login('x' x 16385, 'Content-Type: application/json')
--- error_code: 413
--- response_body_like: "code":"too_large"



=== TEST 15: more than 16 KiB in chunks without end
--- config eval: media_server('lingering_timeout 100ms;')
--- raw_request eval: chunked('x' x 40000, 1000)
--- error_code: 413
--- response_body_like: "code":"too_large"



=== TEST 16: a chunk that is none
--- raw_request eval: http('POST /login', "Connection: close\nContent-Type: application/json\nTransfer-Encoding: chunked\n", "zz\r\n")
--- error_code: 400
--- response_body_like: "code":"bad_request"



=== TEST 17: the body stops
--- config eval: media_server('location = /login { client_body_timeout 300ms; media on; }')
--- raw_request eval: http('POST /login', "Connection: close\nContent-Type: application/json\nContent-Length: 100\n", '{')
--- ignore_response
--- wait: 0.5
--- no_error_log
[alert]
[emerg]



=== TEST 18: Expect: 100-continue is answered before the body is read
--- raw_request eval
my $r = login(good(), 'Content-Type: application/json', 'Expect: 100-continue');
my ($head, $body) = split /(?<=\r\n\r\n)/, $r, 2;
[$head, $body]
--- raw_request_middle_delay: 0.1
--- error_code: 100
--- response_body_like: HTTP/1.1 200 OK



=== TEST 19: too long a body is refused before "100 Continue"
--- config eval: media_server('lingering_timeout 100ms;')
--- raw_request eval: http('POST /login', "Connection: close\nContent-Type: application/json\nExpect: 100-continue\nContent-Length: 100000\n")
--- error_code: 413
