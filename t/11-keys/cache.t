# media_auth_cache: a token that was verified is known until it expires, its key goes, or others need the room

use lib 't/lib';
use Test::More;
use Time::HiRes qw(sleep time);
use MediaTest;
use MediaNginx;
use MediaJwt;

my $secret = 's' x 32;
my $file = write_file(secret => $secret);
my $guarded = 'location / { media_auth on; add_header X-Seen "$media_sub $media_roles $media_email"; empty_gif; }';

sub token { return token_by('s', 'HS256', secret => $secret, kid => undef, @_) }

for my $cache ('off', '64k', '4m') {
    my $nginx = MediaNginx->start(http => "media_auth_key HS256 $file; media_auth_cache $cache;", server => $guarded);
    my $token = token(email => 'a@example.org', roles => ['user', 'admin']);
    my $seen = user('anna')->{id} . ' user,admin a@example.org';
    for my $time (1 .. 3) {
        my $answer = ask_with($nginx, '/', $token);
        is("$answer->{status} $answer->{headers}{'x-seen'}", "200 $seen", "$cache - time $time");
    }

    # almost the same token
    my ($head, $payload, $signature) = split /\./, $token;
    my %near = (
        'another last byte' => substr($token, 0, -2) . (substr($token, -2, 1) eq 'A' ? 'B' : 'A') . substr($token, -1),
        'another first byte' => ($head =~ s/^e/f/r) . ".$payload.$signature",
        'another payload with its signature' => "$head." . (token(roles => ['root']) =~ /\.(.*)\./)[0] . ".$signature",
        'cut' => substr($token, 0, -1), 'longer' => $token . 'A', 'its last part alone' => $signature,
        'the same with a space behind' => "$token ",
    );
    for my $name (sort keys %near) {
        my $want = $name =~ /space/ ? 200 : 401;     # nginx takes spaces off headers
        is(ask_with($nginx, '/', $near{$name})->{status}, $want, "$cache - $name");
    }

    # not beyond exp
    my $short = token(exp => time + 2);
    is(ask_with($nginx, '/', $short)->{status}, 200, "$cache - a token for two seconds");
    is(ask_with($nginx, '/', $short)->{status}, 200, "$cache - known now");
    ok(eval { $nginx->await('expiry', sub { ask_with($nginx, '/', $short)->{status} == 401 }, 5) }, "$cache - expires in time");
    is(ask_with($nginx, '/', $short)->{json}{code}, 'token_expired', "$cache - and says so");

    # more tokens than room
    my @tokens = map { token(jti => "t$_", pad => 'x' x 200) } 1 .. 300;
    my $client = $nginx->client;
    for my $round (1, 2) {
        my %statuses;
        for my $t (@tokens) {
            $client->send(http('GET /', "Authorization: Bearer $t\n"));
            $statuses{ $client->answer->{status} }++;
        }
        is(join(',', %statuses), '200,300', "$cache - 300 tokens, round $round");
    }
    $client->close;
    is(ask_with($nginx, '/', $token)->{headers}{'x-seen'}, $seen, "$cache - the first one again");
    $nginx->stop("cache $cache");
}

# a request that has its token while others push it out of the cache
my $nginx = MediaNginx->start(http => media_http(media_auth_cache => '64k'));
my $slow = $nginx->client;
my $bytes = 'x' x 2000;
$slow->send(http('PUT /upload/a.bin', bearer('anna') . 'Content-Length: ' . length($bytes) . "\n", substr $bytes, 0, 10));
ask_with($nginx, '/healthz', undef) for 1 .. 3;
ask_with($nginx, '/validate', MediaTest::token('anna', jti => "p$_")) for 1 .. 200;
$slow->send(substr $bytes, 10);
like($slow->answer->{status}, qr/^(?:201|415)$/, 'a token in use outlives its place in the cache');
$nginx->stop('in use');

done_testing();
