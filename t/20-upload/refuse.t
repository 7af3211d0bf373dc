# Uploads refused for what their request line and headers say: before the body, with "100 Continue" unsaid

use lib 't/lib';
use Test::More;
use Digest::SHA qw(sha256 sha512);
use MIME::Base64 qw(encode_base64);
use MediaTest;
use MediaNginx;
use MediaUpload;

my $nginx = MediaNginx->start(
    http => media_http(media_s3_part_size => '5m', media_memory => '20m'),
    server => upload_server(max_size => 100_000, types => 'video/ audio/mpeg', lines => [
        'location /any/ { rewrite ^/any(/.*)$ $1 break; media on; media_pipeline test-idle; }',
    ]));
my $bytes = mp4(50_000);
my $length = 'Content-Length: 50000';

# Only the head is sent, with Expect: 100-continue; the first answer has to be the problem
sub early {
    my ($name, $line, $headers, @want) = @_;
    my $client = $nginx->client;
    $client->send(http($line, join '', bearer('anna'), map { "$_\n" } @$headers, 'Expect: 100-continue'));
    my $answer = $client->answer;
    problem($answer, $want[0], $want[1], $name, $want[2]);
    return $answer;
}

sub put_early {
    my ($name, $target, $headers, @want) = @_;
    return early($name, "PUT /upload/$target", [$length, @$headers], @want);
}

# ---- who and how ----

my $client = $nginx->client;
$client->send(http('PUT /upload/a.mp4', "$length\nExpect: 100-continue\n"));
my $answer = $client->answer;
problem($answer, 401, 'token_missing', 'no token');
is($answer->{headers}{'www-authenticate'}, 'Bearer realm="ngx_media"', 'no token - the challenge');
$client = $nginx->client;
$client->send(http('POST /upload', "$length\nExpect: 100-continue\n" . bearer('anna', exp => time - 1)));
problem($client->answer, 401, 'token_expired', 'an expired token');
$client = $nginx->client;
$client->send(http('PUT /upload/a.mp4', "$length\nExpect: 100-continue\n"
    . bearer('anna', sub => '018f0000-0000-7000-8000-000000000000')));
problem($client->answer, 401, 'token_invalid', 'an account that is gone');

for my $case (['GET /upload', 'POST'], ['PUT /upload', 'POST'], ['DELETE /upload', 'POST'], ['POST /upload/a.mp4', 'PUT'],
    ['GET /upload/a.mp4', 'PUT'], ['PATCH /upload/a.mp4', 'PUT'])
{
    $answer = early("$case->[0]", $case->[0], [$length], 405, 'method_not_allowed', qr/use $case->[1]$/);
    is($answer->{headers}{allow}, $case->[1], "$case->[0] - Allow");
}
early("PUT $_", "PUT $_", [$length], 404, 'not_found') for '/upload/', '/upload/..', '/upload/%2e%2e', '/upload/a/../';
early('a NUL in the name', 'PUT /upload/a%00.mp4', [$length], 400, 'bad_request');
early('a broken escape in the name', 'PUT /upload/a%zz.mp4', [$length], 400, 'bad_request');

# ---- how long ----

problem($nginx->ask(http("$_", bearer('anna'))), 411, 'length_required', "$_ without a length", qr/Content-Length or Transfer-Encoding/)
    for 'PUT /upload/a.mp4', 'POST /upload';
early('more than media_max_size', 'PUT /upload/a.mp4', ['Content-Length: 100001'], 413, 'too_large', qr/100001 .* 100000/);
early('more than media_max_size by far', 'POST /upload', ['Content-Length: 9223372036854775807'], 413, 'too_large');
early('a length that is none', 'PUT /upload/a.mp4', ['Content-Length: -1'], 400, 'bad_request');
early('a transfer coding that is none', 'PUT /upload/a.mp4', ['Transfer-Encoding: gzip'], 501, 'not_implemented');
committed($nginx->ask(put('a.mp4', mp4(100_000))), mp4(100_000), 'exactly media_max_size');

my $large = mp4(100_001);
problem($nginx->ask(put('a.mp4', undef, 'Transfer-Encoding: chunked') . chunked($large)), 413, 'too_large',
    'too large in chunks', qr/100000 bytes/);
