# PUT /upload/NAME and POST /upload with the file as the body

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaNginx;
use MediaUpload;

use constant PART => 5 * 1024 * 1024;

my $nginx = MediaNginx->start(
    http => media_http(media_s3_part_size => '5m', media_memory => '64m'), server => upload_server());

# ---- the answer, the rows and the object ----

my $bytes = mp4(70_000);
my $answer = $nginx->ask(put('talk.mp4', $bytes, 'Content-Type: video/quicktime', 'X-Request-Id: raw-1.' . $$,
    'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'));
my $id = committed($answer, $bytes, 'PUT', name => 'talk.mp4', content_type => 'video/mp4', title => undef,
    visibility => 'private', pipeline => 'test-idle', owner => user('anna')->{id}, row => 1, bytes => 1);
is($answer->{headers}{'content-type'}, 'application/json', 'PUT - as JSON');
is($answer->{headers}{'x-request-id'}, "raw-1.$$", 'PUT - its X-Request-Id in the answer');
is(sql("SELECT request_id, traceparent, object_key, content_type FROM media WHERE id = '$id'"),
    "raw-1.$$|00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01|media/$id/original|video/mp4",
    'PUT - its ids in the row');
is(sql("SELECT count(*) FROM uploads WHERE id = '$id'"), 0, 'PUT - its intent is closed');
like($id, qr/^[0-9a-f]{8}-[0-9a-f]{4}-7/, 'PUT - a UUIDv7');
# but for what the workers have done since
my @told = map { my %json = %{ $_->{json} }; delete @json{qw(jobs state error progress finished_at)}; \%json }
    $nginx->ask(http("GET /media/$id", bearer('anna'))), $answer;
is_deeply(@told, 'PUT - GET Location says the same');

$answer = $nginx->ask(post('', $bytes, 'Content-Type: video/mp4'));
committed($answer, $bytes, 'POST', name => 'file');
like($answer->{headers}{'x-request-id'}, qr/^[0-9a-f-]{36}$/, 'POST - an X-Request-Id is made');
committed($nginx->ask(post('', $bytes)), $bytes, 'POST without a type', content_type => 'video/mp4');

# ---- arguments ----

committed($nginx->ask(put('a.mp4?title=A+b%C3%A9&visibility=unlisted&params=%7B%22level%22%3A3%7D', $bytes)), $bytes,
    'arguments', title => "A b\x{e9}", visibility => 'unlisted', params => { level => 3 });
committed($nginx->ask(put('a.mp4?pipeline=audio', $bytes)), $bytes, 'pipeline by argument', pipeline => 'audio');
committed($nginx->ask(put('a.mp4', $bytes, 'X-Media-Pipeline: audio')), $bytes, 'pipeline by header', pipeline => 'audio');
committed($nginx->ask(put('a.mp4?&&title=&', $bytes)), $bytes, 'empty arguments', title => '');

# ---- lengths ----

my $answers = 0;
for my $size (0, 1, 2, 31, 4095, 4096, 4097, 65_535, 65_536, 65_537, 1_000_000) {
    my $file = mp4($size);
    committed($nginx->ask(put("$size.bin", $file)), $file, "PUT of $size bytes", bytes => $size < 2 || $size == 4097);
    committed($nginx->ask(put("$size.bin", undef, 'Transfer-Encoding: chunked') . chunked($file)), $file,
        "chunked PUT of $size bytes", bytes => $size < 2 || $size == 4097);
    $answers += 2;
}
for my $size (PART - 1, PART, PART + 1, 2 * PART, 3 * PART + 17) {
    my $file = mp4($size);
    committed($nginx->ask(put("$size.bin", undef, 'Transfer-Encoding: chunked') . chunked($file, 1_000_003)), $file,
        "chunked PUT of $size bytes", row => 1, bytes => 1);
}
is(sql(q{SELECT count(*) FROM objects WHERE s3_upload_id IS NOT NULL AND state = 'live'}), 0,
    'no multipart upload is left open in the rows');
my $small = mp4(3000);
committed($nginx->ask(put('x', undef, 'Transfer-Encoding: chunked') . chunked($small, 1)), $small, 'chunks of one byte');

# ---- bytes that come bit by bit ----

my $request = put('slow.mp4', $small);
my $head = index($request, "\r\n\r\n") + 4;
committed($nginx->ask(substr($request, 0, $head), \0.05, substr($request, $head, 1), \0.05, substr($request, $head + 1, 7),
    \0.05, substr($request, $head + 8)), $small, 'in pieces');

$request = put('slow.mp4', $small, 'Expect: 100-continue');
my $client = $nginx->client;
$client->send(substr $request, 0, $head = index($request, "\r\n\r\n") + 4);
is($client->answer->{status}, 100, '100 Continue once it is admitted');
$client->send(substr $request, $head);
committed($client->answer, $small, 'after 100 Continue');

# ---- one connection, several requests ----

$client = $nginx->client;
for my $n (1 .. 3) {
    my $file = mp4(5000 * $n);
    $client->send(put("keep-$n.mp4", $file));
    committed($client->answer, $file, "keep-alive, upload $n");
}
$client->send(put('chunk.mp4', undef, 'Transfer-Encoding: chunked') . chunked($small));
committed($client->answer, $small, 'keep-alive, chunked');
$client->send(put('pipe-1.mp4', $small) . put('pipe-2.mp4', $bytes) . http('GET /healthz', ''));
committed($client->answer, $small, 'pipelined, the first');
committed($client->answer, $bytes, 'pipelined, the second');
is($client->answer->{body}, "ok\n", 'pipelined, what follows');

# ---- what is counted ----

is($nginx->metric('uploads_active'), 0, 'no upload is active');
is($nginx->metric('memory_bytes'), 0, 'no memory is held');
is($nginx->metric('uploads_started_total'), $nginx->metric('uploads_committed_total'), 'as many committed as started');
is($nginx->metric("uploads_${_}_total"), 0, "none $_") for qw(refused failed aborted);
$nginx->stop;

# ---- jobs of the shipped pipeline reach RabbitMQ ----

$nginx = MediaNginx->start(server => media_server());
# later the janitor would be the one to send it
$nginx->await('RabbitMQ', sub { $nginx->log_text =~ /media amqp: connected/ });
$id = committed($nginx->ask(put('talk.mp4', $bytes)), $bytes, 'shipped routes', pipeline => 'audio');
$nginx->await('the outbox is empty', sub {
    sql("SELECT count(*) FROM outbox JOIN jobs ON jobs.id = job_id WHERE media_id = '$id'") eq '0';
});
is($nginx->metric('amqp_confirmed_total'), 1, 'RabbitMQ confirmed its message');
$nginx->stop;

done_testing();
