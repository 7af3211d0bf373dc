# Repeated failures are slowed down: 429 with Retry-After

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MediaTest;
use MIME::Base64 qw(encode_base64);

in_sections(encode_base64 => \&encode_base64);

# the window is a minute of the clock: not across its end
my $left = 60 - time % 60;
select undef, undef, undef, $left + 0.5 if $left < 30;

no_shuffle();
run_tests();

__DATA__

=== TEST 1: ten wrong passwords, then neither a wrong nor the right one is tried
--- request eval: [('POST /login') x 12, 'GET /metrics']
--- more_headers eval
my $wrong = 'Authorization: Basic ' . encode_base64(user('anna')->{email} . ':wrong', '');
my $right = 'Authorization: Basic ' . encode_base64(user('anna')->{email} . ':' . user('anna')->{password}, '');
[($wrong) x 11, $right, '']
--- error_code eval: [(401) x 10, 429, 429, 200]
--- response_body_like eval: [(qr/credentials_invalid/) x 10, qr/rate_limited/, qr/rate_limited/, qr/^ngx_media_login_hashes_total 10$/m]
--- timeout: 10



=== TEST 2: the answer says when to come back; another account is not affected
--- request eval: [('POST /login') x 12]
--- more_headers eval
my $wrong = 'Authorization: Basic ' . encode_base64(user('carl')->{email} . ':wrong', '');
my $other = 'Authorization: Basic ' . encode_base64(user('dora')->{email} . ':' . user('dora')->{password}, '');
[($wrong) x 11, $other]
--- error_code eval: [(401) x 10, 429, 200]
--- response_headers_like eval: [('Cache-Control: no-store') x 10, 'Retry-After: [1-5]?[0-9]', 'Cache-Control: no-store']
--- timeout: 10
