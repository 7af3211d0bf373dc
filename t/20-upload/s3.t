# S3 refuses, breaks, garbles or falls silent: the client hears one of our problems, nothing is promised, and
# what may lie in S3 is left to the janitor

use lib 't/lib';
use Test::More;
use POSIX ();
use MediaTest;
use MediaNginx;
use MediaS3;
use MediaUpload;

my $bytes = mp4(300_000);
my $n = 0;

# What S3 does to a PUT; an array is what it does to the PUT and to each HEAD after it. Names say what is wanted:
# 201 only where the bytes are there.
my %script = (
    'refuses connections within a response' => sub { $_[0]->close },
    '403' => sub { $_[0]->body; $_[0]->error(403, 'AccessDenied') },
    '403 before the body' => sub { $_[0]->error(403, 'SignatureDoesNotMatch', 'Connection: close'); sleep 1; $_[0]->close },
    '404, no such bucket' => sub { $_[0]->body; $_[0]->error(404, 'NoSuchBucket') },
    '400' => sub { $_[0]->body; $_[0]->error(400, 'XAmzContentSHA256Mismatch') },
    '500' => sub { $_[0]->body; $_[0]->error(500, 'InternalError') },
    '503 SlowDown' => sub { $_[0]->body; $_[0]->error(503, 'SlowDown') },
    '503 SlowDown, for two minutes' => sub { $_[0]->body; $_[0]->error(503, 'SlowDown', 'Retry-After: 120') },
    '503 before the body, then RST' => sub { $_[0]->error(503, 'SlowDown'); $_[0]->reset },
    'a redirect' => sub { $_[0]->body; $_[0]->reply(307, '', 'Location: http://127.0.0.1:1/') },
    'RST at once' => sub { $_[0]->reset },
    'RST in mid-body' => sub { $_[0]->take(100_000); $_[0]->reset },
    'FIN in mid-body' => sub { $_[0]->take(100_000); $_[0]->close },
    'FIN instead of an answer' => sub { $_[0]->body; $_[0]->close },
    'half a head' => sub { $_[0]->body; $_[0]->say("HTTP/1.1 200 OK\r\nETag: \"a"); $_[0]->close },
    'half a body' => sub { $_[0]->body; $_[0]->say("HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 10\r\n\r\nx"); $_[0]->close },
    'garbage' => sub { $_[0]->body; $_[0]->say("\0\1\2garbage\r\n\r\n") },
    'another protocol' => sub { $_[0]->body; $_[0]->say("SSH-2.0-OpenSSH\r\n") },
    'a head without end' => sub { $_[0]->body; $_[0]->say("HTTP/1.1 200 OK\r\n" . "X: y\r\n" x 20_000) },
    'a head that trickles' => sub { $_[0]->body; trickles($_[0], "HTTP/1.1 200 OK\r\nX: " . 'y' x 200) },
    'an answer that trickles' => sub { $_[0]->body; $_[0]->say("HTTP/1.1 500 X\r\nContent-Length: 200\r\n\r\n"); trickles($_[0], 'x' x 200) },
    'an answer without end' => sub { $_[0]->body; $_[0]->say("HTTP/1.1 500 X\r\n\r\n"); $_[0]->say('x' x 60_000) for 1 .. 50; sleep 9 },
    'nine interim answers' => sub { $_[0]->body; $_[0]->say("HTTP/1.1 100 Continue\r\n\r\n" x 9); sleep 9 },
    '200 without ETag' => sub { $_[0]->body; $_[0]->reply(200, '') },
    '200 with an empty ETag' => sub { $_[0]->body; $_[0]->reply(200, '', 'ETag: ""') },
    '200 with an ETag of 2000 bytes' => sub { $_[0]->body; $_[0]->reply(200, '', 'ETag: "' . 'e' x 2000 . '"') },
    '200 with a quote in its ETag' => sub { $_[0]->body; $_[0]->reply(200, '', 'ETag: "a"b"') },
    '200 with a weak ETag' => sub { $_[0]->body; $_[0]->reply(200, '', 'ETag: W/"a"') },
    '200, but of other bytes' => sub { $_[0]->body; $_[0]->reply(200, '', 'ETag: "a"', 'x-amz-checksum-sha256: ' . 'A' x 43 . '=') },
    '200, of a checksum that is none' => sub { $_[0]->body; $_[0]->reply(200, '', 'ETag: "a"', 'x-amz-checksum-sha256: hello') },
    '200 before the body' => sub { $_[0]->reply(200, '', 'ETag: "a"'); $_[0]->take(200_000) },
    '100 and nothing' => sub { $_[0]->body; $_[0]->say("HTTP/1.1 100 Continue\r\n\r\n"); sleep 9 },
    'silence' => sub { $_[0]->body; sleep 9 },
    'silence in mid-answer' => sub { $_[0]->body; $_[0]->say("HTTP/1.1 200 OK\r\nETag: "); sleep 9 },
    'storage full (MinIO)' => sub { $_[0]->body; $_[0]->error(500, 'XMinioStorageFull') },
    'storage full (507)' => sub { $_[0]->body; $_[0]->reply(507, '') },
    'storage full (before the body)' => sub { $_[0]->error(507, 'XMinioStorageFull', 'Connection: close'); $_[0]->reset },
    'silence, and something else is there' => [sub { $_[0]->body; sleep 9 },
        sub { $_[0]->say("HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 299999\r\n\r\n") }],
    'silence, and other bytes are there' => [sub { $_[0]->body; sleep 9 }, sub {
        $_[0]->say("HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 300000\r\nx-amz-checksum-sha256: " . 'A' x 43 . "=\r\n\r\n");
    }],
    'RST, and a look is forbidden' => [sub { $_[0]->body; $_[0]->reset }, sub { $_[0]->reply(403, '') }],
    '201: stored, then RST' => sub { $_[0]->store; $_[0]->reset },
    '201: stored, then silence' => sub { $_[0]->store; sleep 9 },
    '201: stored, then garbage' => sub { $_[0]->store; $_[0]->say("\0\1\2garbage\r\n\r\n") },
    '201: stored, then 500' => sub { $_[0]->store; $_[0]->error(500, 'InternalError') },
    '201: stored, then 502 of a proxy' => sub { $_[0]->store; $_[0]->reply(502, '<html>Bad Gateway</html>') },
    '201: stored, then an ETag that is none' => sub { $_[0]->store; $_[0]->reply(200, '', 'ETag: "a"b"') },
    '201: stored, then away for two looks' => [sub { $_[0]->store; $_[0]->reset },
        sub { return $_[1] > 2 ? $_[0]->seen : $_[1] > 1 ? $_[0]->error(503, 'SlowDown') : $_[0]->reset }],
    '201: stored, but seen later' => [sub { $_[0]->store; $_[0]->reset },
        sub { return $_[1] > 2 ? $_[0]->seen : $_[0]->reply(404, '') }],
    '201: stored, told without a checksum' => [sub { $_[0]->store; $_[0]->reset },
        sub { $_[0]->say("HTTP/1.1 200 OK\r\nETag: \"a\"\r\nContent-Length: 300000\r\n\r\n") }],
    '201: eight interim answers' => sub { my @tell = $_[0]->store; $_[0]->say("HTTP/1.1 103 X\r\n\r\n" x 8); $_[0]->reply(200, '', @tell) },
);