my @type = 'Content-Type: multipart/form-data; boundary=limit';
problem($nginx->ask(post('', form(part('file', $large, 'a.mp4')), @type)), 413, 'too_large', 'too large in a form', qr/100000 bytes/);
committed($nginx->ask(post('', form(part('title', 'x' x 4000), part('file', mp4(100_000), 'a.mp4')), @type)), mp4(100_000),
    'exactly media_max_size in a form');

# ---- of which type ----

put_early("the type $_", 'a', ["Content-Type: $_"], 415, 'type_not_allowed', qr{^image/}i) for 'image/png', 'IMAGE/jpeg; q=1';
for my $type ('application/octet-stream', 'text/texmacs', 'video/quicktime', 'audio/x-m4a', '', 'nonsense', 'application/mp4; codecs="x"', "video/\xff") {
    committed($nginx->ask(put('a.mp4', $bytes, "Content-Type: $type")), $bytes, "declared as \"$type\"", content_type => 'video/mp4');
}
my $png = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR" . "\0" x 5000;
my $mp3 = "ID3\4\0\0\0\0\0\0" . ("\xff\xfb\x90\0" . "\0" x 413) x 9;
my $wav = "RIFF\x24\x10\0\0WAVEfmt " . "\0" x 5000;
my $zip = "PK\3\4" . "\0" x 5000;
problem($nginx->ask(put('a.mp4', $png)), 415, 'type_not_allowed', 'a picture', qr{^image/png is not accepted});
problem($nginx->ask(put('a.mp4', $wav)), 415, 'type_not_allowed', 'a WAV file', qr{^audio/\S*wav});
problem($nginx->ask(put('a.mp4', $zip)), 415, 'type_not_allowed', 'an archive', qr{^application/octet-stream});
problem($nginx->ask(put('a.mp4', '')), 415, 'type_not_allowed', 'nothing', qr{^application/octet-stream});
problem($nginx->ask(put('a.mp4', $png, 'Content-Type: video/mp4')), 415, 'type_mismatch', 'a picture that claims to be a video',
    qr{video/mp4.*image/png});
committed($nginx->ask(put('a.mp3', $mp3)), $mp3, 'audio/mpeg by its full name', content_type => 'audio/mpeg');
problem($nginx->ask(put('a.mp4', $bytes, 'Content-Type: audio/mpeg')), 415, 'type_mismatch', 'a film that claims to be music', qr{audio/mpeg.*video/mp4});
problem($nginx->ask(put('a.mp3', $mp3, 'Content-Type: video/mp4')), 415, 'type_mismatch', 'music that claims to be a film', qr{video/mp4.*audio/mpeg});
put_early("the type $_", 'a', ["Content-Type: $_"], 415, 'type_not_allowed', qr/is not accepted here/) for 'text/plain', 'font/ttf';
my $junk = "\xde\xad\xbe\xef" x 200 . substr $mp3, 10;
committed($nginx->ask(put('a.mp3', $junk)), $junk, 'mp3 behind junk', content_type => 'audio/mpeg');
problem($nginx->ask(post('', form(part('file', $png, 'a.png')), @type)), 415, 'type_not_allowed', 'a picture in a form');
problem($nginx->ask(put('a.mp4', undef, 'Transfer-Encoding: chunked') . chunked($png)), 415, 'type_not_allowed', 'a picture in chunks');

# the first bytes tell: nothing more is waited for
$client = $nginx->client;
$client->send(substr put('a.mp4', $png . 'x' x 50_000), 0, -40_000);
problem($client->answer, 415, 'type_not_allowed', 'a picture, by its first bytes');
committed($nginx->ask(put('a', $png) =~ s{/upload/}{/any/upload/}r), $png, 'without media_types', content_type => 'image/png');

# ---- pipeline, params, arguments ----

