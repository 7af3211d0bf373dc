# A ladder as players fetch it: playlists, manifests and the segments they lead to, by token, by playback token and
# without one; what caches may do with them, and pages of other origins

use lib 't/lib';
use Test::More;
use Digest::SHA qw(sha256_hex);
use MediaTest;
use MediaNginx;
use MediaUpload qw(problem);

my $nginx = start('media_cors_origin *;');
my $film = film('anna');
my %who = (anna => bearer('anna'), bob => bearer('bob'), nobody => '');
my %types = ('hls/master.m3u8' => 'application/vnd.apple.mpegurl', 'dash/manifest.mpd' => 'application/dash+xml',
    'cmaf/1/360p/init.mp4' => 'video/mp4', 'cmaf/1/360p/1.m4s' => 'video/mp4', 'cmaf/1/text-de/1.vtt' => 'text/vtt');
my $segment = 'cmaf/1/360p/1.m4s';
my $year = 'max-age=31536000, immutable';
my $brief = 'max-age=4, must-revalidate';

sub start {
    my ($cors) = @_;
    return MediaNginx->start(server => media_server('access_log logs.txt all;'),
        http => media_http() . "$cors\n" . MediaTest::slurp('conf/media-log.conf')
            . q(log_format all "[$media_log_path] [$request] [$uri]";) . "\n");
}

# A media whose outputs are playlists, with segments of a picture and a text track
sub film {
    my ($user) = @_;
    my $id = media($user, name => 'film.mp4', outputs => { 'hls/master.m3u8' => ['application/vnd.apple.mpegurl', "#EXTM3U\n"],
        'dash/manifest.mpd' => ['application/dash+xml', '<MPD/>'] });
    my ($job) = split /\n/, sql("SELECT id FROM jobs WHERE media_id = '$id'");
    my $text = '';
    for (['360p', 0, 'init bytes'], ['360p', 1, 'segment bytes'], ['text-de', 1, "WEBVTT\n"]) {
        my ($track, $number, $bytes) = @$_;
        my $key = "media/$id/$job/1/$track-$number";
        my $etag = s3_put($key, $bytes);
        $text .= "INSERT INTO segments (media_id, run, track, number, job_id, object_key, size_bytes, sha256, etag) VALUES"
            . " ('$id', 1, '$track', $number, '$job', '$key', " . length($bytes) . ", '" . sha256_hex($bytes) . "', '$etag');\n"
            . "INSERT INTO objects (object_key, media_id, job_id, fence, state) VALUES ('$key', '$id', '$job', 1, 'live');\n";
    }
    sql($text);
    return $id;
}

