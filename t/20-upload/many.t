# Many uploads at once, over few connections to PostgreSQL and S3, and in little memory

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaNginx;
use MediaUpload;

use constant UPLOADS => 50;

my @type = 'Content-Type: multipart/form-data; boundary=limit';

# Each of them another file, in turn: raw, in chunks, in a form, in two parts
sub upload {
    my ($n) = @_;
    my $kind = $n % 4;
    my $bytes = mp4($kind == 3 ? 5_300_000 : 20_000 + 3000 * $n, "file $n");
    my $request = $kind == 0 ? put("$n.mp4", $bytes)
        : $kind == 2 ? post('', form(part('file', $bytes, "$n.mp4")), @type)
        : put("$n.mp4", undef, 'Transfer-Encoding: chunked') . chunked($bytes);
    return { name => "upload $n", bytes => $bytes, request => $request };
}

for my $workers (1, 3) {
    my $nginx = MediaNginx->start(
        workers => $workers,
        http => media_http(media_s3_part_size => '5m', media_memory => '20m', media_pg_connections => 2, media_s3_keepalive => 2),
        server => upload_server());
    my @uploads = map { upload($_) } 1 .. UPLOADS;

    # all of them begin before one ends
    for my $u (@uploads) {
        $u->{client} = $nginx->client;
        $u->{client}->send(substr $u->{request}, 0, 5000);
    }
    $nginx->await('all are admitted', sub { $nginx->metric('uploads_active') == UPLOADS });
    $_->{client}->send(substr $_->{request}, 5000) for @uploads;
    my @ids = map { committed($_->{client}->answer, $_->{bytes}, "$workers workers, $_->{name}") } @uploads;

    my %ids = map { $_ => 1 } @ids;
    is(scalar keys %ids, UPLOADS, "$workers workers - an id each");
    is(sql("SELECT count(*) FROM media m JOIN objects USING (object_key) WHERE objects.state = 'live' AND m.id IN ("
        . join(',', map { "'$_'" } @ids) . ')'), UPLOADS, "$workers workers - a row each");
    for my $n (0, 10, 21, 42) {
        is(Digest::SHA::sha256_hex(object_bytes($ids[$n]) // ''), Digest::SHA::sha256_hex($uploads[$n]{bytes}),
            "$workers workers, $uploads[$n]{name} - its object");
    }
    is($nginx->metric('uploads_active'), 0, "$workers workers - no upload is active");
    is($nginx->metric('memory_bytes'), 0, "$workers workers - no memory is held");
    is($nginx->metric('uploads_committed_total'), UPLOADS, "$workers workers - counted over all of them");
    $nginx->stop("$workers workers");
}

done_testing();
