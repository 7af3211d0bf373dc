# GET /media and GET /media/{id}

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MediaTest;
use JSON::PP ();

our @media = map { media('anna', name => "clip $_ \xe2\x82\xac.mp4", state => $_ == 2 ? 'failed' : 'ready') } 1 .. 3;
our $other = media('bob');

# names of a page and its cursor
sub page {
    my $page = JSON::PP::decode_json($_[0]);
    return join ' ', map { $_->{name} =~ /clip (\d)/ } @{ $page->{items} };
}
add_response_body_check(sub {
    my ($block, $body, $req_idx, $repeated_req_idx, $dry_run) = @_;
    my $want = $block->names or return;
    is(page($body), ref $want ? $want->[$req_idx] : $want, $block->name . ' - names');
});

no_shuffle();
run_tests();

__DATA__

=== TEST 1: own media, newest first
--- request
GET /media
--- more_headers eval: bearer('anna')
--- error_code: 200
--- response_headers
Content-Type: application/json
Cache-Control: private, no-cache
! Link
--- names chomp
3 2 1



=== TEST 2: the other way round, by state, by text
--- request eval: ["GET /media?sort=created_at", "GET /media?state=failed", "GET /media?q=CLIP+3+%E2%82%ac", "GET /media?q=&state=ready&pipeline=audio"]
--- more_headers eval: [(bearer('anna')) x 4]
--- error_code eval: [200, 200, 200, 200]
--- names eval: ['1 2 3', '2', '3', '3 1']



=== TEST 3: pages: the link keeps what was asked and leads to the rest
--- request
GET /media?limit=2&q=clip%20%26%3E&sort=-created_at
--- more_headers eval: bearer('anna')
--- error_code: 200
--- response_headers
! Link



=== TEST 4: the link of a first page
--- request
GET /media?q=mp4&limit=2
--- more_headers eval: bearer('anna')
--- error_code: 200
--- response_headers_like
Link: </media\?limit=2&cursor=[\w%-]+&q=mp4>; rel="next"
--- names chomp
3 2



=== TEST 5: following it
--- request eval
my $next = do {
    my $id = $::media[1] =~ s/-//gr;
    MIME::Base64::encode_base64url(pack 'H*', $id);
};
"GET /media?limit=2&cursor=$next"
--- more_headers eval: bearer('anna')
--- error_code: 200
--- response_headers
! Link
--- names chomp
1



=== TEST 6: what is not understood is refused by name
--- request eval
["GET /media?limt=2", "GET /media?limit=0", "GET /media?limit=101", "GET /media?limit=x", "GET /media?limit=1&limit=2",
 "GET /media?state=done", "GET /media?sort=name", "GET /media?cursor=%21", "GET /media?q=%ff", "GET /media?q=%00",
 "GET /media?q=" . 'x' x 257]
--- more_headers eval: [(bearer('anna')) x 11]
--- error_code eval: [(400) x 11]
--- response_body_like eval
[qr/limt.*unknown_field/, qr/limit: must be 1 to 100/, qr/limit:/, qr/limit:/, qr/limit: given twice/, qr/state:/, qr/sort:/, qr/cursor:/,
 qr/bad_request/, qr/bad_request/, qr/q: too long/]



=== TEST 7: one
--- request eval: "GET /media/$::media[0]"
--- more_headers eval: bearer('anna')
--- error_code: 200
--- response_body_like eval: qr/"id": ?"$::media[0]"/



=== TEST 8: HEAD
--- request eval: ["HEAD /media/$::media[0]", "HEAD /media"]
--- more_headers eval: [(bearer('anna')) x 2]
--- error_code eval: [200, 200]
--- response_body eval: ['', '']



=== TEST 9: somebody else's, unknown, no id
--- request eval: ["GET /media/$::other", "GET /media/00000000-0000-7000-8000-000000000000", "GET /media/x", "GET /media/$::media[0]'"]
--- more_headers eval: [(bearer('anna')) x 4]
--- error_code eval: [404, 404, 404, 404]



=== TEST 10: no token
--- request eval: ["GET /media", "GET /media/$::media[0]"]
--- error_code eval: [401, 401]