put_early('an unknown pipeline', 'a.mp4?pipeline=vidoe', [], 422, 'pipeline_unknown', qr/"vidoe"/);
put_early('an unknown pipeline in a header', 'a.mp4', ['X-Media-Pipeline: vidoe'], 422, 'pipeline_unknown', qr/"vidoe"/);
put_early('an empty pipeline', 'a.mp4?pipeline=', [], 422, 'pipeline_unknown');
put_early('a pipeline that is no UTF-8', 'a.mp4', ["X-Media-Pipeline: \xff"], 422, 'params_invalid', qr/^pipeline/);
put_early('a pipeline twice as long', 'a.mp4', ['X-Media-Pipeline: ' . 'p' x 65], 422, 'params_invalid', qr/^pipeline: is too long/);
put_early('unknown params', 'a.mp4?params=%7B%22depth%22:1%7D', [], 422, 'params_invalid', qr/params\.depth/);
put_early('params of the wrong type', 'a.mp4?params=%7B%22level%22:%22x%22%7D', [], 422, 'params_invalid', qr/params\.level: must be a number/);
put_early('params of another pipeline', 'a.mp4?pipeline=audio&params=%7B%22level%22:1%7D', [], 422, 'params_invalid', qr/params\.level/);
put_early('params that are no JSON', 'a.mp4?params=x', [], 422, 'params_invalid', qr/^params: is not a JSON object/);
put_early('params without end', 'a.mp4?params=' . '%5B' x 5000, [], 422, 'params_invalid', qr/^params: is not a JSON object/);
put_early('an unknown visibility', 'a.mp4?visibility=secret', [], 422, 'params_invalid', qr/^visibility: /);
put_early('a long title', 'a.mp4?title=' . 't' x 4097, [], 422, 'params_invalid', qr/^title: is too long/);
put_early('an unknown argument', 'a.mp4?colour=red', [], 400, 'unknown_field', qr/"colour"/);
put_early('sha256 as an argument', 'a.mp4?sha256=00', [], 400, 'unknown_field', qr/"sha256"/);
put_early('an argument that is no UTF-8', 'a.mp4?title=%ff', [], 400, 'bad_request', qr/UTF-8/);
put_early('an argument with a NUL', 'a.mp4?title=a%00b', [], 400, 'bad_request');
put_early('a broken escape in an argument', 'a.mp4?title=%f', [], 400, 'bad_request');
early('name= beside a form', 'POST /upload?name=x', ['Content-Length: 10', @type], 400, 'unknown_field', qr/"name"/);
early('name= beside PUT', 'PUT /upload/a.mp4?name=x', [$length], 400, 'unknown_field', qr/"name"/);

# ---- conditions and digests ----

committed($nginx->ask(put('once.mp4', $bytes, 'If-None-Match: *')), $bytes, 'If-None-Match: * on a new name');
put_early('If-None-Match: * on a taken name', 'once.mp4', ['If-None-Match: *'], 412, 'precondition_failed');
committed($nginx->ask(put('once.mp4', $bytes)), $bytes, 'the same name without a condition');
committed($nginx->ask(http('PUT /upload/once.mp4', bearer('ben') . "$length\nIf-None-Match: *\n", $bytes)), $bytes,
    'If-None-Match: * and somebody else\'s name');

my $other = digest('other');
for my $header ('Content-Digest', 'Repr-Digest') {
    committed($nginx->ask(put('a.mp4', $bytes, "$header: " . digest($bytes))), $bytes, "$header");
    committed($nginx->ask(put('a.mp4', $bytes, "$header: md5=:AAAA:, " . digest($bytes) . ', x=:A:')), $bytes, "$header among others");
    committed($nginx->ask(put('a.mp4', $bytes, "$header: sha-512=:" . encode_base64(sha512('x'), '') . ':')), $bytes,
        "$header by another algorithm");
    problem($nginx->ask(put('a.mp4', $bytes, "$header: $other")), 400, 'digest_mismatch', "a wrong $header");
    problem($nginx->ask(put('a.mp4', undef, 'Transfer-Encoding: chunked', "$header: $other") . chunked($bytes)), 400,
        'digest_mismatch', "a wrong $header in chunks");
    put_early("$header: $_", 'a.mp4', ["$header: $_"], 400, 'bad_request', qr/^$header: (sha-256 is not 32 bytes in base64|is not a dictionary)/i) for 'sha-256=:AAAA:',
        'sha-256=:!:', 'sha-256=::', 'sha-256=:' . encode_base64(sha256('x'), ''), 'sha-256=' . 'ab' x 32, 'sha-256="x"', 'sha-256';
}
put_early('two sha-256 in one header', 'a.mp4', ["Repr-Digest: $other, " . digest($bytes)], 400, 'bad_request', qr/^repr-digest: two sha-256 that differ/);
put_early('two headers that differ', 'a.mp4', ["Repr-Digest: $other", 'Repr-Digest: ' . digest($bytes)], 400, 'bad_request', qr/two sha-256 that differ/);
committed($nginx->ask(put('a.mp4', $bytes, 'Repr-Digest: md5=:AA==:', 'Repr-Digest: ' . digest($bytes))), $bytes, 'two headers that agree');
put_early("no dictionary: $_", 'a.mp4', ["Content-Digest: $_"], 400, 'bad_request', qr/^content-digest: is not a dictionary/)
    for 'SHA-256=:' . 'A' x 43 . '=:', 'a, , b', 'a=', 'md5=:AA==:,', 'md5=:A A:', 'sha-512="x';
