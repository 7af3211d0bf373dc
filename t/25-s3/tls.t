# S3 over TLS with a certificate of its own CA: for an address, for a host, for the bucket's host; and refused where it is
# for another name, of another CA or out of date, or where there is no handshake. Uploads, downloads by proxy_pass, and the
# workers' S3.

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaNginx;
use MediaUpload;
use MediaObject;
use MediaProxy;
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
    my ($ca, $names, $days) = @_;
    $days //= 2;
    my $at = File::Temp->newdir(DIR => $dir);
    MediaNginx::spew("$at/ext", "subjectAltName=$names\n");
    MediaTest::run('', qw(openssl req -newkey rsa:2048 -nodes -subj /CN=s3 -keyout), "$at/private.key", '-out', "$at/csr");
    MediaTest::run('', qw(openssl x509 -req -CAcreateserial -days), $days, '-in', "$at/csr", '-CA', "$dir/$ca.crt", '-CAkey', "$dir/$ca.key",
        '-extfile', "$at/ext", '-out', "$at/public.crt");
    unlink "$at/csr", "$at/ext";
    return $at;
}

my $ca = authority('ca');
my $other = authority('other');

sub gateway {
    my ($s3, $host, $trust, %directives) = @_;
    my $server = upload_server() . "proxy_ssl_trusted_certificate $trust;\n";
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

# ---- a good S3 turns bad: first while uploads know of no harm, then when they do ----

# A TLS server of that certificate, which nobody gets to speak HTTP with; its port
my (@servers, @certificates);
sub tls_server {
    my ($at) = @_;
    my $port = MediaVendor::free_port();
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$dir/s_server";
        open STDERR, '>&', \*STDOUT;
        exec qw(openssl s_server -quiet -www -accept), "127.0.0.1:$port", '-cert', "$at/public.crt", '-key', "$at/private.key";
    }
    push @servers, $pid;
    push @certificates, $at;
    return $port;
}
END { local $?; kill 'KILL', @servers }

my %port = (
    'another name' => tls_server(certificate('ca', 'DNS:elsewhere')),
    'another CA' => tls_server(certificate('other', 'DNS:localhost')),
    'out of date' => tls_server(certificate('ca', 'DNS:localhost', -1)),
);
my %cause = (
    'another name' => 'hostname mismatch',
    'another CA' => 'unable to get local issuer certificate',
    'out of date' => 'certificate has expired',
    'RST at once' => 'TLS handshake failed',
    'RST behind the ClientHello' => 'TLS handshake failed',
    'FIN behind the ClientHello' => 'TLS handshake failed',
    'garbage' => 'TLS handshake failed',
    'half a handshake' => 'TLS handshake failed',
    'silence' => 'TLS handshake timed out',
    'silence behind half a handshake' => 'TLS handshake timed out',
);

# Half of what the real S3 says first
sub half { my ($link) = @_; $link->{held} = $link->take($link->{client}); $link->forward; $link->say(substr $link->swallow(qr/./s), 0, 300); return }

my %how = (
    'RST at once' => sub { $_[0]->reset },
    'RST behind the ClientHello' => sub { $_[0]->take($_[0]{client}); $_[0]->reset },
    'FIN behind the ClientHello' => sub { $_[0]->take($_[0]{client}); $_[0]->close },
    'garbage' => sub { $_[0]->take($_[0]{client}); $_[0]->say('HTTP/1.1 400 Bad Request' . "\r\n" x 2); $_[0]->stall },
    'half a handshake' => sub { half($_[0]); $_[0]->reset },
    'silence' => sub { $_[0]->stall },
    'silence behind half a handshake' => sub { half($_[0]); $_[0]->stall },
);

$s3 = MediaVendor->start(tls => certificate('ca', 'DNS:localhost'));
my $proxy = MediaProxy->start($s3->{port}, sub {
    my ($self, $link) = @_;
    my $mode = $self->mode;
    return $how{$mode}->($link) if $how{$mode};
    $link->{server} = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port{$mode}) if $port{$mode};
    return;
});

# as of a MediaVendor
{ no warnings 'once'; *MediaProxy::url = sub { my ($self, $host) = @_; return "https://$host:$self->{port}" } }
my $nginx = gateway($proxy, 'localhost', $ca, media_s3_connect_timeout => '1s');
for my $port (values %port) {
    $nginx->await('a TLS server', sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) });
}
my $anna = user('anna')->{id};
my $row = media('anna');
my $n = 0;

for my $mode (sort keys %cause) {
    $proxy->mode('');
    $nginx->await('S3 is well', sub { $nginx->ask(put('a.mp4', 'x' x 100))->{status} == 201 });
    $proxy->mode($mode);
    $proxy->cut;
    # nothing is left of the connections from before, and nginx has seen it
    $nginx->await('the cut', sub { MediaNginx::slurp("/proc/$proxy->{pid}/task/$proxy->{pid}/children") eq '' });
    $nginx->ask(http('GET /healthz', "Connection: close\n"));
    for my $when ('a surprise', 'known') {
        my $id = 'tls-' . ++$n . "-$$";
        my $seen = length $nginx->log_text;
        my $answer = $nginx->ask(put('a.mp4', $bytes, "X-Request-Id: $id"));
        problem($answer, 503, 'storage_unavailable', "$mode, $when");
        is($answer->{headers}{'retry-after'}, 5, "$mode, $when - when to come back");
        await_intent($nginx, $id, "$mode, $when");
        like(substr($nginx->log_text, $seen), qr/\[error\].*media s3 failed: .*cause=\Q$cause{$mode}\E/, "$mode, $when - the log tells why");
    }
    is($nginx->ask(http("GET /media/$row/original", bearer('anna')))->{status}, 503, "$mode - no download");
}
is($nginx->metric('uploads_active'), 0, 'no upload is active');
is(sql("SELECT count(*) FROM uploads WHERE owner_id = '$anna'"), 0, 'no intent is open');
is(sql("SELECT count(*) FROM objects o WHERE state = 'pending' AND NOT EXISTS (SELECT FROM uploads u WHERE u.id = o.media_id)"
    . " AND object_key LIKE '%/original'"), 0, 'no object is pending for ever');
$proxy->mode('');
committed($nginx->ask(put('a.mp4', $bytes)), $bytes, 'after all that: the next upload');
$nginx->stop('S3 that turns bad', qr/\[crit\].*SSL_do_handshake/);

done_testing();
