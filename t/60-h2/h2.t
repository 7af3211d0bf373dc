# Uploads over HTTP/2 without TLS (prior knowledge): with and without a length, raw and as a form

use lib 't/lib';
use Test::More;
use IPC::Open3 qw(open3);
use JSON::PP ();
use MediaTest;
use MediaH2;
use MediaNginx;
use MediaS3;
use MediaUpload;

my $port = ($ENV{TEST_NGINX_PORT} // 1984) + 1;
my $url = "http://127.0.0.1:$port";
my $authorization = bearer('anna') =~ s/\n//r;

# The same routes on a port of their own
sub start {
    my ($http, %server) = @_;
    my $server = upload_server(%server);
    return MediaNginx->start(http => media_http(media_s3_part_size => '5m', media_memory => '20m', %$http)
        . "server { listen 127.0.0.1:$port http2; $server }\n", server => $server);
}

# Starts curl on a request, the bytes in @FILE and on its standard input; answer() waits for it
sub curl {
    my ($bytes, @args) = @_;
    my $in = file_of($bytes);
    my @body = map { s/\@FILE/$in/r } @args;
    open my $stdin, '<', $in->filename or die $!;
    my $pid = open3('<&' . fileno $stdin, my $out, undef, qw(curl -sS --http2-prior-knowledge --max-time 60 -D - -H),
        $authorization, '-w', "\n%{http_code} %{http_version}", @body);
    return { pid => $pid, out => $out, in => $in };
}

sub answer {
    my ($curl) = @_;
    my $text = do { local $/; readline $curl->{out} } // '';
    waitpid $curl->{pid}, 0;
    my $tail = $text =~ s/\n(\d+) (\S+)\z// ? [$1, $2] : [0, 0];
    my ($head, $body) = $text =~ /\A(?:HTTP\/2 1.*?\r\n\r\n)?(.*?\r\n\r\n)?(.*)\z/s;
    my %headers = map { /^([^:\r]+): *([^\r]*)/ ? (lc $1, $2) : () } split /\n/, $head // '';
    return { status => $tail->[0], version => $tail->[1], headers => \%headers, body => $body,
        json => eval { JSON::PP->new->utf8->decode($body) } };
}

my %kind = (
    'with its length' => ['-T', '@FILE', "$url/upload/a.mp4"],
    'without its length' => ['-T', '-', '-H', 'Content-Length:', "$url/upload/a.mp4"],
    'as a form' => ['-F', 'title=x', '-F', 'file=@@FILE;filename=a.mp4;type=video/mp4', "$url/upload"],
);
# `-T -` reads the file as standard input: no length is known
sub upload {
    my ($kind, $bytes, @more) = @_;
    return curl($bytes, @{ $kind{$kind} }, @more);
}

# ---- sizes ----

my $nginx = start({});
for my $kind (sort keys %kind) {
    for my $size (0, 1, 65_535, 65_536, 100_000, 5_242_881, 20_000_000) {
        my $bytes = mp4($size, $kind);
        my $answer = answer(upload($kind, $bytes));
        is($answer->{version}, 2, "$kind, $size bytes - over HTTP/2");
        committed($answer, $bytes, "$kind, $size bytes", bytes => $size == 20_000_000 || $size < 2);
    }
}

# ---- refusals: the answer comes without the body ----

my $bytes = mp4(2_000_000);
my %with = (authorization => $authorization =~ s/^\S+ //r);
my $h2 = MediaH2->new($port);

sub early {
    my ($name, $method, $path, $headers, @want) = @_;
    my $answer = $h2->answer(my $id = $h2->request($method, $path, $headers));
    is("$answer->{status} $answer->{json}{code}", "$want[0] $want[1]", "$name - refused");
    is($h2->body($id, $bytes), 0, "$name - the body is not wanted");
    return;
}
early('no token', 'PUT', '/upload/a.mp4', {}, 401, 'token_missing');
early('another method', 'DELETE', '/upload', { %with }, 405, 'method_not_allowed');
early('an unknown argument', 'PUT', '/upload/a.mp4?x=1', { %with, 'content-length' => length $bytes }, 400, 'unknown_field');
early('an unknown pipeline', 'PUT', '/upload/a.mp4?pipeline=none', { %with }, 422, 'pipeline_unknown');
early('a boundary that is none', 'POST', '/upload', { %with, 'content-type' => 'multipart/form-data' }, 400, 'form_invalid');

# clients that find answer and RST_STREAM in one read would report the latter only
my $id = $h2->request('PUT', '/upload/a.mp4?x=1', { %with, 'content-length' => length $bytes });
my $early = $h2->answer($id);
is("$early->{status} " . ($early->{reset} // 'open'), '400 open', 'an early answer - the stream stays for a moment');
$nginx->await('RST_STREAM', sub { $h2->pull(0.1); defined $early->{reset} });
is($early->{reset}, 0, 'an early answer - then it is reset without an error');

$id = $h2->request('PUT', '/upload/a.mp4', { %with, 'content-length' => 100 });
$h2->body($id, mp4(99));
is($h2->answer($id)->{status}, 400, 'a body shorter than its length');
$id = $h2->request('PUT', '/upload/a.mp4', { %with, 'content-length' => 100 });
$h2->body($id, mp4(101));
is($h2->answer($id)->{status}, 400, 'a body longer than its length');
$id = $h2->request('PUT', '/upload/a.mp4', { %with, 'content-length' => 100 }, 1);
is($h2->answer($id)->{status}, 400, 'no body in spite of a length');
$id = $h2->request('PUT', '/upload/a.mp4', \%with, 1);
committed($h2->answer($id), '', 'no body and no length');
$id = $h2->request('PUT', '/upload/a.mp4', \%with);
$h2->body($id, $bytes);
committed($h2->answer($id), $bytes, 'after all that: the same connection');

problem(answer(curl($bytes, '-F', 'file=@@FILE', '-F', 'colour=red', "$url/upload")), 400, 'unknown_field', 'an unknown field');
problem(answer(upload($_, $bytes, '-H', 'Content-Digest: ' . digest('x'))), 400, 'digest_mismatch', "another digest, $_")
    for 'with its length', 'without its length';
is($nginx->metric('uploads_failed_total'), 0, 'none failed');
# those two nginx may end before the intent is written or after
my $aborted = $nginx->metric('uploads_aborted_total');
cmp_ok($aborted, '<=', 2, 'none aborted but the two of a wrong length');
is($nginx->metric('uploads_refused_total') + $aborted, 9, 'what was refused');

# ---- many streams of one connection, in turns ----

my @files = map { mp4(200_000 + $_, "stream $_") } 0 .. 29;
my @streams = map { $h2->request('PUT', "/upload/$_.mp4", { %with, $_ % 2 ? ('content-length' => length $files[$_]) : () }) } 0 .. $#files;
for (my $at = 0; $at < 200_030; $at += 30_000) {
    for my $n (0 .. $#files) {
        my $last = $at + 30_000 >= length $files[$n];
        $h2->body($streams[$n], substr($files[$n], $at, 30_000), open => !$last);
    }
}
committed($h2->answer($streams[$_]), $files[$_], "stream $_", bytes => $_ % 10 == 0) for 0 .. $#files;

# ---- resets ----

for my $length (undef, 500_000) {
    for my $sent (0, 1, 70_000, 300_000) {
        my $started = $nginx->metric('uploads_started_total');
        $id = $h2->request('PUT', '/upload/a.mp4', { %with, 'x-request-id' => "reset-$$", $length ? ('content-length' => $length) : () });
        $h2->body($id, mp4($sent), open => 1);
        $nginx->await('its intent', sub { $nginx->metric('uploads_started_total') > $started });
        $h2->reset($id);
        my $active = 1;
        eval { $nginx->await('it is noticed', sub { ($active = $nginx->metric('uploads_active')) == 0 }, 5) };
        is($active, 0, "RST_STREAM after $sent bytes, length " . ($length // 'unknown') . ' - noticed at once');
    }
}
await_intent($nginx, "reset-$$", 'RST_STREAM');
is($nginx->metric('uploads_active'), 0, 'no upload is active');
is($nginx->metric('memory_bytes'), 0, 'no memory is held');
$id = $h2->request('PUT', '/upload/a.mp4', \%with);
$h2->body($id, $bytes);
committed($h2->answer($id), $bytes, 'after resets: the same connection');
undef $h2;
$nginx->stop;

# ---- a file larger than allowed ----

$nginx = start({}, max_size => 1_000_000);
$h2 = MediaH2->new($port);
my $answer = $h2->answer($h2->request('PUT', '/upload/a.mp4', { %with, 'content-length' => 1_000_001 }));
is("$answer->{status} $answer->{json}{code}", '413 too_large', 'too large, with its length');
my $type = 'multipart/form-data; boundary=limit';
for my $case (['without its length', $bytes, 'PUT', '/upload/a.mp4', {}],
    ['as a form', form(part('file', $bytes, 'a.mp4')), 'POST', '/upload', { 'content-type' => $type }])
{
    my ($name, $body, $method, $path, $headers) = @$case;
    $id = $h2->request($method, $path, { %with, %$headers });
    cmp_ok($h2->body($id, $body), '<', 2_000_000, "too large, $name - it is stopped");
    $answer = $h2->answer($id);
    is("$answer->{status} $answer->{json}{code}", '413 too_large', "too large, $name");
}
$id = $h2->request('PUT', '/upload/a.mp4', \%with);
$h2->body($id, mp4(1_000_000));
committed($h2->answer($id), mp4(1_000_000), 'just not too large, on the same connection');
undef $h2;
is($nginx->metric('memory_bytes'), 0, 'no memory is held');
$nginx->stop('too large');

# ---- back-pressure and reset ----

my $s3 = MediaS3->start(sub {
    my ($self, $request) = @_;
    my $slow = $request->{method} eq 'PUT' && $self->mode;
    sleep 60 if $slow eq 'never';
    if ($slow) {
        my $raw = '';
        for (my $left = $request->length_of_body; $left > 0; $left -= 1_000_000) {
            $raw .= $request->take($left < 1_000_000 ? $left : 1_000_000);
            select undef, undef, undef, 0.04;
        }
        ${ $request->{in} } = $raw . ${ $request->{in} };
    }
    return $request->good;
});
$nginx = start({ s3 => $s3->url }, body_timeout => '1s');
my $large = mp4(30_000_000);
my $most = 24 * 1024 * 1024;

$s3->mode('slow');
for my $kind (sort keys %kind) {
    my $file = $kind eq 'with its length' ? mp4(8_000_000) : $large;
    my $curl = upload($kind, $file);
    my $held = 0;
    $nginx->await('it is over', sub {
        my $now = $nginx->metric('memory_bytes');
        $held = $now if $now > $held;
        return $nginx->metric('uploads_active') == 0 && $nginx->metric('upload_bytes_total') > 0;
    });
    committed(answer($curl), $file, "a slow S3, $kind");
    cmp_ok($held, '<=', $most, "a slow S3, $kind - media_memory bounds what is held");
}

# what S3 does not take the client cannot send; once it leaves, nothing is left of it
$s3->mode('never');
for my $length (undef, length $large) {
    for my $how ('RST_STREAM', 'FIN') {
        my $name = "S3 reads nothing, length " . ($length // 'unknown') . ", $how";
        $h2 = MediaH2->new($port);
        $id = $h2->request('PUT', '/upload/a.mp4', { %with, $length ? ('content-length' => $length) : () });
        my $sent = $h2->body($id, $large, patience => 1.2);
        cmp_ok($sent, '<', length $large, "$name - the window stays shut");
        $how eq 'FIN' ? undef $h2 : $h2->reset($id);
        my $active = 1;
        eval { $nginx->await('it is noticed', sub { ($active = $nginx->metric('uploads_active')) == 0 }, 5) };
        is($active, 0, "$name - noticed at once");
        is($nginx->metric('memory_bytes'), 0, "$name - no memory is held");
    }
}
is(sql("SELECT count(*) FROM uploads WHERE owner_id = '" . user('anna')->{id} . "'"), 0, 'no intent is open');
is($nginx->metric('uploads_refused_total'), 0, 'no client was blamed for a slow S3');
$nginx->stop('hostile');

# ---- a silent client ----

$nginx = start({}, body_timeout => '500ms');
for my $length (undef, 100_000) {
    $h2 = MediaH2->new($port);
    $id = $h2->request('PUT', '/upload/a.mp4', { %with, $length ? ('content-length' => $length) : () });
    $h2->body($id, mp4(50_000), open => 1);
    $answer = $h2->answer($id);
    undef $h2;
    is("$answer->{status} $answer->{json}{code}", '408 request_timeout', 'a silent client, length ' . ($length // 'unknown'));
}
$nginx->stop('silent client');

done_testing();
