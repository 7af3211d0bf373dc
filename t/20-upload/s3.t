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

my %script = (
    'refuses connections within a response' => sub { $_[0]->close },
    '403' => sub { $_[0]->body; $_[0]->error(403, 'AccessDenied') },
    '403 before the body' => sub { $_[0]->error(403, 'SignatureDoesNotMatch', 'Connection: close'); sleep 1; $_[0]->close },
    '404, no such bucket' => sub { $_[0]->body; $_[0]->error(404, 'NoSuchBucket') },
    '400' => sub { $_[0]->body; $_[0]->error(400, 'XAmzContentSHA256Mismatch') },
    '500' => sub { $_[0]->body; $_[0]->error(500, 'InternalError') },
    '503 SlowDown' => sub { $_[0]->body; $_[0]->error(503, 'SlowDown') },
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
    'an answer without end' => sub { $_[0]->body; $_[0]->say("HTTP/1.1 500 X\r\n\r\n"); $_[0]->say('x' x 60_000) for 1 .. 50; sleep 9 },
    '200 without ETag' => sub { $_[0]->body; $_[0]->reply(200, '') },
    '200 with an empty ETag' => sub { $_[0]->body; $_[0]->reply(200, '', 'ETag: ""') },
    '200 with an ETag of 2000 bytes' => sub { $_[0]->body; $_[0]->reply(200, '', 'ETag: "' . 'e' x 2000 . '"') },
    '200 before the body' => sub { $_[0]->reply(200, '', 'ETag: "a"'); $_[0]->take(200_000) },
    '100 and nothing' => sub { $_[0]->body; $_[0]->say("HTTP/1.1 100 Continue\r\n\r\n"); sleep 9 },
    'silence' => sub { $_[0]->body; sleep 9 },
    'silence in mid-answer' => sub { $_[0]->body; $_[0]->say("HTTP/1.1 200 OK\r\nETag: "); sleep 9 },
    'storage full (MinIO)' => sub { $_[0]->body; $_[0]->error(500, 'XMinioStorageFull') },
    'storage full (507)' => sub { $_[0]->body; $_[0]->reply(507, '') },
    'storage full (before the body)' => sub { $_[0]->error(507, 'XMinioStorageFull', 'Connection: close'); $_[0]->reset },
);

my $s3 = MediaS3->start(sub {
    my ($self, $request) = @_;
    my $script = $script{ $self->mode };
    return $script ? $script->($request) : $request->good;
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
    is($answer->{headers}{'retry-after'}, $answer->{status} == 503 ? 5 : undef, "$name - when to come back");
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

for my $name (sort keys %script) {
    $s3->mode($name);
    my $id = "s3-$$-" . ++$n;
    my $client = $nginx->client;
    my $request = put('a.mp4', $bytes, "X-Request-Id: $id");
    $client->send($name =~ /before the body/ ? substr $request, 0, 100_000 : $request);
    failed($client->answer, $id, $name);
}
is($nginx->metric('uploads_active'), 0, 'no upload is active');
is($nginx->metric('uploads_failed_total'), $n, 'all of them are counted');

$s3->mode('good');
committed($nginx->ask(put('a.mp4', $bytes)), $bytes, 'after all that: S3 is well again');
committed($nginx->ask(put('a.mp4', '')), '', 'and an empty file');

$nginx->stop('hostile S3');

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
failed($nginx->ask(put('a.mp4', $bytes, "X-Request-Id: refused-$$")), "refused-$$", 'nobody listens');
$nginx->stop('nobody listens');

done_testing();
