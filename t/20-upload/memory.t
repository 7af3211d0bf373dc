# Memory of uploads of unknown length: it grows with the bytes, media_memory bounds it, nobody waits for it for
# ever, and slow clients do not keep it from others

use lib 't/lib';
use Test::More;
use IO::Select ();
use Time::HiRes qw(sleep time);
use MediaTest;
use MediaNginx;
use MediaS3;
use MediaUpload;

use constant MIB => 1 << 20;

my @chunked = ('a.mp4', undef, 'Transfer-Encoding: chunked');

sub start {
    my (%http) = @_;
    return MediaNginx->start(http => media_http(media_s3_part_size => '5m', media_memory => '20m', %http), server => upload_server());
}

# A chunked upload that has sent so much of its file, and what is still to come
sub begin {
    my ($nginx, $size, $sent) = @_;
    my $bytes = mp4($size, "holder $size" . rand);
    my $client = $nginx->client;
    $client->send(put(@chunked) . sprintf("%x\r\n", length $bytes), substr $bytes, 0, $sent);
    return { client => $client, bytes => $bytes, rest => substr($bytes, $sent) . "\r\n0\r\n\r\n" };
}

sub finish {
    my ($holder) = @_;
    $holder->{client}->send($holder->{rest});
    return $holder->{client}->answer;
}

sub holds {
    my ($nginx, $what, $bytes) = @_;
    my $seen;
    eval { $nginx->await($what, sub { ($seen = $nginx->metric('memory_bytes')) == $bytes }, 10) };
    return is($seen, $bytes, $what);
}

# ---- it grows with the bytes ----

my $s3 = MediaS3->start(sub { my ($self, $request) = @_; sleep 60 if $self->mode eq 'never'; return $request->good });
my $nginx = start(s3 => $s3->url);
my %held = (1 => 4096, 100 => 4096, 4096 => 4096, 4097 => 8192, 10_000 => 16_384, 60_000 => 65_536, 65_537 => 131_072,
    131_073 => 196_608, 2_097_152 => 2_097_152);
$s3->mode('never');
for my $size (sort { $a <=> $b } keys %held) {
    my $client = $nginx->client;
    $client->send(put(@chunked) . chunked(mp4($size)));
    holds($nginx, "a file of $size bytes", $held{$size});
    $client->close;
    holds($nginx, "a file of $size bytes, its client gone", 0);
}
my $client = $nginx->client;
$client->send(put('a.mp4', mp4(300_000)));
$nginx->await('S3 is asked', sub { grep({ /^PUT/ } $s3->asked) > keys %held });
is($nginx->metric('memory_bytes'), 0, 'a file of known length holds none');
$client->close;
undef $s3;
$nginx->stop('growing');

# ---- all of it is held by clients that stand still ----

$nginx = start(media_memory_wait => '2s', media_min_rate => 0);
my @holders = map { begin($nginx, 5_000_000, 4 * MIB) } 1 .. 4;
holds($nginx, 'four clients hold 4 MiB each', 16 * MIB);

my $began = time;
my @new = map { $nginx->client } 1 .. 3;
$_->send(put(@chunked, 'Expect: 100-continue')) for @new;
$nginx->await('they wait', sub { $nginx->metric('memory_waiting') == 3 });
my $small = mp4(100_000);
committed($nginx->ask(put('a.mp4', $small)), $small, 'meanwhile a file of known length');
for my $n (0 .. 2) {
    my $answer = $new[$n]->answer;
    problem($answer, 503, 'overloaded', "new upload $n", qr/memory/);
    cmp_ok(time - $began, '>=', 1.9, "new upload $n - after media_memory_wait");
    cmp_ok(time - $began, '<', 5, "new upload $n - not much later");
    like($answer->{headers}{'retry-after'}, qr/^\d+$/, "new upload $n - when to come back");
}
is($nginx->metric('uploads_started_total'), 5, 'none of them was begun');
is($nginx->metric('memory_waiting'), 0, 'nobody waits');

$client = $nginx->client;
$client->send(put(@chunked, 'Expect: 100-continue'));
$nginx->await('another one waits', sub { $nginx->metric('memory_waiting') == 1 });
committed(finish($holders[$_]), $holders[$_]{bytes}, "holder $_, with the memory left for that") for 0 .. 3;
is($client->answer->{status}, 100, 'another one has got its turn');
$client->send(chunked($small));
committed($client->answer, $small, 'another one');
holds($nginx, 'no memory is held', 0);

