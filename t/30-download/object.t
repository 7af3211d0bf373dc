# GET and HEAD /media/{id}/{output}: headers, rights, names

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MediaTest;
use Digest::SHA qw(sha256_base64);

our $bytes = join '', map { chr($_ % 256) } 0 .. 299_999;
our $media = media('anna', name => "J\xc3\xbcrgens Fest.mp4", bytes => $bytes, outputs => {
    'audio.mp3' => ['audio/mpeg', 'mp3 bytes'],
    'poster.svg' => ['image/svg+xml', '<svg/>'],
    'page.html' => ['text/html', '<script>'],
    'empty.vtt' => ['text/vtt', ''],
});
our $digest = sha256_base64($bytes) . '=';

no_shuffle();
run_tests();

__DATA__

=== TEST 1: the original, as an attachment under its own name
--- request eval: "GET /media/$::media/original"
--- more_headers eval: bearer('anna')
--- error_code: 200
--- response_headers eval
qq{Content-Type: video/mp4
Content-Length: 300000
Accept-Ranges: bytes
Cache-Control: private, no-cache
X-Content-Type-Options: nosniff
Repr-Digest: sha-256=:$::digest:
Content-Disposition: attachment; filename="J_rgens Fest.mp4"; filename*=UTF-8''J%C3%BCrgens%20Fest.mp4
! x-amz-request-id
! x-amz-id-2
! Content-Security-Policy
! Vary}
--- raw_response_headers_like: ETag: "[0-9a-f]{32}"\r\n
--- response_body eval: $::bytes



=== TEST 2: S3's headers stay there, whatever the configuration hides
--- config
location / { media on; }
location @media_object {
    proxy_pass $media_s3_scheme://media_s3$media_object_uri;
    proxy_set_header Host $media_s3_host;
    proxy_set_header Authorization $media_s3_authorization;
    proxy_set_header x-amz-date $media_s3_date;
    proxy_set_header x-amz-content-sha256 $media_s3_content_sha256;
}
--- request eval: "GET /media/$::media/audio.mp3"
--- more_headers eval: bearer('anna') . "x-amz-meta-forged: 1\nIf-None-Match: \"none\""
--- error_code: 200
--- raw_response_headers_unlike: (?i)x-amz|minio|x-xss|vary:
--- response_headers
Content-Type: audio/mpeg
Accept-Ranges: bytes
--- response_body chomp
mp3 bytes



=== TEST 3: HEAD says the same without the body
--- request eval: "HEAD /media/$::media/original"
--- more_headers eval: bearer('anna')
--- error_code: 200
--- response_headers eval
qq{Content-Type: video/mp4
Content-Length: 300000
Repr-Digest: sha-256=:$::digest:}
--- response_body:



=== TEST 4: sound is shown inline, with the output's extension
--- request eval: "GET /media/$::media/audio.mp3"
--- more_headers eval: bearer('anna')
--- error_code: 200
--- response_headers
Content-Type: audio/mpeg
Content-Disposition: inline; filename="J_rgens Fest.mp3"; filename*=UTF-8''J%C3%BCrgens%20Fest.mp3
--- response_body chomp
mp3 bytes



=== TEST 5: what may carry script is not
--- pipelined_requests eval: ["GET /media/$::media/poster.svg", "GET /media/$::media/page.html"]
--- more_headers eval: bearer('anna')
--- error_code eval: [200, 200]
--- response_headers_like eval: [('Content-Disposition: attachment; .*') x 2]



=== TEST 6: an empty object
--- pipelined_requests eval: ["GET /media/$::media/empty.vtt", "HEAD /media/$::media/empty.vtt"]
--- more_headers eval: bearer('anna')
--- error_code eval: [200, 200]
--- response_headers eval: ["Content-Length: 0", "Content-Length: 0"]



=== TEST 7: no token
--- request eval: "GET /media/$::media/original"
--- error_code: 401
--- response_headers
WWW-Authenticate: Bearer realm="ngx_media"



=== TEST 8: somebody else's, an output that is none, an id that is none: all the same
--- request eval
["GET /media/$::media/original", "GET /media/$::media/nothing.mp3", "GET /media/00000000-0000-7000-8000-000000000000/original",
 "GET /media/abc/original", "GET /media/$::media/..%2foriginal", "GET /media/$::media"]
--- more_headers eval
[bearer('bob'), (bearer('anna')) x 4, bearer('bob')]
--- error_code eval: [(404) x 6]
--- response_body_like eval: [(qr/"code":"not_found"/) x 6]



=== TEST 9: other methods
--- pipelined_requests eval: ["DELETE /media/$::media/original", "POST /media/$::media/original"]
--- more_headers eval: bearer('anna')
--- error_code eval: [405, 405]
--- response_headers eval: ["Allow: GET, HEAD", "Allow: GET, HEAD"]



=== TEST 10: a GET with a body
--- request eval: "GET /media/$::media/original\nxyz"
--- more_headers eval: bearer('anna')
--- error_code: 400
--- response_body_like: "code":"bad_request"



