# Files of known length above media_s3_single_max: their parts pass through, one after the other

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaH2;
use MediaNginx;
use MediaUpload;

use constant PART => 5 * 1024 * 1024;

my $port = ($ENV{TEST_NGINX_PORT} // 1984) + 1;
my $server = upload_server();
my %with = (authorization => bearer('anna') =~ s/^\S+ |\n//gr);

for my $mode (qw(trailer unsigned)) {
    my $nginx = MediaNginx->start(
        http => media_http(media_s3_part_size => '5m', media_memory => '20m', media_s3_single_max => '5m', media_s3_payload => $mode)
            . "server { listen 127.0.0.1:$port http2; $server }\n",
        server => $server);
    my $h2 = MediaH2->new($port);

    # how many parts S3 has, as the ETag says; 0: one PUT
    for my $case ([0, 0], [PART, 0], [PART + 1, 2], [2 * PART - 1, 2], [2 * PART, 2], [2 * PART + 1, 3], [3 * PART + 4096, 4]) {
        my ($size, $parts) = @$case;
        my $bytes = mp4($size, "$mode $size");
        my $id = committed($nginx->ask(put('a.mp4', $bytes)), $bytes, "$mode, $size bytes", row => 1, bytes => 1);
        my ($n) = sql("SELECT etag FROM media WHERE id = '$id'") =~ /-(\d+)$/;
        is($n // 0, $parts, "$mode, $size bytes - its parts");

        # the last part is stored before the stream ends
        my $before = $nginx->metric('s3_requests_total');
        my $stream = $h2->request('PUT', '/upload/a.mp4', { %with, 'content-length' => $size });
        is($h2->body($stream, $bytes, open => 1), $size, "$mode, $size bytes over HTTP/2 - they are taken");
        $nginx->await('all parts are sent', sub { $nginx->metric('s3_requests_total') == $before + 1 + $parts }) if $parts;
        $h2->body($stream, '');
        committed($h2->answer($stream), $bytes, "$mode, $size bytes over HTTP/2", bytes => 1);
    }

    # in pieces, a pause at each end of a part
    my $bytes = mp4(2 * PART + 70_000, 'pieces');
    my $request = put('a.mp4', $bytes);
    my $head = index($request, "\r\n\r\n") + 4;
    my $client = $nginx->client;
    $client->send(substr($request, 0, $head + PART), \0.2, substr($request, $head + PART, PART), \0.2,
        substr($request, $head + 2 * PART));
    committed($client->answer, $bytes, "$mode, in pieces", bytes => 1);

    # a digest that is wrong is found at the end: nothing is completed
    problem($nginx->ask(put('a.mp4', $bytes, 'Content-Digest: ' . digest('x'))), 400, 'digest_mismatch', "$mode, another digest");
    is($nginx->metric('memory_bytes'), 0, "$mode - no memory was needed");
    is($nginx->metric('uploads_active'), 0, "$mode - no upload is active");
    is(sql("SELECT count(*) FROM uploads WHERE owner_id = '" . user('anna')->{id} . "'"), 0, "$mode - no intent is open");
    $nginx->stop($mode);
}

done_testing();