sub trickles {
    my ($request, $text) = @_;
    for my $byte (split //, $text) {
        $request->say($byte) or return $request->close;
        select undef, undef, undef, 0.15;
    }
    return;
}

# An object keeps the script it was first asked for under
my $s3 = MediaS3->start(sub {
    my ($self, $request) = @_;
    my ($id) = $request->{target} =~ m{/media/([0-9a-f-]{36})/} or return $request->reply(404, '');
    my $file = "$self->{dir}/$id";
    MediaNginx::spew($file, $self->mode) if !-e $file;
    my $script = $script{ MediaNginx::slurp($file) } or return $request->good;
    my ($put, $head) = ref $script eq 'ARRAY' ? @$script : ($script);
    return $put->($request) if $request->{method} eq 'PUT';
    return $request->seen if !$head;
    open my $count, '>>', "$file-heads" or die $!;
    syswrite $count, '.';
    return $head->($request, -s $count);
});
my %short = (media_s3_connect_timeout => '500ms', media_s3_send_timeout => '700ms', media_s3_read_timeout => '700ms',
    media_s3_part_size => '5m', media_memory => '20m');
my $nginx = MediaNginx->start(http => media_http(s3 => $s3->url, %short), server => upload_server(body_timeout => '2s'));

# One of our problems and nothing of S3's; the intent is closed, and its object doomed where S3 may hold bytes
sub failed {
    my ($answer, $id, $name) = @_;
    my @want = $name =~ /storage full/ ? (507, 'storage_full') : (503, 'storage_unavailable');
    problem($answer, @want, $name);
    unlike($answer->{body}, qr/secret|<|XMinio|SlowDown|127\.0\.0\.1/, "$name - nothing of S3's in it");
    my $later = $name =~ /two minutes/ ? 120 : 5;
    is($answer->{headers}{'retry-after'}, $answer->{status} == 503 ? $later : undef, "$name - when to come back");
    my ($media) = $nginx->log_text =~ /media upload refused: media=(\S+) req=$id /;
    isnt($media, undef, "$name - one line in the log");
    my $rows = '';
    eval {
        $nginx->await('the intent', sub {
            $rows = sql("SELECT count(*), coalesce((SELECT max(state) FROM objects WHERE media_id = '$media'), 'gone')"
                . " FROM uploads WHERE id = '$media'");
            return $rows =~ /^0\|(?:doomed|gone)$/;
        }, 5);
    };
    like($rows, qr/^0\|(?:doomed|gone)$/, "$name - its object is given up");
    return;
}

sub keys_asked { my %seen = map { m{/media/([0-9a-f-]{36})/} ? ($1 => 1) : () } $s3->asked; return scalar keys %seen }

