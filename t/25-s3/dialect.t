# media_s3_addressing, media_s3_checksum, media_s3_sse: what S3 is told, what it keeps with the object, and that
# every kind of upload and a download go that way.

use lib 't/lib';
use Digest::SHA qw(sha256_base64 sha256);
use MIME::Base64 qw(encode_base64);
use Test::More;
use MediaTest;
use MediaNginx;
use MediaUpload;
use MediaObject;

my %sizes = (media_s3_part_size => '5m', media_memory => '20m');
my ($port) = $ENV{AWS_ENDPOINT_URL} =~ /:(\d+)$/;
my %virtual = (s3 => "http://localhost:$port", media_s3_addressing => 'virtual');

sub b64 { return encode_base64($_[0], '') }

# A small PUT, one in chunks that becomes a multipart upload, and its download: their ids
sub round {
    my ($nginx, $name) = @_;
    my $small = mp4(100_000, $name);
    my $large = mp4(11_000_001, $name);
    my $one = committed($nginx->ask(put('a.mp4', $small)), $small, "$name, one PUT", bytes => 1);
    my $parts = committed($nginx->ask(put('b.mp4', undef, 'Transfer-Encoding: chunked') . chunked($large)), $large,
        "$name, in parts", bytes => 1);
    my $answer = $nginx->ask(http("GET /media/$parts/original", bearer('anna') . "Range: bytes=5000000-5999999\n"));
    is($answer->{status}, 206, "$name - a range") or diag($answer->{body});
    ok($answer->{body} eq substr($large, 5_000_000, 1_000_000), "$name - of the right bytes");
    is($nginx->metric('s3_errors_total'), 0, "$name - S3 refused nothing");
    return ($small, $large, $one, $parts);
}

# The composite checksum of parts of 5 MiB
sub composite {
    my ($bytes) = @_;
    my @parts = unpack '(a5242880)*', $bytes;
    return b64(sha256(join '', map { sha256($_) } @parts)) . '-' . @parts;
}

for my $payload (qw(trailer signed)) {
    for my $checksum (qw(sha256 crc64nvme)) {
        for my $addressing ('path', 'virtual') {
            my $name = "$payload, $checksum, $addressing";
            my $nginx = MediaNginx->start(server => upload_server(), http => media_http(%sizes, media_s3_payload => $payload,
                media_s3_checksum => $checksum, $addressing eq 'virtual' ? %virtual : ()));
            my ($small, $large, $one, $parts) = round($nginx, $name);
            my $head = s3_head(key_of($one));
            is($head->{'x-amz-checksum-sha256'}, b64(sha256($small)), "$name, one PUT - S3 keeps the file's SHA-256");
            $head = s3_head(key_of($parts));
            if ($checksum eq 'sha256') {
                is($head->{'x-amz-checksum-sha256'}, composite($large), "$name, in parts - that of the parts' SHA-256");
            } else {
                like($head->{'x-amz-checksum-crc64nvme'} // '', qr{^[A-Za-z0-9+/]{11}=$}, "$name, in parts - a CRC of all");
                is($head->{'x-amz-checksum-type'}, 'FULL_OBJECT', "$name, in parts - of the whole object");
            }
            $nginx->stop($name);
        }
    }
}

for my $payload (qw(signed unsigned)) {
    my $nginx = MediaNginx->start(server => upload_server(),
        http => media_http(%sizes, media_s3_payload => $payload, media_s3_checksum => 'none', %virtual));
    round($nginx, "$payload, no checksum");
    $nginx->stop("$payload, no checksum");
}

SKIP: {
    if (s3_vendor() eq 'versitygw') {
        # it passes over x-amz-server-side-encryption without a word
        my $nginx = MediaNginx->start(server => upload_server(), http => media_http(%sizes, media_s3_sse => 'AES256'));
        for my $size (1000, 11_000_000) {
            problem($nginx->ask(put('a.mp4', undef, 'Transfer-Encoding: chunked') . chunked(mp4($size, 'secret'))), 503,
                'storage_unavailable', "S3 does not encrypt $size bytes");
        }
        like($nginx->log_text, qr/cause=S3 does not encrypt as media_s3_sse asks/, 'S3 does not encrypt - said in the log');
        $nginx->stop('no encryption');
        skip 'versitygw does not encrypt', 1;
    }
    for my $case (['AES256', 'AES256'], ['aws:kms key=media', 'aws:kms']) {
        my ($sse, $word) = @$case;
        my $nginx = MediaNginx->start(server => upload_server(), http => media_http(%sizes, media_s3_sse => $sse));
        my (undef, undef, @ids) = round($nginx, $sse);
        for my $id (@ids) {
            my $head = s3_head(key_of($id));
            is($head->{'x-amz-server-side-encryption'}, $word, "$sse - S3 keeps it encrypted");
            is($head->{'x-amz-server-side-encryption-aws-kms-key-id'}, 'arn:aws:kms:media', "$sse - with the key named")
                if $word eq 'aws:kms';
        }
        $nginx->stop($sse);
    }
    my $nginx = MediaNginx->start(server => upload_server(), http => media_http(%sizes));
    my $bytes = mp4(1000, 'plain');
    my $id = committed($nginx->ask(put('a.mp4', $bytes)), $bytes, 'no encryption asked for');
    is(s3_head(key_of($id))->{'x-amz-server-side-encryption'}, undef, 'no encryption asked for - none');
    $nginx->stop('plain');
}

done_testing();
