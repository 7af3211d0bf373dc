# S3 over TLS with a certificate of its own CA: for an address, for a host, for the bucket's host; and refused where it is
# for another name or of another CA. Uploads, downloads by proxy_pass, and the workers' S3.

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaNginx;
use MediaUpload;
use MediaObject;
use MediaVendor;

my $dir = File::Temp->newdir;
chmod 0755, $dir;
my $bytes = mp4(6_000_000, 'tls');

# A CA, and a directory with a certificate of it for these names
sub authority {
    my ($ca) = @_;
    MediaTest::run('', qw(openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test-ca -keyout), "$dir/$ca.key",
        '-out', "$dir/$ca.crt");
    return "$dir/$ca.crt";
}

sub certificate {
    my ($ca, $names) = @_;
    my $at = File::Temp->newdir(DIR => $dir);
    MediaNginx::spew("$at/ext", "subjectAltName=$names\n");
    MediaTest::run('', qw(openssl req -newkey rsa:2048 -nodes -subj /CN=s3 -keyout), "$at/private.key", '-out', "$at/csr");
    MediaTest::run('', qw(openssl x509 -req -days 2 -CAcreateserial -in), "$at/csr", '-CA', "$dir/$ca.crt", '-CAkey', "$dir/$ca.key",
        '-extfile', "$at/ext", '-out', "$at/public.crt");
    unlink "$at/csr", "$at/ext";
    return $at;
}

my $ca = authority('ca');
my $other = authority('other');

sub gateway {
    my ($s3, $host, $trust, %directives) = @_;
    my $server = upload_server();
    $server =~ s{proxy_ssl_trusted_certificate [^;]+;}{proxy_ssl_trusted_certificate $trust;} or die;
    return MediaNginx->start(server => $server, http => media_http(s3 => $s3->url($host), media_s3_trusted_certificate => $trust,
        media_s3_part_size => '5m', media_memory => '20m', %directives));
}

sub good {
    my ($name, @gateway) = @_;
    my $nginx = gateway(@gateway);
    my $one = committed($nginx->ask(put('a.mp4', $bytes)), $bytes, $name);
    my $parts = committed($nginx->ask(put('a.mp4', undef, 'Transfer-Encoding: chunked') . chunked($bytes)), $bytes, "$name, in parts");
    for my $id ($one, $parts) {
        my $answer = $nginx->ask(http("GET /media/$id/original", bearer('anna')));
        is($answer->{status}, 200, "$name - a download") or diag($nginx->log_text);
        ok($answer->{body} eq $bytes, "$name - its bytes");
    }
    is($nginx->ask(http('GET /readyz', ''))->{status}, 200, "$name - ready");
    return $nginx->stop($name);
}

sub bad {
    my ($name, @gateway) = @_;
    my $nginx = gateway(@gateway);
    problem($nginx->ask(put('a.mp4', $bytes)), 503, 'storage_unavailable', $name);
    is($nginx->ask(http('GET /readyz', ''))->{status}, 503, "$name - not ready");
    # a row whose object would be there
    my $id = media('anna');
    is($nginx->ask(http("GET /media/$id/original", bearer('anna')))->{status}, 503, "$name - no download");
    return $nginx->stop($name, qr/\[crit\].*SSL_do_handshake/);
}

my @virtual = (media_s3_addressing => 'virtual');
# nginx's proxy_pass looks for an address among the DNS names only, our own client where it belongs
my $s3 = MediaVendor->start(tls => certificate('ca', 'IP:127.0.0.1,DNS:127.0.0.1,DNS:localhost,DNS:media.localhost'));
good('an address', $s3, '127.0.0.1', $ca);
good('a host', $s3, 'localhost', $ca);
good('a virtual host', $s3, 'localhost', $ca, @virtual);
bad('another CA', $s3, 'localhost', $other);
bad('another CA, a virtual host', $s3, 'localhost', $other, @virtual);

my ($build) = $ENV{TEST_NGINX_LOAD_MODULES} =~ m{^(.*)/lib/[^/]+$};
SKIP: {
    skip 'the workers are not built here', 1 if !-x "$build/workers/test_wk_s3";
    for my $addressing ('path', 'virtual') {
        local %ENV = (%ENV, AWS_ENDPOINT_URL => $s3->url('localhost'), AWS_CA_BUNDLE => $ca, MEDIA_S3_ADDRESSING => $addressing,
            MEDIA_S3_CHECKSUM => 'crc64nvme', MEDIA_S3_BUCKET => 'media');
        like(eval { MediaTest::run('', "$build/workers/test_wk_s3") } // $@, qr/^\d+ passed, 0 failed$/m, "the workers' S3, $addressing");
    }
}
$s3->stop;

$s3 = MediaVendor->start(tls => certificate('ca', 'DNS:localhost'));
good('a certificate of the host', $s3, 'localhost', $ca);
bad('a certificate of the host, for the virtual host', $s3, 'localhost', $ca, @virtual);
bad('a certificate of the host, for its address', $s3, '127.0.0.1', $ca);
$s3->stop;

done_testing();
