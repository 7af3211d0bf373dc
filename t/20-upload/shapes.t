# The shapes of HTTP/1 a body may have, and what a client hears before it sends one

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaNginx;
use MediaUpload;

my $nginx = MediaNginx->start(
    http => media_http(media_s3_part_size => '5m', media_memory => '20m'), server => upload_server(max_size => 6_000_000));
my @type = 'Content-Type: multipart/form-data; boundary=limit';
my $bytes = mp4(70_000);
my $form = form(part('title', 'x'), part('file', $bytes, 'a.mp4'), part('visibility', 'public'));

# ---- HTTP/1.0: a length is all it can say ----

sub old { return $_[0] =~ s{ HTTP/1\.1\r\n}{ HTTP/1.0\r\n}r }

for my $size (0, 1, 70_000, 5_242_881) {
    my $file = mp4($size);
    my $client = $nginx->client;
    $client->send(old(put('a.mp4', $file)));
    committed($client->answer, $file, "HTTP/1.0, PUT of $size bytes", bytes => $size < 2);
    ok($client->closed, "HTTP/1.0, PUT of $size bytes - then it is closed");
}
committed($nginx->ask(old(post('?name=a.mp4', $bytes))), $bytes, 'HTTP/1.0, POST', name => 'a.mp4');
committed($nginx->ask(old(post('', $form, @type))), $bytes, 'HTTP/1.0, a form', title => 'x', visibility => 'public');
my $client = $nginx->client;
$client->send(old(put('a.mp4', $bytes, 'Connection: keep-alive')), old(put('b.mp4', $bytes)));
committed($client->answer, $bytes, 'HTTP/1.0, keep-alive, the first');
committed($client->answer, $bytes, 'HTTP/1.0, keep-alive, the second');
problem($nginx->ask(old(http('PUT /upload/a.mp4', bearer('anna')))), 411, 'length_required', 'HTTP/1.0 without a length');
problem($nginx->ask(old(put('a.mp4', undef, 'Transfer-Encoding: chunked') . chunked($bytes))), 400, 'bad_request',
    'HTTP/1.0 in chunks');
# a 1.0 client does not wait for 100 Continue
committed($nginx->ask(old(put('a.mp4', $bytes, 'Expect: 100-continue'))), $bytes, 'HTTP/1.0, Expect: 100-continue');

# ---- framing ----

problem($nginx->ask(put('a.mp4', $bytes, 'Transfer-Encoding: chunked')), 400, 'bad_request', 'a length and chunks');
problem($nginx->ask(put('a.mp4', undef, "Transfer-Encoding: $_") . chunked($bytes)), 501, 'not_implemented', "the coding $_")
    for 'gzip, chunked', 'identity', 'chunked, chunked';
problem($nginx->ask(put('a.mp4', undef, 'Transfer-Encoding: chunked') . $_->[1]), 400, 'bad_request', $_->[0])
    for ['a chunk without a size', "\r\nxx\r\n0\r\n\r\n"], ['a chunk of a size that is none', "zz\r\nxx\r\n0\r\n\r\n"],
    ['a chunk larger than any', "ffffffffffffffffff\r\nx"], ['a chunk that is longer than its size', "2\r\nxxxx\r\n0\r\n\r\n"];
committed($nginx->ask(put('a.mp4', undef, 'Transfer-Encoding: Chunked')
    . sprintf("%X;name=value\r\n%s\r\n000\r\n\r\n", length $bytes, $bytes)), $bytes, 'a chunk with an extension');
committed($nginx->ask(put('a.mp4', undef, 'Transfer-Encoding: chunked')
    . chunked($bytes) =~ s/0\r\n\r\n\z/0\r\nContent-Digest: x\r\nTrailer-2: y\r\n\r\n/r), $bytes, 'chunks with trailers');
for my $size (5_242_879, 5_242_880, 5_242_881) {
    my $file = mp4($size);
    committed($nginx->ask(put('a.mp4', undef, 'Transfer-Encoding: chunked')
        . sprintf("%x\r\n%s\r\n0\r\n\r\n", length $file, $file)), $file, "one chunk of $size bytes", bytes => 1);
    # the end comes by itself
    $client = $nginx->client;
    $client->send(put('a.mp4', undef, 'Transfer-Encoding: chunked') . sprintf("%x\r\n%s\r\n", length $file, $file), \0.3,
        "0\r\n\r\n");
    committed($client->answer, $file, "one chunk of $size bytes, its end later", bytes => 1);
}

# ---- Expect: 100-continue, each shape ----

my %shape = (
    'with its length' => [put('a.mp4', $bytes, 'Expect: 100-continue'), $bytes],
    'in chunks' => [put('a.mp4', undef, 'Transfer-Encoding: chunked', 'Expect: 100-continue'), chunked($bytes)],
    'a form' => [post('', $form, @type, 'Expect: 100-continue'), $form],
);
for my $name (sort keys %shape) {
    my ($request, $body) = @{ $shape{$name} };
    $request = substr $request, 0, index($request, "\r\n\r\n") + 4;
    $client = $nginx->client;
    $client->send($request);
    is($client->answer->{status}, 100, "Expect, $name - go on");
    $client->send($body);
    committed($client->answer, $bytes, "Expect, $name");

    # no byte of it is asked for when it is refused
    for my $case (['a wrong token', 401, 'token_invalid', $request =~ s/(Bearer [^.]+)/$1x/r],
        ['an unknown pipeline', 422, 'pipeline_unknown', $request =~ s{(/upload\S*)}{$1?pipeline=none}r])
    {
        my ($why, $status, $code, $bad) = @$case;
        $client = $nginx->client;
        $client->send($bad);
        problem($client->answer, $status, $code, "Expect, $name, $why");
    }
}

# ---- an answer in mid-body is there to be read by one who sends all of it first ----

my $large = mp4(16_000_000);
my %refused = (
    'with its length' => [put('a.mp4', "\x89PNG\r\n\x1a\n\0\0\0\rIHDR" . substr($large, 0, 5_900_000)), 415, 'type_not_allowed'],
    'in chunks' => [put('a.mp4', undef, 'Transfer-Encoding: chunked') . chunked($large), 413, 'too_large'],
    'a form' => [post('', form(part('file', $large, 'a.mp4')), @type), 413, 'too_large'],
    'a form with an unknown field' => [post('', form(part('colour', 'red'), part('file', substr($large, 0, 9_000_000), 'a.mp4')), @type), 400, 'unknown_field'],
);
$nginx->stop;
$nginx = MediaNginx->start(server => upload_server(max_size => 6_000_000, types => 'video/'));
for my $name (sort keys %refused) {
    my ($request, $status, $code) = @{ $refused{$name} };
    $client = $nginx->client;
    is($client->send($request), length $request, "in mid-body, $name - all of it is taken");
    problem($client->answer, $status, $code, "in mid-body, $name");
}
is($nginx->metric('uploads_active'), 0, 'no upload is active');
is($nginx->metric('memory_bytes'), 0, 'no memory is held');
$nginx->stop('in mid-body');
done_testing();
