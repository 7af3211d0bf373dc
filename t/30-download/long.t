# Downloads that take long: each slice is signed anew, what a slice holds is given back, the rate is kept

use lib 't/lib';
use Test::More;
use Time::Local qw(timegm);
use Time::HiRes qw(time);
use MediaTest;
use MediaNginx;
use MediaStore;

my $SLICE = 4 << 20;

# S3 takes no signature older than two seconds
my $store = MediaStore->new(before => sub {
    my ($s3, $request) = @_;
    my @t = ($request->{headers}{'x-amz-date'} // '') =~ /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/ or return $request->error(400, 'AccessDenied');
    my $age = time - timegm(@t[5, 4, 3, 2], $t[1] - 1, $t[0]);
    return $age > 2 ? $request->error(403, 'RequestTimeTooSkewed') : 0;
});

# ---- rate and signatures ----

my $nginx = MediaNginx->start(http => media_http(s3 => $store->url, rate => $SLICE), server => media_server());
my $media = $store->media(6 * $SLICE);
for my $what ('missed', 'cached') {
    my $began = time;
    my $answer = $nginx->ask(http("GET /media/$media/original", bearer('anna')));
    my $took = time - $began;
    ok($answer->{body} eq $store->content(0, 6 * $SLICE), "a slow download of slices $what: all bytes");
    cmp_ok($took, '>', 4, "$what: no faster than the rate");
    cmp_ok($took, '<', 60, "$what: nor much slower");
}
my %dates = map { $_->{date} => 1 } $store->gets;
cmp_ok(scalar keys %dates, '>=', 4, 'slices are signed when they are asked for');
$nginx->stop('nginx with a rate');

# ---- what a download holds ----

sub held {
    my ($worker) = @_;
    my $files = grep { (readlink // '') =~ m{/cache/} } glob "/proc/$worker/fd/*";
    my ($kb) = MediaNginx::slurp("/proc/$worker/status") =~ /^VmRSS:\s+(\d+)/m;
    return ($files, $kb);
}

my $slices = 400;
my $closing = MediaStore->new(closes => 1);
for my $from (['S3', $store], ['an S3 that closes its connections', $closing]) {
    my ($name, $s3) = @$from;
    $nginx = MediaNginx->start(http => media_http(s3 => $s3->url), server => media_routes(slice => '64k'));
    my ($worker) = $nginx->workers;
    $media = $s3->media($slices * (64 << 10));
    for my $how ('missed', 'cached') {
        my $what = "$slices slices of $name, $how";
        my $client = $nginx->client;
        $client->send(http("GET /media/$media/original", bearer('anna')));
        $client->need(sub { length $client->{in} > 100 * (64 << 10) });
        my (undef, $before) = held($worker);
        $client->need(sub { length $client->{in} > ($slices - 50) * (64 << 10) });
        my ($files, $after) = held($worker);
        my $each = ($after - $before) / ($slices - 150);
        cmp_ok($files, '<', 20, "$what: few open files");
        note(sprintf '%s: %d files, %.1f KiB each', $what, $files, $each);
        cmp_ok($each, '<', 32, "$what: KiB held for each until the end") if !$ENV{ASAN_OPTIONS};
        is(length $client->answer->{body}, $slices * (64 << 10), "$what: all bytes");
    }
    $nginx->stop("nginx with slices of $name");
}

# ---- the size of the cache ----

sub used { my ($kb) = qx(du -sk $nginx->{dir}/cache) =~ /^(\d+)/; return $kb >> 10 }

$nginx = MediaNginx->start(http => media_http(s3 => $store->url, cache_size => '16m'), server => media_server());
$media = $store->media(20 * $SLICE);
my $client = $nginx->client;
$client->send(http("GET /media/$media/original", bearer('anna')));
$client->need(sub { length $client->{in} > 19 * $SLICE });
ok($nginx->await('the cache shrinks', sub { used() <= 16 }), '80 MiB through a cache of 16 MiB: its size is kept');
my ($gone) = grep { /\(deleted\)/ } map { readlink // '' } glob '/proc/' . ($nginx->workers)[0] . '/fd/*';
is($gone, undef, 'and what was deleted is not held open by the download that goes on');
is(length $client->answer->{body}, 20 * $SLICE, 'which gets all bytes');
$nginx->stop('nginx with a small cache');

# ---- clients that leave ----

$nginx = MediaNginx->start(http => media_http(s3 => $store->url), server => media_server());
$media = $store->media(20 * $SLICE);
$nginx->ask(http("HEAD /media/$media/original", "Connection: close\n" . bearer('anna')));
my $sockets = $nginx->sockets;
my $before = () = $store->gets;
for (1 .. 10) {
    $client = $nginx->client;
    $client->send(http("GET /media/$media/original", bearer('anna') . 'Range: bytes=' . $_ * $SLICE . "-\n"));
    $client->need(sub { length $client->{in} > 100_000 });
    $client->reset;
}
$nginx->await('their connections are closed', sub { $nginx->sockets < $sockets + 10 });
my $asked = () = $store->gets;
cmp_ok($asked - $before, '<=', 20, 'ten clients that leave within a slice cost one or two each');
is($nginx->ask(http("GET /media/$media/original", bearer('anna') . "Range: bytes=@{[5 * $SLICE]}-@{[5 * $SLICE + 9]}\n"))->{body},
    $store->content(5 * $SLICE, 10), 'and the others get theirs');
$nginx->stop('nginx whose clients leave');

# ---- a worker that shall exit, its threads writing to the cache ----

for my $round (1, 2) {
    $nginx = MediaNginx->start(http => media_http(s3 => $store->url), server => media_server());
    my @stay = map { $nginx->client } 1 .. 4;
    for my $i (0 .. $#stay) {
        my ($first, $last) = (4 * $i * $SLICE, 4 * ($i + 1) * $SLICE - 1);
        $stay[$i]->send(http("GET /media/$media/original", bearer('anna') . "Range: bytes=$first-$last\n"));
    }
    for my $stay (@stay) {
        $stay->need(sub { length $stay->{in} > 100_000 });
    }
    $nginx->kill('QUIT');
    is(length $_->answer->{body}, 4 * $SLICE, 'QUIT: a download goes on to its end') for @stay;
    $nginx->stop('nginx that stops while it sends');
}

# ---- how many at once ----

$nginx = MediaNginx->start(http => media_http(s3 => $store->url, rate => '100k', download_key => '$media_sub'), server => media_server());
my @clients = map { $nginx->client } 1 .. 33;
$_->send(http("GET /media/$media/original", bearer('anna'))) for @clients;
my @answers = map { my $client = $_; $client->need(sub { $client->{in} =~ /\r\n\r\n/ }); $client->{in} =~ m{^HTTP/1.1 (\d+)}; $1 } @clients;
is(join(' ', sort @answers), join(' ', (200) x 32, 429), '32 downloads of one user, not 33');
my ($refused) = grep { $_->{in} =~ /^HTTP.1.1 429/ } @clients;
my $answer = $refused->answer;
is($answer->{json}{code}, 'rate_limited', 'the last is told why');
is($answer->{headers}{'retry-after'}, 5, 'and when to come again');
$_->close for @clients;
$nginx->stop('nginx with a limit');

done_testing();