=== TEST 11: S3 denies the object of a live row: a failure of ours, no XML
--- request eval: sub { my $id = media('anna'); sql("UPDATE media SET object_key = object_key || 'x' WHERE id = '$id'"); "GET /media/$id/original" }->()
--- more_headers eval: bearer('anna')
--- error_code: 503
--- response_headers
Content-Type: application/problem+json
Retry-After: 5
Cache-Control: no-store
! Repr-Digest
--- response_body_like: "code":"storage_unavailable"
--- error_log eval: qr{\[error\] .*media s3 failed: download key=media/[0-9a-f-]{36}/originalx status=404 }
--- no_error_log
[alert]
[crit]
[emerg]



=== TEST 12: the same without intercepting in the configuration
--- config
location / { media on; }
location @media_object {
    proxy_pass $media_s3_scheme://media_s3$media_object_uri;
    proxy_set_header Host $media_s3_host;
    proxy_set_header Authorization $media_s3_authorization;
    proxy_set_header x-amz-date $media_s3_date;
    proxy_set_header x-amz-content-sha256 $media_s3_content_sha256;
}
--- request eval: sub { my $id = media('anna'); sql("UPDATE media SET object_key = object_key || 'x' WHERE id = '$id'"); "GET /media/$id/original" }->()
--- more_headers eval: bearer('anna')
--- error_code: 503
--- response_body_unlike: Key



=== TEST 13: S3 is away; neither signature nor key of it in the log
--- http_config eval: media_http(s3 => 'http://127.0.0.1:1')
--- request eval: "GET /media/$::media/original"
--- more_headers eval: bearer('anna')
--- error_code: 503
--- response_headers
Content-Type: application/problem+json
Retry-After: 5
--- response_body_like: "code":"storage_unavailable"
--- no_error_log
AWS4-HMAC
Signature
X-Amz-Signature
[alert]
[emerg]



=== TEST 14: S3 refuses, in its own words
--- http_config eval
media_http(s3 => 'http://127.0.0.1:$TEST_NGINX_RAND_PORT_1')
. 'server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1; location / { return 403 "<Error>SignatureDoesNotMatch</Error>"; } }'
--- request eval: "GET /media/$::media/original"
--- more_headers eval: bearer('anna')
--- error_code: 503
--- response_headers
Content-Type: application/problem+json
--- response_body_like: "code":"storage_unavailable"



=== TEST 15: media_auth on around everything asks once, also on the way to S3
--- config eval: media_server('media_auth on;')
--- pipelined_requests eval: ["GET /media/$::media/audio.mp3", "GET /media/$::media/audio.mp3"]
--- more_headers eval: bearer('anna')
--- error_code eval: [200, 200]
--- response_body eval: ['mp3 bytes', 'mp3 bytes']



=== TEST 16: through a cache of whole objects: HEAD is none of its business, rights are checked on hits
--- http_config eval: media_http() . "proxy_cache_path $ENV{TEST_NGINX_SERVER_ROOT}/proxy_cache keys_zone=c:1m;\n"
--- config
location / { media on; }
location @media_object {
    proxy_pass $media_s3_scheme://media_s3$media_object_uri;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $media_s3_host;
    proxy_set_header Authorization $media_s3_authorization;
    proxy_set_header x-amz-date $media_s3_date;
    proxy_set_header x-amz-content-sha256 $media_s3_content_sha256;
    proxy_cache c;
    proxy_cache_key $media_object_uri;
    proxy_cache_valid 200 1m;
    add_header X-Cache $upstream_cache_status;
}
--- request eval
["HEAD /media/$::media/audio.mp3", "GET /media/$::media/audio.mp3", "GET /media/$::media/audio.mp3", "GET /media/$::media/audio.mp3"]
--- more_headers eval
[bearer('anna'), bearer('anna'), bearer('bob'), bearer('anna') . "Range: bytes=0-2"]
--- error_code eval: [200, 200, 404, 206]
--- response_headers eval: ["! X-Cache", "X-Cache: MISS", "! X-Cache", "X-Cache: HIT"]
--- response_body_like eval: [qr/^$/, qr/^mp3 bytes$/, qr/not_found/, qr/^mp3$/]



=== TEST 17: in slices, each signed
--- config
location / { media on; }
location @media_object {
    slice 64k;
    proxy_pass $media_s3_scheme://media_s3$media_object_uri;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $media_s3_host;
    proxy_set_header Authorization $media_s3_authorization;
    proxy_set_header x-amz-date $media_s3_date;
    proxy_set_header x-amz-content-sha256 $media_s3_content_sha256;
    proxy_set_header Range $slice_range;
}
--- request eval: "GET /media/$::media/original"
--- more_headers eval: bearer('anna')
--- error_code: 200
--- response_headers
Content-Type: video/mp4
Content-Length: 300000
--- response_body eval: $::bytes



=== TEST 18: a part of it out of slices
--- config
location / { media on; }
location @media_object {
    slice 64k;
    proxy_pass $media_s3_scheme://media_s3$media_object_uri;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $media_s3_host;
    proxy_set_header Authorization $media_s3_authorization;
    proxy_set_header x-amz-date $media_s3_date;
    proxy_set_header x-amz-content-sha256 $media_s3_content_sha256;
    proxy_set_header Range $slice_range;
}
--- request eval: "GET /media/$::media/original"
--- more_headers eval: bearer('anna') . 'Range: bytes=65000-131999'
--- error_code: 206
--- response_headers
Content-Range: bytes 65000-131999/300000
--- response_body eval: substr $::bytes, 65000, 67000
