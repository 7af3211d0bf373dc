# GET /download?fid=

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MediaTest;

our $ready = media('anna', name => 'talk.final.mov', outputs => { 'audio.mp3' => ['audio/mpeg', 'mp3 bytes'] });
our $processing = media('anna', state => 'processing');
our $failed = media('anna', state => 'failed');

no_shuffle();
run_tests();

__DATA__

=== TEST 1: the main output as an attachment named after the upload
--- request eval: "GET /download?fid=$::ready"
--- more_headers eval: bearer('anna')
--- error_code: 200
--- response_headers
Content-Type: audio/mpeg
Content-Disposition: attachment; filename="talk.final.mp3"
--- response_body: mp3 bytes



=== TEST 2: HEAD and ranges
--- request eval: ["HEAD /download?fid=$::ready", "GET /download?fid=$::ready"]
--- more_headers eval: [bearer('anna'), bearer('anna') . 'Range: bytes=4-']
--- error_code eval: [200, 206]
--- response_body eval: ['', 'bytes']



=== TEST 3: upper case, percent-encoded, beside others
--- request eval: "GET /download?utm=1&fid=" . uc($::ready =~ s/-/%2D/r)
--- more_headers eval: bearer('anna')
--- error_code: 200



=== TEST 4: without fid
--- pipelined_requests eval: ["GET /download", "GET /download?fid=", "GET /download?file=$::ready"]
--- more_headers eval: bearer('anna')
--- error_code eval: [400, 400, 400]
--- response_body_like eval: [(qr/"code":"fid_missing"/) x 3]



=== TEST 5: unknown, no id, somebody else's
--- request eval: ["GET /download?fid=00000000-0000-7000-8000-000000000000", "GET /download?fid='", "GET /download?fid=$::ready"]
--- more_headers eval: [bearer('anna'), bearer('anna'), bearer('bob')]
--- error_code eval: [404, 404, 404]
--- response_body_like eval: [(qr/"code":"not_found"/) x 3]



=== TEST 6: still processing
--- request eval: "GET /download?fid=$::processing"
--- more_headers eval: bearer('anna')
--- error_code: 409
--- response_body_like: "code":"not_ready"



=== TEST 7: failed, with the cause
--- request eval: "GET /download?fid=$::failed"
--- more_headers eval: bearer('anna')
--- error_code: 409
--- response_body_like: "detail":"the video has no sound".*"code":"failed"



=== TEST 8: no token
--- request eval: "GET /download?fid=$::ready"
--- error_code: 401
