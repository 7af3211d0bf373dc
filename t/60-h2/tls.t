# Uploads over TLS, by HTTP/1.1 and HTTP/2 as the client and ALPN will have it

use lib 't/lib';
use Test::More;
use File::Temp ();
use IPC::Open3 qw(open3);
use JSON::PP ();
use MediaTest;
use MediaNginx;
use MediaUpload;

my $port = ($ENV{TEST_NGINX_PORT} // 1984) + 1;
my $dir = File::Temp->newdir;
MediaTest::run('', qw(openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext), 'subjectAltName=DNS:localhost',
    '-keyout', "$dir/key", '-out', "$dir/cert");
chmod 0755, $dir;
chmod 0644, "$dir/key";
my $server = upload_server(max_size => 9_000_000);
my $nginx = MediaNginx->start(
    http => media_http(media_s3_part_size => '5m', media_memory => '20m')
        . "server { listen 127.0.0.1:$port ssl http2; ssl_certificate $dir/cert; ssl_certificate_key $dir/key; $server }\n",
    server => $server);

sub file {
    my ($bytes) = @_;
    my $file = File::Temp->new;
    binmode $file;
    print {$file} $bytes;
    close $file;
    return $file;
}

sub curl {
    my ($version, $bytes, @args) = @_;
    my $file = file($bytes);
    my $config = file('header = "' . (bearer('anna') =~ s/\n//r) . qq{"\n});
    my $pid = open3('<&' . fileno STDIN, my $out, undef, qw(curl -sS --max-time 60 -K), $config->filename, "--$version",
        '--cacert', "$dir/cert", '--resolve', "localhost:$port:127.0.0.1", '-w', "\n%{http_code} %{http_version} %{content_type} %header{location}",
        map { s/\@FILE/$file/r } @args);
    my $text = do { local $/; readline $out } // '';
    waitpid $pid, 0;
    my ($status, $spoken, $type, $location) = $text =~ s/\n(\d+) (\S+) (\S*) (\S*)\z// ? ($1, $2, $3, $4) : (0, 'nothing', '', '');
    return { status => $status, version => $spoken, headers => { 'content-type' => $type, location => $location }, body => $text, json => eval { JSON::PP->new->utf8->decode($text) } };
}

my $url = "https://localhost:$port";
my %kind = (
    'with its length' => ['-T', '@FILE', "$url/upload/a.mp4"],
    'without its length' => ['-T', '@FILE', '-H', 'Transfer-Encoding: chunked', "$url/upload/a.mp4"],
    'as a form' => ['-F', 'file=@@FILE;filename=a.mp4;type=video/mp4', '-F', 'title=x', "$url/upload"],
);
for my $version ('http1.1', 'http2') {
    for my $kind (sort keys %kind) {
        for my $size (0, 1, 70_000, 5_242_880, 5_242_881, 8_000_000) {
            # curl does not end the chunks of an empty file
            next if $size == 0 && $kind eq 'without its length' && $version eq 'http1.1';
            my $bytes = mp4($size, "$version $kind");
            my $answer = curl($version, $bytes, @{ $kind{$kind} });
            is($answer->{version}, $version =~ s/http//r, "$version, $kind, $size bytes - spoken");
            committed($answer, $bytes, "$version, $kind, $size bytes", bytes => $size > 5_000_000 || $size < 2);
        }
        problem(curl($version, mp4(12_000_000), @{ $kind{$kind} }), 413, 'too_large', "$version, $kind, too large");
    }
}
is($nginx->metric('uploads_active'), 0, 'no upload is active');
is($nginx->metric('memory_bytes'), 0, 'no memory is held');
is($nginx->metric("uploads_${_}_total"), 0, "none $_") for qw(failed aborted);
$nginx->stop;
done_testing();
