# Guesses at one account from many addresses are slowed down, too; whoever was not guessed at is not

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaNginx;
use MIME::Base64 qw(encode_base64);

my $nginx = MediaNginx->start(http => media_http());

# the window is a minute of the clock: not across its end
my $left = 60 - time % 60;
select undef, undef, undef, $left + 0.5 if $left < 40;

sub try {
    my ($address, $email, $password) = @_;
    my $client = $nginx->client(undef, $address);
    $client->send(http('POST /login', 'Authorization: Basic ' . encode_base64("$email:$password", '') . "\nContent-Length: 0\n"));
    return $client->answer;
}
my ($anna, $bob) = (user('anna'), user('bob'));
my %count;
for my $n (1 .. 51) {
    $count{ try('127.0.1.' . (1 + $n % 8), $anna->{email}, 'wrong')->{status} }++;
}
is_deeply(\%count, { 401 => 50, 429 => 1 }, 'fifty from eight addresses, seven at most from each');
my $answer = try('127.0.1.99', $anna->{email}, $anna->{password});
is($answer->{status}, 429, 'from everywhere');
like($answer->{headers}{'retry-after'}, qr/^[1-5]?[0-9]$/, 'the answer says when to come back');
is(try('127.0.1.1', $bob->{email}, $bob->{password})->{status}, 200, 'another account, from the same address');
is($nginx->metric('login_hashes_total'), 51, 'what is refused costs no hash');
$nginx->stop;

done_testing;