# those who wait leave, and it is noticed
@holders = map { begin($nginx, 5_000_000, 4 * MIB) } 1 .. 4;
holds($nginx, 'four clients hold 4 MiB each, again', 16 * MIB);
@new = map { $nginx->client } 1 .. 3;
$_->send(put(@chunked)) for @new;
$nginx->await('three wait', sub { $nginx->metric('memory_waiting') == 3 });
$_->close for @new;
$nginx->await('none waits', sub { $nginx->metric('memory_waiting') == 0 });
$_->{client}->reset for @holders;
holds($nginx, 'nothing is left of them', 0);
is($nginx->metric('uploads_active'), 0, 'no upload is active');
$nginx->stop('held');

# ---- more files than fit, all of them half way: each part can still be filled ----

$nginx = start();
my @uploads = map { begin($nginx, 12_000_000 + $_, 0) } 1 .. 12;
my ($most, $looked) = (0, 0);
while (my @open = grep { length $_->{rest} } @uploads) {
    my %by = map { fileno $_->{client}{socket} => $_ } @open;
    for my $socket (IO::Select->new(map { $_->{client}{socket} } @open)->can_write(5)) {
        my $upload = $by{ fileno $socket };
        my $n = syswrite $socket, $upload->{rest}, 65_536;
        substr $upload->{rest}, 0, $n, '' if $n;
    }
    if (time - $looked > 0.05) {
        $looked = time;
        my $now = $nginx->metric('memory_bytes');
        $most = $now if $now > $most;
    }
}
committed($_->{client}->answer, $_->{bytes}, 'one of twelve') for @uploads;
cmp_ok($most, '>', 10 * MIB, 'the memory was used');
# and what one read brings to each of those who were let on at once
cmp_ok($most, '<=', 20 * MIB + 8 * 65_536, 'and not more than that');
holds($nginx, 'no memory is held', 0);
$nginx->stop('twelve');

# ---- media_min_rate: who is too slow for others ----

$nginx = start(media_memory => '40m', media_min_rate => '30k');
my @slow = map { begin($nginx, 5_000_000, 4 * MIB) } 1 .. 8;
my $steady = begin($nginx, 3_000_000, MIB / 2);
holds($nginx, 'nine hold their memory', 32 * MIB + MIB / 2);

sub trickle {
    my ($seconds) = @_;
    for my $n (1 .. 10 * $seconds) {
        $steady->{client}->send(substr $steady->{rest}, 0, 6000, '');
        $_->{client}->send(substr $_->{rest}, 0, 100, '') for @slow;
        sleep 0.1;
    }
    return;
}
trickle(13);     # the window and what it may be longer
is($nginx->metric('uploads_active'), 9, 'as long as nobody waits, they may be slow');

my $fresh = begin($nginx, 5_000_000, 2 * MIB);
$nginx->await('a tenth one takes the rest', sub { $nginx->metric('memory_bytes') > 35 * MIB });
$client = $nginx->client;
$client->send(put(@chunked, 'Expect: 100-continue'));
for my $n (0 .. $#slow) {
    my $answer = $slow[$n]{client}->answer;
    problem($answer, 408, 'request_timeout', "slow client $n", qr/30720 bytes per second/);
}
is($client->answer->{status}, 100, 'another one has got its turn');
@slow = ();
trickle(1);
is($nginx->metric('uploads_refused_total'), 8, 'the steady one and the fresh one may stay');
$client->send(chunked($small));
committed($client->answer, $small, 'another one');
committed(finish($_), $_->{bytes}, 'one that may stay') for $steady, $fresh;
holds($nginx, 'no memory is held', 0);
$nginx->stop('media_min_rate');

# ---- gauges over a crash and a reload ----

$nginx = start();
@holders = map { begin($nginx, 5_000_000, MIB) } 1 .. 2;
holds($nginx, 'two uploads', 2 * MIB);
my ($worker) = $nginx->workers;
kill 'KILL', $worker;
$nginx->await('another worker', sub { my @now = $nginx->workers; @now && $now[0] != $worker });
is($nginx->metric('uploads_active'), 0, 'crash - what the dead worker held is not counted');
is($nginx->metric('memory_bytes'), 0, 'crash - nor is its memory');
my $holder = begin($nginx, 5_000_000, MIB);
holds($nginx, 'crash - what its successor holds is', MIB);
($worker) = $nginx->workers;
$nginx->kill('HUP');
$nginx->await('a new worker', sub { grep { $_ != $worker } $nginx->workers });
$nginx->await('it answers', sub { $nginx->metric('uploads_active') });
is($nginx->metric('uploads_active'), 1, 'reload - the old worker still counts');
is($nginx->metric('memory_bytes'), MIB, 'reload - so does its memory');
committed(finish($holder), $holder->{bytes}, 'reload');
$nginx->await('the old worker ends', sub { !grep { $_ == $worker } $nginx->workers });
is($nginx->metric('uploads_active'), 0, 'reload - and no more');
$nginx->destroy;

done_testing();