# a trailer is dropped, whatever it says; so is what it was announced as
committed($nginx->ask(put('a.mp4', undef, 'Transfer-Encoding: chunked', 'Trailer: Content-Digest')
    . (chunked($bytes) =~ s/\r\n\z/Content-Digest: $other\r\n\r\n/r)), $bytes, 'a digest in a trailer');
put_early('two digests that differ', 'a.mp4', ["Content-Digest: $other", 'Repr-Digest: ' . digest($bytes)], 400, 'digest_mismatch');
committed($nginx->ask(put('a.mp4', $bytes, 'Content-Digest: ' . digest($bytes), 'Repr-Digest: ' . digest($bytes))), $bytes,
    'two digests that agree');

# ---- quota ----

sql("UPDATE users SET quota_bytes = 120000 WHERE id = '" . user('carl')->{id} . "'");
sub carl { return $nginx->ask(http($_[0], bearer('carl') . join('', map { "$_\n" } @_[1 .. $#_ - 1]), $_[-1])) }
committed(carl('PUT /upload/a.mp4', 'Content-Length: 90000', mp4(90_000)), mp4(90_000), 'within the quota');
$client = $nginx->client;
$client->send(http('PUT /upload/a.mp4', bearer('carl') . "$length\nExpect: 100-continue\n"));
$answer = $client->answer;
problem($answer, 413, 'quota_exceeded', 'over the quota', qr/90000 of 120000/);
is("$answer->{json}{used} of $answer->{json}{limit}", '90000 of 120000', 'over the quota - used and limit');
$answer = carl('PUT /upload/a.mp4', 'Transfer-Encoding: chunked', chunked($bytes));
problem($answer, 413, 'quota_exceeded', 'over the quota in chunks');
is("$answer->{json}{used} of $answer->{json}{limit}", '90000 of 120000', 'over the quota in chunks - used and limit');
committed(carl('PUT /upload/a.mp4', 'Content-Length: 30000', mp4(30_000)), mp4(30_000), 'just within the quota');

# ---- what follows on the connection ----

$client = $nginx->client;
$client->send(put('a.mp4?x=1', $bytes) . put('b.mp4', $bytes));
problem($client->answer, 400, 'unknown_field', 'keep-alive: refused, its body dropped');
committed($client->answer, $bytes, 'keep-alive: what follows is taken');

$client = $nginx->client;
$client->send(put('a.mp4', undef, 'Transfer-Encoding: chunked') . chunked(mp4(3_000_000)));
problem($client->answer, 413, 'too_large', 'refused in mid-body');
$client->send(put('b.mp4', $bytes));
$answer = $client->answer;
if ($answer->{status}) {
    committed($answer, $bytes, 'after a refusal in mid-body: the next upload');
} else {
    ok($client->closed, 'after a refusal in mid-body: the connection is closed');
}

# ---- nothing is left ----

is(sql("SELECT count(*) FROM uploads WHERE owner_id IN (SELECT id FROM users WHERE email LIKE '%.$$.%')"), 0, 'no intent is open');
is($nginx->metric('uploads_active'), 0, 'no upload is active');
is($nginx->metric('memory_bytes'), 0, 'no memory is held');
is($nginx->metric("uploads_${_}_total"), 0, "none $_") for qw(failed aborted);
$nginx->stop;
done_testing();