my (%client, %id);
my @hostile = grep { !/storage full/ } sort keys %script;
for my $name (@hostile) {
    $s3->mode($name);
    $id{$name} = "s3-$$-" . ++$n;
    $client{$name} = $nginx->client;
    my $request = put('a.mp4', $bytes, "X-Request-Id: $id{$name}");
    $client{$name}->send($name =~ /before the body/ ? substr $request, 0, 100_000 : $request);
    $nginx->await("$name begins", sub { keys_asked() == $n });
}
is($nginx->ask(http('GET /healthz', "Connection: close\n"))->{status}, 200, 'meanwhile others are served');
for my $name (@hostile) {
    my $answer = $client{$name}->answer;
    $name =~ /^201/ ? committed($answer, $bytes, $name) : failed($answer, $id{$name}, $name);
}
is($nginx->metric('uploads_active'), 0, 'no upload is active');
is($nginx->metric('uploads_failed_total'), scalar(grep { !/^201/ } @hostile), 'all that failed are counted');

$s3->mode('good');
committed($nginx->ask(put('a.mp4', $bytes)), $bytes, 'after all that: S3 is well again');
committed($nginx->ask(put('a.mp4', '')), '', 'and an empty file');

$nginx->stop('hostile S3');

# ---- an interim answer in mid-body obliges S3 to nothing ----

my $early = MediaS3->start(sub {
    my ($self, $request) = @_;
    return $request->good if $request->{method} ne 'PUT';
    my $some = $request->take(100_000);
    $request->say("HTTP/1.1 100 Continue\r\n\r\n");
    ${ $request->{in} } = $some . ${ $request->{in} };
    return $request->good;
});
$nginx = MediaNginx->start(http => media_http(s3 => $early->url, %short), server => upload_server(body_timeout => '9s'));
my $paused = put('a.mp4', $bytes);
committed($nginx->ask(substr($paused, 0, 200_000), \1.5, substr $paused, 200_000), $bytes, '100 in mid-body, and a client that pauses');
$nginx->stop('an early interim answer');

# ---- full: remembered for a while ----

for my $name (grep { /storage full/ } sort keys %script) {
    $nginx = MediaNginx->start(http => media_http(s3 => $s3->url, %short), workers => 2, server => upload_server());
    $s3->mode($name);
    my $id = "s3-$$-" . ++$n;
    my $client = $nginx->client;
    my $request = put('a.mp4', $bytes, "X-Request-Id: $id");
    $client->send($name =~ /before the body/ ? substr $request, 0, 100_000 : $request);
    failed($client->answer, $id, $name);
    $s3->mode('good');
    my $asked = () = $s3->asked;
    for my $worker (1 .. 4) {
        $client = $nginx->client;
        $client->send(http('PUT /upload/a.mp4', bearer('anna') . "Content-Length: 300000\nExpect: 100-continue\n"));
        my $answer = $client->answer;
        problem($answer, 507, 'storage_full', "$name, known to all workers");
        like($answer->{headers}{'retry-after'}, qr/^[1-5]$/, "$name - when to come back");
    }
    is(scalar(() = $s3->asked), $asked, "$name - S3 is left alone");
    $nginx->await('it fades', sub { $nginx->ask(put('a.mp4', $bytes))->{status} == 201 }) if $name =~ /507/;
    $nginx->stop($name);
}

# ---- a slow one is none of these ----

my $slow = MediaS3->start(sub {
    my ($self, $request) = @_;
    if ($request->{method} eq 'PUT') {
        my $left = $request->length_of_body;
        my $raw = '';
        while ($left > 0) {
            my $some = $left < 1_000_000 ? $left : 1_000_000;
            $raw .= $request->take($some);
            $left -= $some;
            select undef, undef, undef, 0.4;
        }
        ${ $request->{in} } = $raw . ${ $request->{in} };
    }
    return $request->good;
});
$nginx = MediaNginx->start(http => media_http(s3 => $slow->url, %short, media_s3_send_timeout => '5s', media_s3_read_timeout => '20s'),
    server => upload_server(body_timeout => '1s'));
my $large = mp4(9_000_000);
my $client;
my @clients = map { $nginx->client } 1 .. 2;
my $began = time;
$clients[0]->send(put('a.mp4', $large));
$clients[1]->send(put('a.mp4', undef, 'Transfer-Encoding: chunked') . chunked($large));
committed($clients[0]->answer, $large, 'a slow S3');
committed($clients[1]->answer, $large, 'a slow S3, in chunks');
cmp_ok(time - $began, '>=', 3, 'longer than client_body_timeout: the client was not to blame');
$nginx->stop('slow S3');

# ---- nobody listens ----

$nginx = MediaNginx->start(http => media_http(s3 => 'http://127.0.0.1:1', %short), server => upload_server());
$client = $nginx->client;
$client->send(http('PUT /upload/a.mp4',
    bearer('anna') . "X-Request-Id: refused-$$\nContent-Length: 300000\nExpect: 100-continue\n"));
failed($client->answer, "refused-$$", 'nobody listens, seen before the body');
$nginx->stop('nobody listens');

done_testing();
