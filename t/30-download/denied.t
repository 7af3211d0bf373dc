# S3 denies objects whose rows are live, as a store does that has lost members: 503 on every route, and nobody may keep
# it. 404 is for what has no row; what needs no byte is answered from the row as ever

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaNginx;
use MediaStore;
use MediaUpload qw(problem);

my $nginx = MediaNginx->start(server => media_server(), http => media_http() . "media_cors_origin *;\n");
my %outputs = ('audio.mp3' => ['audio/mpeg', 'mp3 bytes'], 'poster.jpg' => ['image/jpeg', 'jpeg bytes'],
    'report.json' => ['application/json', '{"made": "up"}'], 'hls/master.m3u8' => ['application/vnd.apple.mpegurl', "#EXTM3U\n"],
    'dash/manifest.mpd' => ['application/dash+xml', "<MPD></MPD>\n"]);
my $media = media('anna', bytes => 'the original', outputs => \%outputs);
my $anna = bearer('anna');

sub ask { my ($method, $path, $headers) = @_; return $nginx->ask(http("$method $path", "Connection: close\n" . ($headers // ''))) }

sub link_to {
    return ask('POST', "/media/$media/token", "${anna}Content-Length: 0\n")->{json}{href} =~ s{/$}{}r;
}

# What is asked for by which header, where all of it is the answer; and the key of the object
my $link = link_to();
my %keys = map { split /\|/ } split /\n/, sql("SELECT name, object_key FROM outputs WHERE media_id = '$media'");
$keys{original} = sql("SELECT object_key FROM media WHERE id = '$media'");
my @routes = (["/download?fid=$media", $anna, $keys{'audio.mp3'}],
    map { (["/media/$media/$_", $anna, $keys{$_}], ["$link/$_", '', $keys{$_}]) } sort keys %keys);
my %bytes = (original => 'the original', map { ($_ => $outputs{$_}[1]) } keys %outputs);
my %etag = map { $_->[0] => ask('HEAD', @$_)->{headers}{etag} } @routes;

sub deny { s3_curl($_[0], qw(-f -X DELETE)); return }

# ---- while all are denied ----

my $denied = 0;

sub is_denied {
    my ($answer, $name) = @_;
    my %h = %{ $answer->{headers} };
    $denied++;
    problem($answer, 503, 'storage_unavailable', $name);
    is("$h{'retry-after'} $h{'cache-control'}", '5 no-store', "$name - come again, and keep nothing");
    is_deeply([@h{qw(etag content-range last-modified accept-ranges repr-digest)}], [(undef) x 5], "$name - nothing of the object's");
    unlike($answer->{body}, qr/Key|</, "$name - nothing of S3's");
    return;
}

my $failures = $nginx->metric('s3_errors_total');
deny($_) for values %keys;

for (@routes) {
    my ($path, $headers, $key) = @$_;
    my ($name) = $path =~ s/eyJ[^\/]+/*/r;
    my $etag = $etag{$path};
    is_denied(ask('GET', $path, $headers), $name);
    is_denied(ask('GET', $path, "$headers$_\n"), "$name, $_") for 'Range: bytes=1-2', 'Range: bytes=-2', 'If-None-Match: "other"',
        "If-Match: $etag", 'If-Modified-Since: Thu, 01 Jan 2015 00:00:00 GMT', "Range: bytes=1-2\nIf-Range: $etag";
    is(ask('HEAD', $path, $headers)->{status}, 200, "$name, HEAD - the row knows");
    for (["If-None-Match: $etag", 304], ['If-Match: "other"', 412], ['Range: bytes=1000-', 416]) {
        is(ask('GET', $path, "$headers$_->[0]\n")->{status}, $_->[1], "$name, $_->[0] - so it does here");
    }
}
is(ask('GET', "$link/audio.mp3")->{headers}{'referrer-policy'}, 'no-referrer', 'a link does not travel on');
is(ask('GET', "$link/audio.mp3")->{headers}{'access-control-allow-origin'}, '*', 'pages may read why');
$denied += 2;

sql("UPDATE media SET visibility = 'public' WHERE id = '$media'");
$link = link_to();
is_denied(ask('GET', "/media/$media/hls/master.m3u8"), 'public');
is_denied(ask('GET', "$link/hls/master.m3u8"), 'public, by link');

is($nginx->metric('s3_errors_total'), $failures + $denied, 'each was counted, once');
my $log = $nginx->log_text;
my @said = $log =~ /\[error\] .*media s3 failed: download key=(\S+) status=404 cause="no object" req=[0-9a-f-]{36}\b/g;
my %said = map { $_ => 1 } @said;
is_deeply([sort keys %said], [sort values %keys], 'the log names the keys');
is(scalar @said, $denied, 'once for each request');
unlike($log, qr/eyJ|Signature/, 'and no secret');

# ---- no row, no object ----

problem(ask('GET', "/media/$media/nothing.mp3", $anna), 404, 'not_found', 'an output that is none');
problem(ask('GET', "/media/$media/cmaf/1/360p/1.m4s", $anna), 404, 'not_found', 'a segment that is none');
problem(ask('GET', "/media/$media/original", bearer('bob')), 404, 'not_found', "somebody else's original");
problem(ask('GET', '/download?fid=00000000-0000-7000-8000-000000000000', $anna), 404, 'not_found', 'a media that is none');

# ---- S3 has healed ----

s3_put($keys{$_}, $bytes{$_}) for keys %keys;
for my $output (sort keys %keys) {
    is(ask('GET', "/media/$media/$output", $anna)->{body}, $bytes{$output}, "healed, $output - no denial was kept");
}

# Of an object in the cache S3 is not asked
deny($keys{'audio.mp3'});
is(ask('GET', "/media/$media/audio.mp3", $anna)->{body}, $bytes{'audio.mp3'}, 'denied, but cached');

is(ask('DELETE', "/media/$media", $anna)->{status}, 204, 'deleted');
problem(ask('GET', "/media/$media/$_", $anna), 404, 'not_found', "deleted, $_") for sort keys %keys;
$nginx->stop('nginx before a store that denies');

# ---- deleted while S3 was asked: who comes again is told ----

my $store = MediaStore->new(before => sub {
    my ($s3, $request) = @_;
    my ($id) = $request->{target} =~ m{/media/([0-9a-f-]{36})/};
    local $SIG{CHLD} = 'DEFAULT';
    sql("DELETE FROM jobs WHERE media_id = '$id'; DELETE FROM media WHERE id = '$id'");
    $request->error(404, 'NoSuchKey');
    return 1;
});
$nginx = MediaNginx->start(server => media_server(), http => media_http(s3 => $store->url));
my $race = $store->media(1000);
is_denied(ask('GET', "/media/$race/original", $anna), 'deleted meanwhile');
problem(ask('GET', "/media/$race/original", $anna), 404, 'not_found', 'deleted meanwhile, once more');
$nginx->stop('nginx in a race');

done_testing();
