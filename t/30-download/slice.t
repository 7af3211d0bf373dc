# The download cache of the shipped configuration: slices of 4 MiB, fetched once, by as few requests as can be

use lib 't/lib';
use Test::More;
use MIME::Base64 qw(encode_base64);
use MediaTest;
use MediaNginx;
use MediaStore;

my $SLICE = 4 << 20;

my $store = MediaStore->new;
my $nginx = MediaNginx->start(http => media_http(s3 => $store->url), server => media_server('listen 127.0.0.1:' . (1 + ($ENV{TEST_NGINX_PORT} // 1984)) . ' http2;'));
my $counted = 0;

# What S3 was asked for since the last call
sub asked {
    my @gets = $store->gets;
    my @new = @gets[$counted .. $#gets];
    $counted = @gets;
    return @new;
}

sub get {
    my ($media, @headers) = @_;
    return $nginx->ask(http("GET /media/$media/original", bearer('anna') . join '', map { "$_\n" } @headers));
}

sub head {
    my ($media, @headers) = @_;
    return $nginx->ask(http("HEAD /media/$media/original", "Connection: close\n" . bearer('anna') . join '', map { "$_\n" } @headers));
}

# ---- a little of a large object ----

my $size = 10 << 30;
my $large = $store->media($size);
for my $case (
    ['the first bytes', '0-99', 0, 1],
    ['the last bytes', '-100', $size - 100, 1],
    ['across a border of slices', 7 * $SLICE - 50 . '-' . (7 * $SLICE + 49), 7 * $SLICE - 50, 2],
    ['the bytes before a border', 9 * $SLICE - 100 . '-' . (9 * $SLICE - 1), 9 * $SLICE - 100, 1],
    ['the bytes behind a border', 11 * $SLICE . '-' . (11 * $SLICE + 99), 11 * $SLICE, 1],
) {
    my ($name, $range, $first, $slices) = @$case;
    my $answer = get($large, "Range: bytes=$range");
    is($answer->{status}, 206, "$name: 206");
    is($answer->{headers}{'content-range'}, "bytes $first-" . ($first + 99) . "/$size", "$name: Content-Range");
    ok($answer->{body} eq $store->content($first, 100), "$name: the bytes");
    my @gets = asked();
    is(scalar @gets, $slices, "$name: so many requests to S3") or diag(map { "$_->{range}\n" } @gets);
    is((grep { $_->{range} !~ /^bytes=(\d+)-(\d+)$/ || $1 % $SLICE || $2 != $1 + $SLICE - 1 } @gets) + 0, 0, "$name: whole slices");
    $answer = get($large, "Range: bytes=$range");
    ok($answer->{body} eq $store->content($first, 100), "$name, again: the bytes");
    is(scalar asked(), 0, "$name, again: S3 is not asked");
}

# ---- HEAD ----

my $answer = head($large);
is($answer->{status}, 200, 'HEAD: 200');
is($answer->{headers}{'content-length'}, $size, 'HEAD: the length');
is($answer->{headers}{'accept-ranges'}, 'bytes', 'HEAD: Accept-Ranges');
is(head($large, 'Range: bytes=0-99')->{status}, 200, 'HEAD has no ranges');
is(scalar asked(), 0, 'HEAD does not ask S3');

# ---- sizes around a slice; hit equals miss equals HEAD ----

sub headers {
    my ($answer) = @_;
    my %h = %{ $answer->{headers} };
    delete @h{qw(date x-request-id connection)};
    return join "\n", map { "$_: $h{$_}" } sort keys %h;
}

for my $size (0, 1, $SLICE - 1, $SLICE, $SLICE + 1, 3 * $SLICE) {
    my $media = $store->media($size);
    my $miss = get($media);
    is("$miss->{status} " . length $miss->{body}, "200 $size", "$size bytes: all of them");
    ok($miss->{body} eq $store->content(0, $size), "$size bytes: the right ones");
    is(scalar asked(), int(($size + $SLICE - 1) / $SLICE), "$size bytes: one request for each slice");
    my $hit = get($media);
    ok($hit->{body} eq $miss->{body}, "$size bytes: the same out of the cache");
    is(scalar asked(), 0, "$size bytes: S3 is not asked again");
    is(headers($hit), headers($miss), "$size bytes: the same headers out of the cache");
    is(headers(head($media)), headers($miss), "$size bytes: the same headers of HEAD");
    is(join("\n", grep { /fake|x-amz|vary|no-store|cookie|accel|2015/i } split /\n/, headers($miss)), '', "$size bytes: none of S3's headers")
        if $size;
}

my $media = $store->media(3 * $SLICE);
my @parts = map { get($media, "Range: bytes=$SLICE-" . (2 * $SLICE)) } 1, 2;
is(headers($parts[1]), headers($parts[0]), 'a part: the same headers out of the cache');
is($parts[0]{headers}{'accept-ranges'}, 'bytes', 'a part: Accept-Ranges');
asked();

# ---- HTTP/2 ----

my $h2 = $nginx->{port} + 1;
sub h2 {
    my ($media, @options) = @_;
    my $token = MediaTest::token('anna');
    my $out = "$nginx->{dir}/h2";
    unlink $out;
    my $said = qx(curl -sS --http2-prior-knowledge -o $out -w '%{http_version} %{http_code} %{errormsg}' -H 'Authorization: Bearer $token' @options http://127.0.0.1:$h2/media/$media/original);
    return ($said =~ s/ $//r, -e $out ? MediaNginx::slurp($out) : '');
}
my $size_h2 = 3 * $SLICE + 5;
$media = $store->media($size_h2);
for my $what ('missed', 'cached') {
    my ($said, $bytes) = h2($media);
    is($said, '2 200', "HTTP/2, $what: 200");
    ok($bytes eq $store->content(0, $size_h2), "HTTP/2, $what: all bytes");
}
my ($said, $bytes) = h2($media, '-r', ($SLICE - 5) . '-' . (2 * $SLICE + 5));
is($said, '2 206', 'HTTP/2: 206');
ok($bytes eq $store->content($SLICE - 5, $SLICE + 11), 'HTTP/2: a part');
is((h2($media, '-I'))[0], '2 200', 'HTTP/2: HEAD');
asked();

# ---- more than one reader ----

$media = $store->media(5 * $SLICE);
my @clients = map { $nginx->client } 1 .. 4;
$_->send(http("GET /media/$media/original", bearer('anna'))) for @clients;
is(length $_->answer->{body}, 5 * $SLICE, 'readers of one cold object: all bytes') for @clients;
my %times;
$times{ $_->{range} }++ for asked();
is(join(' ', sort values %times), '1 1 1 1 1', 'four readers of one cold object: S3 sends each slice once');

# ---- what the cache is and what it is not ----

my $dir = "$nginx->{dir}/cache";
my $found = qx(grep -rlaE 'AWS4-HMAC|Signature|Bearer' $dir);
is($found, '', 'no signature and no token in the cache');
like(qx(grep -rahoE '^KEY: .*' $dir | head -n 1), qr{^KEY: 127\.0\.0\.1:\d+/media/media/[^ ]+/original @{[$store->etag]} bytes=\d+-\d+$},
    'its key is bucket, object key, version, slice');

is($nginx->ask(http("GET /media/$media/original", bearer('bob')))->{status}, 404, 'cached, but not for somebody else');
is($nginx->ask(http("GET /media/$media/original", "Connection: close\n"))->{status}, 401, 'cached, but not without a token');
sql("DELETE FROM jobs WHERE media_id = '$media'; DELETE FROM media WHERE id = '$media'");
is(get($media)->{status}, 404, 'cached, but deleted: 404 at once');
is(head($media)->{status}, 404, 'HEAD, too');
is(scalar asked(), 0, 'all this without asking S3');

# ---- rights that end while the bytes stay in the cache ----

sub status { my ($path, @headers) = @_; return $nginx->ask(http("GET $path", join '', 'Connection: close', "\n", @headers))->{status} }

my $basic = encode_base64(join(':', @{ user('anna') }{qw(email password)}), '');
my $own = 'Authorization: Bearer ' . $nginx->ask(http('POST /login', "Authorization: Basic $basic\nContent-Length: 0\n"))->{json}{access_token} . "\n";
$media = $store->media(1000, outputs => { 'audio.mp3' => ['audio/mpeg', 'x'] });
my $path = "/media/$media/audio.mp3";
sub play { my $token = $nginx->ask(http("POST /media/$media/token", $own . "Content-Length: 0\n"))->{json}{token}; return "/play/$token/audio.mp3" }
my $play = play();
is(status($path, $own), 200, 'the owner');
is(status($path), 401, 'somebody without a token');
sql("UPDATE media SET visibility = 'public' WHERE id = '$media'");
is(status($path), 200, 'public: everybody');
is(status($play), 200, 'a playback token');
asked();
sql("UPDATE media SET visibility = 'private' WHERE id = '$media'");
is(status($path), 401, 'private again: 401 at once');
is(status($path, bearer('bob')), 404, 'and 404');
sql("UPDATE media SET token_epoch = token_epoch + 1 WHERE id = '$media'");
is(status($play), 404, 'the playback token was revoked');
$play = play();
is(status($play), 200, 'another one');
is($nginx->ask(http('POST /logout', "Content-Length: 0\n$own"))->{status}, 204, 'logout');
is(status($path, $own), 401, 'logged out');
is(status($play), 404, 'and its playback token, too');
is(scalar asked(), 0, 'all this without asking S3');

$nginx->stop;

# ---- without it ----

$nginx = MediaNginx->start(http => media_http(s3 => $store->url, cache => 'off'), server => media_server());
$answer = get($large, 'Range: bytes=5000000000-5000000099');
is($answer->{status}, 206, 'without the cache: 206');
ok($answer->{body} eq $store->content(5_000_000_000, 100), 'without the cache: the bytes');
is(join(' ', map { $_->{range} } asked()), 'bytes=5000000000-5000000099', 'without the cache S3 is asked for that range');
get($large, 'Range: bytes=0-9') for 1, 2;
is(scalar asked(), 2, 'each time');
$answer = get($store->media($SLICE + 1));
ok($answer->{body} eq $store->content(0, $SLICE + 1), 'without the cache: a whole object');
is(join(' ', map { $_->{range} } asked()), '-', 'by one request without a range');
is(qx(find $nginx->{dir}/cache -type f), '', 'nothing was written');
$nginx->stop('nginx without a cache');

done_testing();
