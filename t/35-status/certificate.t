# /metrics tells when the first of the certificates ends that nginx shows

use lib 't/lib';
use Test::More;
use File::Temp ();
use POSIX ();
use MediaTest;
use MediaNginx;

my $port = ($ENV{TEST_NGINX_PORT} // 1984) + 1;
my $dir = File::Temp->newdir;
chmod 0755, $dir;

sub certificate {
    my ($name, $days, @key) = @_;
    MediaTest::run('', qw(openssl req -x509 -nodes -subj /CN=localhost), '-days', $days, '-keyout', "$dir/$name.key", '-out', "$dir/$name", @key);
    chmod 0644, "$dir/$name.key";
    return "ssl_certificate $dir/$name; ssl_certificate_key $dir/$name.key;";
}

sub ends {
    my ($name) = @_;
    my $text = MediaTest::run('', qw(openssl x509 -noout -enddate -dateopt iso_8601 -in), "$dir/$name");
    my ($y, $mo, $d, $h, $mi, $s) = $text =~ /notAfter=(\d+)-(\d+)-(\d+) (\d+):(\d+):(\d+)Z/ or die "not a date: $text";
    local $ENV{TZ} = 'UTC';
    POSIX::tzset();
    return POSIX::mktime($s, $mi, $h, $d, $mo - 1, $y - 1900);
}

my $metric = 'certificate_not_after_seconds';
my $server = 'location / { media on; media_metrics on; } location @media_object { return 404; }';
my @rsa = qw(-newkey rsa:2048);
my @ec = qw(-newkey ec -pkeyopt ec_paramgen_curve:P-256);

sub shown {
    my ($config) = @_;
    my $nginx = MediaNginx->start(http => media_http() . $config, server => $server);
    my $end = $nginx->metric($metric);
    $nginx->stop;
    return $end;
}

is(shown(''), undef, 'no TLS, no figure');

my $one = certificate(one => 3, @rsa);
is(shown("server { listen 127.0.0.1:$port ssl; $one }"), ends('one'), 'one certificate');

my $two = certificate(two => 20, @rsa) . certificate(ec => 10, @ec);
is(shown("server { listen 127.0.0.1:$port ssl; $two }"), ends('ec'), 'a key of each kind: the earlier one');
is(shown("server { listen 127.0.0.1:$port ssl; $two } server { listen 127.0.0.1:$port ssl; server_name a; $one }"),
    ends('one'), 'two servers: the earlier one');

done_testing();
