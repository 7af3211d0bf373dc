# Conditions and ranges are answered from the row (RFC 9110 13 and 14)

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MediaTest;

our $media = media('anna', bytes => '0123456789');
our $etag = sql("SELECT etag FROM media WHERE id = '$media'");
our $empty = media('anna', bytes => '');
sql("UPDATE media SET created_at = '2024-02-29 12:00:00.7Z' WHERE id = '$media'");
our $done = media('anna', outputs => { 'audio.mp3' => ['audio/mpeg', 'mp3 bytes'] });
our $done_etag = sql("SELECT etag FROM outputs WHERE media_id = '$done'");
our $date = 'Thu, 29 Feb 2024 12:00:00 GMT';
our $older = 'Thu, 29 Feb 2024 11:59:59 GMT';
our $newer = 'Thu, 29 Feb 2024 12:00:01 GMT';

# many requests with one header each: [header lines, status, body or header expected]
sub get {
    my ($what, @cases) = @_;
    return { request => [map { "GET /media/$::media/original" } @cases],
             more_headers => [map { bearer('anna') . $_->[0] } @cases],
             error_code => [map { $_->[1] } @cases],
             response_body_like => [map { $_->[2] // qr/^0123456789$/ } @cases] }->{$what};
}
in_sections(get => \&get);

our @match = (
    [qq{If-None-Match: "$etag"}, 304, qr/^$/],
    [qq{If-None-Match: W/"$etag"}, 304, qr/^$/],
    [qq{If-None-Match: "x", "$etag"}, 304, qr/^$/],
    [qq{If-None-Match: "x" ,, W/"y"}, 200],
    ['If-None-Match: *', 304, qr/^$/],
    [qq{If-None-Match: $etag}, 200],
    [qq{If-Match: "$etag"}, 200],
    ['If-Match: *', 200],
    [qq{If-Match: W/"$etag"}, 412, qr/precondition_failed/],
    ['If-Match: "x"', 412, qr/precondition_failed/],
    # the tag decides, the date beside it does not count
    [qq{If-None-Match: "x"\nIf-Modified-Since: $date}, 200],
    [qq{If-Match: "$etag"\nIf-Unmodified-Since: $older}, 200],
    # 412 before 304, both before any range
    [qq{If-Match: "x"\nIf-None-Match: "$etag"}, 412, qr/precondition_failed/],
    [qq{If-Match: "x"\nRange: bytes=99-}, 412, qr/precondition_failed/],
    [qq{If-None-Match: "$etag"\nRange: bytes=99-}, 304, qr/^$/],
    [qq{If-Match: "$etag"\nRange: bytes=99-}, 416, qr/range_not_satisfiable/],
    [qq{If-Match: "$etag"\nIf-None-Match: "x"\nRange: bytes=1-2}, 206, qr/^12$/],
    ['If-None-Match: ' . join(', ', map { qq{"tag-$_"} } 1 .. 300) . qq{, "$etag"}, 304, qr/^$/],
    # what is no list of tags matches nothing
    ['If-None-Match: "', 200],
    ['If-None-Match: ,', 200],
    ['If-None-Match:', 200],
    ['If-Match: "', 412, qr/precondition_failed/],
    ['If-Match:', 412, qr/precondition_failed/],
    [qq{If-None-Match: w/"$etag"}, 200],
    [qq{If-None-Match: "@{[uc $etag]}"}, $etag =~ /[a-f]/ ? 200 : 304, $etag =~ /[a-f]/ ? undef : qr/^$/],
);

our @dates = (
    ["If-Modified-Since: $date", 304, qr/^$/],
    ["If-Modified-Since: $newer", 304, qr/^$/],
    ["If-Modified-Since: $older", 200],
    ['If-Modified-Since: yesterday', 200],
    ["If-Unmodified-Since: $date", 200],
    ["If-Unmodified-Since: $older", 412, qr/precondition_failed/],
    ['If-Unmodified-Since: yesterday', 200],
    # the three forms of RFC 9110 5.6.7, and none of them
    ['If-Modified-Since: Thursday, 29-Feb-24 12:00:00 GMT', 304, qr/^$/],
    ['If-Modified-Since: Thu Feb 29 12:00:00 2024', 304, qr/^$/],
    ['If-Modified-Since: Fri, 29 Feb 2030 12:00:00 GMT', 200],
    ['If-Modified-Since: 2030-02-28T12:00:00Z', 200],
    ['If-Modified-Since: 1900000000', 200],
    ['If-Modified-Since:', 200],
    ["If-Modified-Since: $date, $newer", 200],
    ["If-Modified-Since: $date; length=10", 200],
    ["If-Unmodified-Since: $older, $older", 200],
    ["If-Unmodified-Since: $older\nIf-Modified-Since: $date", 412, qr/precondition_failed/],
    ["If-Unmodified-Since: $date\nIf-Modified-Since: $date", 304, qr/^$/],
    # nginx takes the same header twice for an attack
    ["If-Modified-Since: $older\nIf-Modified-Since: $older", 400, qr/bad_request/],
    [qq{If-None-Match: "x"\nIf-None-Match: "y"}, 400, qr/bad_request/],
);

our @ranges = (
    ['Range: bytes=0-0', 206, qr/^0$/],
    ['Range: bytes=2-', 206, qr/^23456789$/],
    ['Range: bytes=-3', 206, qr/^789$/],
    ['Range: bytes=-300', 206, qr/^0123456789$/],
    ['Range: BYTES=3-4', 206, qr/^34$/],
    ['Range: bytes=8-99999999999999999999999', 206, qr/^89$/],
    ['Range: bytes=10-', 416, qr/range_not_satisfiable/],
    ['Range: bytes=99999999999999999999999-', 416, qr/range_not_satisfiable/],
    ['Range: bytes=-0', 416, qr/range_not_satisfiable/],
    ['Range: bytes=5-4', 200],
    ['Range: bytes=99-4', 200],
    ['Range: bytes=a-b', 200],
    ['Range: bytes=-', 200],
    ['Range: bytes=1', 200],
    ['Range: bytes=', 200],
    ['Range: bytes=1-2x', 200],
    ['Range: lines=1-2', 200],
    ['Range: bytes 1-2', 200],
    ['Range: bytes=-1-2', 200],
    ['Range: bytes=1--2', 200],
    ['Range: bytes=--2', 200],
    ['Range: bytes=+1-2', 200],
    ['Range: bytes=0x1-2', 200],
    ['Range: bytes=1 - 2', 200],
    ['Range:', 200],
    ['Range: bytes= 1-2 ', 206, qr/^12$/],
    ['Range: bytes=0-', 206, qr/^0123456789$/],
    ['Range: bytes=0-9', 206, qr/^0123456789$/],
    ['Range: bytes=9-9', 206, qr/^9$/],
    ['Range: bytes=9223372036854775806-9223372036854775807', 416, qr/range_not_satisfiable/],
    ['Range: bytes=-9223372036854775808', 206, qr/^0123456789$/],
    # several ranges: all of it
    ['Range: bytes=0-1,4-5', 200],
    ['Range: bytes=0-1, 40-50', 200],
    ['Range: bytes=0-1,', 200],
    ['Range: bytes=0-,0-,0-', 200],
    ['Range: bytes=40-,50-', 200],
    ['Range: bytes=' . join(',', ('0-') x 1000), 200],
    ['Range: bytes=' . join(',', map { "$_-$_" } 0 .. 9), 200],
);

our @if_range = (
    [qq{Range: bytes=1-2\nIf-Range: "$etag"}, 206, qr/^12$/],
    [qq{Range: bytes=1-2\nIf-Range: W/"$etag"}, 200],
    [qq{Range: bytes=1-2\nIf-Range: "x"}, 200],
    [qq{Range: bytes=99-\nIf-Range: "x"}, 200],
    [qq{Range: bytes=1-2\nIf-Range: $date}, 206, qr/^12$/],
    [qq{Range: bytes=1-2\nIf-Range: $newer}, 200],
    [qq{If-Range: "$etag"}, 200],
    ['Range: bytes=1-2' . "\n" . 'If-Range: Thursday, 29-Feb-24 12:00:00 GMT', 206, qr/^12$/],
    [qq{Range: bytes=1-2\nIf-Range: $older}, 200],
    [qq{Range: bytes=1-2\nIf-Range: yesterday}, 200],
    [qq{Range: bytes=1-2\nIf-Range: *}, 200],
    [qq{Range: bytes=1-2\nIf-Range: $etag}, 200],
    [qq{Range: bytes=1-2\nIf-Range: "x", "$etag"}, 200],
    [qq{Range: bytes=1-2\nIf-Range: "$etag", "x"}, 200],
    [qq{Range: bytes=1-2\nIf-Range: "$etag}, 200],
    [qq{Range: bytes=1-2\nIf-Range: "}, 200],
    [qq{Range: bytes=1-2\nIf-Range: "$etag"\nIf-Match: "$etag"}, 206, qr/^12$/],
    # 304 before any range
    [qq{Range: bytes=1-2\nIf-None-Match: "$etag"}, 304, qr/^$/],
);

no_shuffle();
run_tests();

__DATA__

=== TEST 1: entity tags
--- request eval: get('request', @::match)
--- more_headers eval: get('more_headers', @::match)
--- error_code eval: get('error_code', @::match)
--- response_body_like eval: get('response_body_like', @::match)



=== TEST 2: dates
--- request eval: get('request', @::dates)
--- more_headers eval: get('more_headers', @::dates)
--- error_code eval: get('error_code', @::dates)
--- response_body_like eval: get('response_body_like', @::dates)



=== TEST 3: ranges
--- request eval: get('request', @::ranges)
--- more_headers eval: get('more_headers', @::ranges)
--- error_code eval: get('error_code', @::ranges)
--- response_body_like eval: get('response_body_like', @::ranges)



=== TEST 4: If-Range
--- request eval: get('request', @::if_range)
--- more_headers eval: get('more_headers', @::if_range)
--- error_code eval: get('error_code', @::if_range)
--- response_body_like eval: get('response_body_like', @::if_range)



=== TEST 5: what a 304 carries
--- request eval: "GET /media/$::media/original"
--- more_headers eval: bearer('anna') . qq{If-None-Match: "$::etag"}
--- error_code: 304
--- response_headers eval
qq{ETag: "$::etag"
Last-Modified: $::date
Cache-Control: private, no-cache
! Content-Type
! Content-Length}



=== TEST 6: what a 416 carries
--- request eval: "GET /media/$::media/original"
--- more_headers eval: bearer('anna') . 'Range: bytes=10-20'
--- error_code: 416
--- response_headers
Content-Range: bytes */10
Content-Type: application/problem+json



=== TEST 7: what a 206 carries
--- request eval: "GET /media/$::media/original"
--- more_headers eval: bearer('anna') . 'Range: bytes=-4'
--- error_code: 206
--- response_headers eval
qq{ETag: "$::etag"
Last-Modified: $::date
Content-Range: bytes 6-9/10
Content-Length: 4
Repr-Digest: sha-256=:hNiYd/DUBB77a/kaFvAkjy/Vc+avBcGflr7bn4gveII=:}
--- response_body: 6789



=== TEST 8: nothing has ranges of an empty object
--- request eval: [("GET /media/$::empty/original") x 3]
--- more_headers eval: [map { bearer('anna') . "Range: bytes=$_" } '0-', '0-0', '-5']
--- error_code eval: [416, 416, 200]
--- response_headers eval: ['Content-Range: bytes */0', 'Content-Range: bytes */0', 'Content-Length: 0']



=== TEST 9: HEAD has no ranges, but conditions
--- request eval: [("HEAD /media/$::media/original") x 6]
--- more_headers eval: [map { bearer('anna') . $_ } 'Range: bytes=1-2', 'Range: bytes=99-', qq{If-None-Match: "$::etag"}, 'If-Match: "x"', "If-Modified-Since: $::date", "If-Unmodified-Since: $::older"]
--- error_code eval: [200, 200, 304, 412, 304, 412]



=== TEST 10: two Range headers are none
--- raw_request eval: http("GET /media/$::media/original", "Connection: close\n" . bearer('anna') . "Range: bytes=0-1\nRange: bytes=2-3\n")
--- error_code: 200
--- response_body: 0123456789



=== TEST 11: the same by /download
--- request eval: [("GET /download?fid=$::done") x 5]
--- more_headers eval: [map { bearer('anna') . $_ } 'Range: bytes=-3', 'Range: bytes=9-', qq{If-None-Match: "$::done_etag"}, 'If-Match: "x"', qq{Range: bytes=1-2\nIf-Range: "x"}]
--- error_code eval: [206, 416, 304, 412, 200]
--- response_body_like eval: [qr/^tes$/, qr/range_not_satisfiable/, qr/^$/, qr/precondition_failed/, qr/^mp3 bytes$/]
