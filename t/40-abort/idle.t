# A client that pauses while a request to S3 waits with it is told so (408) before S3 loses its patience, and also
# when S3 was less patient than configured. Bytes that are held in parts may pause as long as client_body_timeout.

use lib 't/lib';
use Test::More;
use Time::HiRes qw(time);
use MediaTest;
use MediaH2;
use MediaNginx;
use MediaS3;
use MediaUpload;

# "impatient": S3 gives up what pauses, as MinIO does
my $s3 = MediaS3->start(sub {
    my ($self, $request) = @_;
    if ($self->mode eq 'impatient' && $request->{method} eq 'PUT') {
        $request->take(50_000);
        $request->error(503, 'RequestTimeout', 'Connection: close');
        sleep 1;
        return $request->close;
    }
    return $request->good;
});

my $port = ($ENV{TEST_NGINX_PORT} // 1984) + 1;
my %given = (s3 => $s3->url, media_s3_idle_timeout => '600ms');
my $routes = upload_server(body_timeout => '4s', lines => ['lingering_timeout 200ms;']);
my $nginx = MediaNginx->start(http => media_http(%given) . "server { listen 127.0.0.1:$port http2; $routes }\n", server => $routes);
my $bytes = mp4(100_000);
my @chunked = ('a.mp4', undef, 'Transfer-Encoding: chunked');
my @type = 'Content-Type: multipart/form-data; boundary=limit';

sub refused {
    my ($answer, $name, $detail) = @_;
    problem($answer, 408, 'request_timeout', $name, $detail // qr/the object store cannot wait longer/);
    return;
}

# ---- what passes straight through ----

my %pause = ('in mid-body' => -50_000, 'before the last byte' => -1, 'after the first kilobytes' => -92_000);
my %client;
for my $name (sort keys %pause) {
    my $request = put('a.mp4', $bytes, "X-Request-Id: idle-$$");
    $client{$name} = $nginx->client;
    $client{$name}->send(substr $request, 0, $pause{$name});
}
my $began = time;
for my $name (sort keys %pause) {
    refused($client{$name}->answer, $name);
    ok($client{$name}->closed, "$name - the connection is closed");
}
cmp_ok(time - $began, '<', 3.5, 'not as late as client_body_timeout');
await_intent($nginx, "idle-$$", 'a pause');

my %with = (authorization => bearer('anna') =~ s/^\S+ //r =~ s/\n//r);
my $h2 = MediaH2->new($port);
my $id = $h2->request('PUT', '/upload/a.mp4', { %with, 'content-length' => length $bytes });
$h2->body($id, substr($bytes, 0, 50_000), open => 1);
my $answer = $h2->answer($id);
is("$answer->{status} $answer->{json}{code}", '408 request_timeout', 'over HTTP/2');
$id = $h2->request('PUT', '/upload/a.mp4', { %with, 'content-length' => length $bytes });
$h2->body($id, $bytes);
committed($h2->answer($id), $bytes, 'over HTTP/2: the next stream of the same connection');
$id = $h2->request('PUT', '/upload/a.mp4', { %with, 'content-length' => length $bytes });
$h2->body($id, $bytes, open => 1);
$answer = $h2->answer($id);
is("$answer->{status} $answer->{json}{code}", '408 request_timeout', 'over HTTP/2: all bytes, but no end of the stream');
undef $h2;

# each pause is shorter than the limit, all together are not
my $request = put('a.mp4', $bytes);
$began = time;
committed($nginx->ask(map { (substr($request, $_ * 20_000, 20_000), \0.3) } 0 .. length($request) / 20_000), $bytes, 'a slow client');
cmp_ok(time - $began, '>=', 1.5, 'it was slow');

# ---- what is held ----

my %held = (
    'in chunks' => put(@chunked) . chunked($bytes),
    'in a form' => post('', form(part('file', $bytes, 'a.mp4')), @type),
);
for my $name (sort keys %held) {
    committed($nginx->ask(substr($held{$name}, 0, 50_000), \1.4, substr $held{$name}, 50_000), $bytes, "$name: a longer pause");
}
is($nginx->metric('uploads_failed_total'), 0, 'none of this was a failure of ours');

# ---- S3 is less patient than we ----

$s3->mode('impatient');
my $client = $nginx->client;
$client->send(substr put('a.mp4', $bytes), 0, 60_000);
refused($client->answer, 'an impatient S3', qr/the object store did not wait/);

$s3->mode('good');
committed($nginx->ask(put('a.mp4', $bytes)), $bytes, 'after all that: the next upload');
is($nginx->metric('uploads_active'), 0, 'no upload is active');
$nginx->stop;

# ---- the real one drops a body after 30 s: shorter than that is what we wait by default ----

$nginx = MediaNginx->start(server => upload_server());
$client = $nginx->client;
$client->send(substr put('a.mp4', $bytes), 0, 60_000);
$began = time;
refused($client->answer, 'by default');
cmp_ok(abs(time - $began - 20), '<', 3, 'after 20 s');
$nginx->stop('by default');

done_testing();