sub ask { my ($method, $path, $headers) = @_; return $nginx->ask(http("$method $path", "Connection: close\n" . ($headers // ''))) }
sub get { my ($path, $who, $more) = @_; return ask('GET', $path, $who{$who} . ($more // '')) }

sub patch {
    my ($body) = @_;
    return $nginx->ask(http("PATCH /media/$film", $who{anna} . "Content-Type: application/json\nContent-Length: " . length($body) . "\n", $body));
}

sub link_to { # a playback link
    return $nginx->ask(http("POST /media/$film/token", "$who{anna}Content-Length: 0\n"))->{json}{href} =~ s{/$}{}r;
}

# what every answer of this path says, by whoever and however it is asked for
sub is_streamed {
    my ($answer, $path, $scope, $name) = @_;
    my %h = %{ $answer->{headers} };
    is($answer->{status}, 200, "$name - found");
    is($h{'content-type'}, $types{$path}, "$name - type");
    like($h{'content-disposition'}, qr/^inline;/, "$name - is shown, not saved");
    is($h{'cache-control'}, "$scope, " . ($path =~ /^cmaf/ ? $year : $brief), "$name - caches");
    is($h{'access-control-allow-origin'}, '*', "$name - any page may read it");
    is($h{'access-control-expose-headers'}, 'Content-Range, Content-Length, ETag, X-Request-Id', "$name - and these headers");
    is($h{vary}, undef, "$name - for all the same");
    is($h{'accept-ranges'}, 'bytes', "$name - ranges");
    is($h{'x-content-type-options'}, 'nosniff', "$name - as typed");
    return;
}

# ---- of private media ----

my $link = link_to();

for my $path (sort keys %types) {
    is_streamed(get("/media/$film/$path", 'anna'), $path, 'private', "$path, its owner");
    my $played = get("$link/$path", 'nobody');
    is_streamed($played, $path, 'private', "$path, by link");
    is($played->{headers}{'referrer-policy'}, 'no-referrer', "$path, by link - the link does not travel on");
    is_streamed(ask('HEAD', "$link/$path"), $path, 'private', "$path, HEAD");
    problem(get("/media/$film/$path", 'bob'), 404, 'not_found', "$path, somebody else");
    problem(get("/media/$film/$path", 'nobody'), 401, 'token_missing', "$path, nobody");
}

is(get("$link/cmaf/1/360p/init.mp4", 'nobody')->{body}, 'init bytes', 'the init segment');
is(get("$link/$segment", 'nobody')->{body}, 'segment bytes', 'a segment');
my $head = ask('HEAD', "$link/$segment");
is("$head->{headers}{'content-length'} $head->{body}", '13 ', 'HEAD - its length alone');
my $part = get("$link/$segment", 'nobody', "Range: bytes=8-\n");
is("$part->{status} $part->{headers}{'content-range'} $part->{body}", '206 bytes 8-12/13 bytes', 'a range');
is($part->{headers}{'cache-control'}, "private, $year", 'a range - caches');
is($part->{headers}{'access-control-allow-origin'}, '*', 'a range - pages');
my $same = get("$link/$segment", 'nobody', "If-None-Match: $part->{headers}{etag}\n");
is("$same->{status} $same->{headers}{'cache-control'} $same->{headers}{'access-control-allow-origin'}", "304 private, $year *",
    'not modified');
like(get("$link/original", 'nobody')->{headers}{'content-disposition'}, qr/^attachment;/, 'the original is saved');

# ---- what is not there, and why, a page may read ----

for my $path ('cmaf/1/360p/2.m4s', 'cmaf/2/360p/1.m4s', 'cmaf/1/720p/1.m4s', 'cmaf/1/360p/1.ts', 'hls/360p.m3u8') {
    my $answer = get("$link/$path", 'nobody');
    problem($answer, 404, 'not_found', $path);
    is($answer->{headers}{'access-control-allow-origin'}, '*', "$path - a page may read that");
    is($answer->{headers}{'referrer-policy'}, 'no-referrer', "$path - the link does not travel on");
}
for (['/play/x.y.z', 'nobody', 'token_invalid'], ["/media/$film", 'nobody', 'token_missing']) {
    my ($base, $who, $code) = @$_;
    my $answer = get("$base/$segment", $who);
    problem($answer, 401, $code, $code);
    is($answer->{headers}{'access-control-allow-origin'}, '*', "$code - a page may read that");
}
is(get("/media/$film", 'anna')->{headers}{'access-control-allow-origin'}, undef, 'pages may read playback only');

# ---- preflights ----

my $question = "Origin: https://player.example\nAccess-Control-Request-Method: GET\nAccess-Control-Request-Headers: authorization,range\n";

sub is_allowed {
    my ($answer, $origin, $name) = @_;
    my %h = %{ $answer->{headers} };
    is("$answer->{status} $answer->{body}", '204 ', "$name - no content");
    is_deeply([@h{map { "access-control-$_" } qw(allow-origin allow-methods allow-headers max-age)}],
        [$origin, 'GET, HEAD', 'Authorization, Range', 7200], "$name - allowed");
    is($h{'access-control-allow-credentials'}, undef, "$name - but no cookies");
    return;
}

is_allowed(ask('OPTIONS', $_, $question), '*', 'a preflight') for "$link/$segment", "/media/$film/$segment";
problem(ask('OPTIONS', "$link/$segment"), 405, 'method_not_allowed', 'OPTIONS that is no preflight');
problem(ask('OPTIONS', "/media/$film", $question), 405, 'method_not_allowed', 'a preflight for what is not played');
is(ask('OPTIONS', '/upload', $question)->{status}, 401, 'nor for an upload');

# ---- visibility ----

for (['unlisted', 'private'], ['public', 'public']) {
    my ($visibility, $scope) = @$_;
    is(patch(qq({"visibility":"$visibility"}))->{status}, 200, "$visibility - set");
    problem(get("$link/$segment", 'nobody'), 404, 'not_found', "$visibility - links of before have ended");
    $link = link_to();
    for my $path (sort keys %types) {
        is_streamed(get("/media/$film/$path", 'nobody'), $path, $scope, "$visibility, $path without a token");
        is_streamed(get("$link/$path", 'nobody'), $path, $scope, "$visibility, $path by link");
    }
    problem(get("/media/$film/original", 'nobody'), 401, 'token_missing', "$visibility - the original is its owner's");
    is(get("/media/$film/original", 'anna')->{headers}{'cache-control'}, 'private, no-cache', "$visibility - and in no cache");
}

# ---- named origins ----

my $all = MediaTest::slurp("$nginx->{dir}/logs.txt");
$nginx->stop('any origin');
like($all, qr{^\[/play/\*/\Q$segment\E\] \[GET /play/\* HTTP/1\.1\] \[/play/\*/\Q$segment\E\]$}m, 'the log names no token in a nested path');
unlike($all, qr/eyJ/, 'nowhere');
unlike($nginx->log_text, qr/eyJ/, 'nor does the error log');

$nginx = start('media_cors_origin https://a.example http://b.example:8080;');
for my $origin ('https://a.example', 'http://b.example:8080') {
    my $answer = get("$link/$segment", 'nobody', "Origin: $origin\n");
    is("$answer->{headers}{'access-control-allow-origin'} $answer->{headers}{vary}", "$origin Origin", "$origin - may read");
    is_allowed(ask('OPTIONS', "$link/$segment", $question =~ s{https://player.example}{$origin}r), $origin, "$origin - a preflight");
}
for my $origin ("Origin: https://c.example\n", "Origin: https://a.example.evil\n", "Origin: null\n", '') {
    my $answer = get("$link/$segment", 'nobody', $origin);
    my $name = $origin =~ s/\n//r;
    is($answer->{status}, 200, "'$name' - the bytes");
    is_deeply([@{ $answer->{headers} }{qw(access-control-allow-origin access-control-expose-headers vary)}], [undef, undef, 'Origin'],
        "'$name' - may not read");
}
problem(ask('OPTIONS', "$link/$segment", $question), 405, 'method_not_allowed', 'a preflight of another origin');
$nginx->stop('named origins');

# ---- nobody, and a location that asks for a token ----

$nginx = start('');
is_deeply([@{ get("$link/$segment", 'nobody', "Origin: https://a.example\n")->{headers} }{qw(access-control-allow-origin vary)}], [undef, undef],
    'unless it is written, no page may read');
problem(ask('OPTIONS', "$link/$segment", $question), 405, 'method_not_allowed', 'nor ask');
$nginx->stop('no origin');

$nginx = start('media_cors_origin *; media_auth on;');
problem(get("/media/$film/$segment", 'nobody'), 401, 'token_missing', 'media_auth on - a token is asked for');
is_allowed(ask('OPTIONS', "/media/$film/$segment", $question), '*', 'media_auth on - not by a preflight, which has none');

$nginx->stop('media_auth on');

# ---- denied by S3, their rows live: players come again, caches keep nothing ----

$nginx = start('media_cors_origin *;');
my %denied = map { split /\|/ } split /\n/, sql("SELECT object_key, etag FROM outputs WHERE media_id = '$film'"
    . " UNION SELECT object_key, etag FROM segments WHERE media_id = '$film'");
is(scalar keys %denied, scalar keys %types, 'denied - all that is played');
s3_curl($_, qw(-f -X DELETE)) for keys %denied;
for my $path (sort keys %types) {
    for (["/media/$film/$path", 'anna'], ["$link/$path", 'nobody']) {
        my $answer = get(@$_);
        problem($answer, 503, 'storage_unavailable', "denied, $path, $_->[1]");
        my %h = %{ $answer->{headers} };
        is("$h{'retry-after'} $h{'cache-control'} $h{'access-control-allow-origin'}", '5 no-store *', "denied, $path, $_->[1] - come again");
        problem(get($_->[0], $_->[1], "Range: bytes=0-1\n"), 503, 'storage_unavailable', "denied, $path, $_->[1], a range");
    }
}

# ---- with its media it goes ----

is(ask('DELETE', "/media/$film", $who{anna})->{status}, 204, 'deleted');
problem(get("/media/$film/$_", 'anna'), 404, 'not_found', "deleted, $_") for sort keys %types;
$nginx->stop('a store that denies');

done_testing();
