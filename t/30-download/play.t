# POST /media/{id}/token and /play/{token}/{output}

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MediaTest;
use JSON::PP ();

our $media = media('anna', duration => 5000, outputs => { 'audio.mp3' => ['audio/mpeg', 'mp3 bytes'] });
our $key = do { open my $f, '<', secret_file('play-key') or die; local $/; <$f> };

sub play {
    my ($media, %claims) = @_;
    my %all = (aud => 'media-play', epoch => 1, exp => time + 600, sub => $media, %claims);
    delete @all{ grep { !defined $all{$_} } keys %all };
    return sign({ alg => 'HS256', typ => 'JWT' }, \%all, $::key);
}

# POST of a JSON text
sub ask {
    my ($user, $body) = @_;
    return http("POST /media/$::media/token", "Connection: close\n" . bearer($user) . "Content-Length: " . length($body) . "\n",
        $body);
}

sub until_in { # a regex for expires_at some seconds from now; the request is sent a little later
    my @s = map { my @t = gmtime(time + $_[0] + $_); sprintf '%04d-%02d-%02dT%02d:%02d:%02d', $t[5] + 1900, $t[4] + 1, @t[3, 2, 1, 0] }
        -5 .. 25;
    return '"expires_at":"(?:' . join('|', @s) . ')\.000Z"';
}
in_sections(play => \&play, ask => \&ask, until_in => \&until_in);

no_shuffle();
run_tests();

__DATA__

=== TEST 1: a token lives twice the duration
--- request eval: "POST /media/$::media/token"
--- more_headers eval: bearer('anna')
--- error_code: 201
--- response_headers
Content-Type: application/json
Cache-Control: no-store
--- response_body_like eval: my $e = until_in(10000); qr{^\{"token":"([\w.-]+)",$e,"href":"/play/\1/"\}$}



=== TEST 2: of a short or unknown duration, an hour
--- request eval: "POST /media/" . media('anna') . "/token"
--- more_headers eval: bearer('anna')
--- error_code: 201
--- response_body_like eval: my $e = until_in(3600); qr/$e/



=== TEST 3: as asked
--- raw_request eval: ask('anna', '{"ttl":60}')
--- error_code: 201
--- response_body_like eval: my $e = until_in(60); qr/$e/



=== TEST 4: an empty object and null are the default
--- raw_request eval: ask('anna', '{}')
--- error_code: 201



=== TEST 5: outside 1..604800
--- raw_request eval: ask('anna', '{"ttl":604801}')
--- error_code: 400
--- response_body_like: "detail":"[^,]*ttl.*"code":"bad_request"



=== TEST 6: no number
--- raw_request eval: ask('anna', '{"ttl":"60"}')
--- error_code: 400



=== TEST 7: an unknown member
--- raw_request eval: ask('anna', '{"tll":60}')
--- error_code: 400
--- response_body_like: "detail":"[^,]*tll.*"code":"unknown_field"



=== TEST 8: too large a body
--- config eval: media_server('lingering_timeout 100ms;')
--- raw_request eval: ask('anna', '{"ttl":' . ' ' x 2000 . '60}')
--- error_code: 413



=== TEST 9: of somebody else's media
--- raw_request eval: ask('bob', '')
--- error_code: 404



=== TEST 10: it plays without a header; the address is a secret that must not travel on
--- request eval: "GET /play/" . play($::media) . "/audio.mp3"
--- error_code: 200
--- response_headers
Content-Type: audio/mpeg
Cache-Control: private, max-age=60
Referrer-Policy: no-referrer
X-Content-Type-Options: nosniff
Content-Disposition: inline; filename="clip.mp3"
--- response_body: mp3 bytes



=== TEST 11: HEAD, ranges, the original
--- request eval: my $t = play($::media); ["HEAD /play/$t/audio.mp3", "GET /play/$t/audio.mp3", "GET /play/$t/original"]
--- more_headers eval: ['', 'Range: bytes=0-2', '']
--- error_code eval: [200, 206, 200]
--- response_body eval: ['', 'mp3', 'the original']



=== TEST 12: expired
--- request eval: "GET /play/" . play($::media, exp => time - 1) . "/audio.mp3"
--- error_code: 401
--- response_body_like: "instance":"/play/","code":"token_expired"



=== TEST 13: tampered
--- request eval: "GET /play/" . play($::media) . "x/audio.mp3"
--- error_code: 401
--- response_body_like: "code":"token_invalid"



=== TEST 14: an access token is none
--- request eval: "GET /play/" . token('anna') . "/audio.mp3"
--- error_code: 401
--- response_body_like: "code":"token_invalid"



=== TEST 15: an epoch of the past
--- request eval: "GET /play/" . play($::media, epoch => 2) . "/audio.mp3"
--- error_code: 404



=== TEST 16: an epoch no integer of the database holds
--- request eval: "GET /play/" . play($::media, epoch => 4294967297) . "/audio.mp3"
--- error_code: 404



=== TEST 17: no such output, outputs beside the name
--- request eval: my $t = play($::media); ["GET /play/$t/none.mp3", "GET /play/$t/", "GET /play/$t/a/b", "GET /play/$t/.x"]
--- error_code eval: [404, 404, 404, 404]



=== TEST 18: media_auth on around it does not ask on the way to S3
--- config eval: media_server('media_auth on;', 'location /play/ { media on; media_auth off; }')
--- request eval: "GET /play/" . play($::media) . "/audio.mp3"
--- error_code: 200
--- response_body: mp3 bytes



=== TEST 19: the guard lets through that one jump only
--- config
location /play/ { media on; }
location @media_object {
    error_page 502 504 = /guarded.html;
    proxy_pass http://127.0.0.1:1;
}
location = /guarded.html {
    media_auth on;
    try_files /index.html =404;
}
--- request eval: "GET /play/" . play($::media) . "/audio.mp3"
--- error_code: 401
--- no_error_log
[alert]
[emerg]



=== TEST 20: with playback tokens the log names the path without them
--- http_config eval: media_http() . "include $ENV{TEST_NGINX_MEDIA_CONF}/../media-log.conf;\n" =~ s{media\.conf/\.\./}{}r
--- config eval: media_server("access_log logs/error.log media;")
--- request eval: "GET /play/" . play($::media, exp => time - 5) . "/audio.mp3"
--- error_code: 401
--- wait: 0.1
--- error_log
"path":"/play/*/audio.mp3"



=== TEST 20: S3 is away: error.log, $request and $uri name no token
--- http_config eval
media_http(s3 => 'http://127.0.0.1:1') . 'log_format all "[$request] [$uri] [$request_uri]";'
--- config eval: media_server('access_log logs/error.log all;')
--- request eval: "GET /play/" . play($::media) . "/audio.mp3"
--- error_code: 503
--- response_body_like: "instance":"/play/","code":"storage_unavailable"
--- wait: 0.1
--- error_log
request: "GET /play/* HTTP/1.1"
[GET /play/* HTTP/1.1]
--- no_error_log
eyJ
[alert]
[emerg]



=== TEST 21: neither does a message of another module
--- config eval: media_server('deny all;')
--- request eval: "GET /%70lay/" . play($::media) . "/audio.mp3"
--- error_code: 403
--- error_log
access forbidden by rule
--- no_error_log
eyJ
