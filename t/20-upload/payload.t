# media_s3_payload: how the bytes are vouched for on their way to S3. Each way takes each kind of upload.

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaNginx;
use MediaUpload;

my @type = 'Content-Type: multipart/form-data; boundary=limit';

for my $mode (qw(trailer signed unsigned)) {
    my $nginx = MediaNginx->start(
        http => media_http(media_s3_payload => $mode, media_s3_part_size => '5m', media_memory => '20m'),
        server => upload_server());

    for my $size (0, 1, 65_535, 65_536, 65_537, 5_242_880, 11_000_000) {
        my $bytes = mp4($size, $mode);
        committed($nginx->ask(put('a.mp4', $bytes)), $bytes, "$mode, PUT of $size bytes", bytes => 1);
    }
    for my $size (0, 1, 65_536, 5_242_880, 5_242_881, 16_000_000) {
        my $bytes = mp4($size, "$mode in chunks");
        committed($nginx->ask(put('a.mp4', undef, 'Transfer-Encoding: chunked') . chunked($bytes)), $bytes,
            "$mode, $size bytes in chunks", bytes => 1);
    }
    my $bytes = mp4(6_000_000, "$mode in a form");
    committed($nginx->ask(post('', form(part('file', $bytes, 'a.mp4')), @type)), $bytes, "$mode, in a form", bytes => 1);

    # no byte is held that was not asked for: more than the memory of the process passes through
    $bytes = mp4(30_000_000, "$mode, more than the memory");
    committed($nginx->ask(put('a.mp4', undef, 'Transfer-Encoding: chunked') . chunked($bytes)), $bytes,
        "$mode, more than media_memory", bytes => 1);
    is($nginx->metric('memory_bytes'), 0, "$mode - no memory is held");
    is($nginx->metric('s3_errors_total'), 0, "$mode - S3 refused nothing");
    $nginx->stop($mode);
}

done_testing();
