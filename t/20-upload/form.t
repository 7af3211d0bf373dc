# POST /upload with multipart/form-data

use lib 't/lib';
use Test::More;
use Digest::SHA qw(sha256_hex);
use MediaTest;
use MediaNginx;
use MediaUpload;

my $nginx = MediaNginx->start(
    http => media_http(media_s3_part_size => '5m', media_memory => '64m'), server => upload_server());
my $bytes = mp4(60_000);
my @type = 'Content-Type: multipart/form-data; boundary=limit';

sub upload { return $nginx->ask(post('', $_[0], @type)) }

sub good {
    my ($name, $body, %want) = @_;
    return committed(upload($body), $want{is} // $bytes, $name, map { $_ => $want{$_} } grep { $_ ne 'is' } keys %want);
}

sub bad {
    my ($name, $body, @want) = @_;
    return problem(upload($body), $want[0], $want[1], $name, $want[2]);
}

# ---- the file ----

good("a file as $_", form(part($_, $bytes, 'talk.mp4', 'Content-Type: video/mp4')), name => 'talk.mp4')
    for 'file', 'upload', 'f[]', 'title';
good('rows and object', form(part('file', $bytes, 'talk.mp4')), content_type => 'video/mp4', row => 1, bytes => 1);
good('an empty file', form(part('file', '', 'none.mp4')), is => '', bytes => 1);
good('one byte', form(part('file', 'x', 'one')), is => 'x', bytes => 1);
for my $size (4095, 4096, 4097, 65_536, 5_242_879, 5_242_880, 5_242_881, 10_485_761) {
    my $file = mp4($size);
    good("$size bytes", form(part('file', $file, 'a.mp4')), is => $file, bytes => $size > 5_000_000);
}
my $tricky = mp4(40) . "\r\n--limi\r\n--limit" x 3 . "\r\n-\r\n--\r\r\n\n--limit--\r\n";
good('a file that looks like boundaries', form(part('file', $tricky =~ s/\r\n--limit/\n--limit/gr, 'a')),
    is => $tricky =~ s/\r\n--limit/\n--limit/gr);
committed($nginx->ask(post('', form(part('file', $bytes, 'a.mp4')) =~ s/limit/a'(b)+_,-.:=?c/gr,
    q{Content-Type: Multipart/Form-Data; charset=x; BOUNDARY="a'(b)+_,-.:=?c"})), $bytes, 'a quoted boundary');

my $body = form(part('title', 'in chunks'), part('file', $bytes, 'a.mp4'));
committed($nginx->ask(post('', undef, @type, 'Transfer-Encoding: chunked') . chunked($body, $_)), $bytes,
    "chunks of $_", title => 'in chunks') for 1, 13, 4096;
my $request = post('', $body, @type);
my @cuts = map { index $request, $_ } 'Content-Disposition', 'filename', 'ftyp', "\r\n--limit--";
my @pieces = map { (substr($request, $cuts[$_], ($cuts[$_ + 1] // length $request) - $cuts[$_]), \0.03) } 0 .. $#cuts;
committed($nginx->ask(substr($request, 0, $cuts[0]), @pieces), $bytes, 'in pieces');
good('blanks behind the boundaries', form(part('title', 'x'), part('file', $bytes, 'a.mp4')) =~ s/(--limit(?:--)?)\r\n/$1 \t \r\n/gr);
good('no CRLF at the end', form(part('file', $bytes, 'a.mp4')) =~ s/\r\n\z//r);
good('header names as they like', form("CONTENT-disposition:form-data ;NAME=file;\tFileName=a.mp4\r\nX-Other: y\r\n\r\n$bytes"));
good('a preamble and an epilogue', "before\r\n" . form(part('file', $bytes, 'a.mp4')) . "behind\r\n--limit\r\n");

# ---- fields ----

my @fields = (part('title', "T\xc3\xb6lt \"&"), part('visibility', 'public'), part('pipeline', 'test-idle'),
    part('params', '{"level":9}'), part('sha256', sha256_hex($bytes)));
my %fields = (title => "T\x{f6}lt \"&", visibility => 'public', params => { level => 9 });
good('fields before the file', form(@fields, part('file', $bytes, 'a.mp4')), %fields);
good('fields behind the file', form(part('file', $bytes, 'a.mp4'), @fields), %fields);
good('another pipeline', form(part('file', $bytes, 'a.mp4'), part('pipeline', 'audio')), pipeline => 'audio');
good('sha256 in capitals', form(part('file', $bytes, 'a.mp4'), part('sha256', uc sha256_hex($bytes))));
good('sha256 as a header of the part', form(part('file', $bytes, 'a.mp4', 'sha256: ' . sha256_hex($bytes))));
good('a title of 4096 bytes', form(part('title', 't' x 4096), part('file', $bytes, 'a.mp4')));
committed($nginx->ask(post('?title=from+the+query', form(part('file', $bytes, 'a.mp4')), @type)), $bytes,
    'a field as an argument', title => 'from the query');

# ---- names ----

for my $case (
    ['../../etc/passwd', 'passwd'], ['C:\\\\dir\\\\clip.mp4', 'clip.mp4'], ['', 'file'], ['..', 'file'],
    ["d\xc3\xa4.mp4", "d\x{e4}.mp4"], ["bad\xff.mp4", "bad\x{fffd}.mp4"], ['a%22b.mp4', 'a"b.mp4'], ['100%25.mp4', '100%25.mp4'],
    ['a\\"b.mp4', 'a"b.mp4'], ['a+b.mp4', 'a+b.mp4'], ['n' x 4096, 'n' x 255], ['x' x 300 . '.mp4', 'x' x 251 . '.mp4'],
) {
    good("the name $case->[0]", form(part('file', $bytes, $case->[0])), name => $case->[1]);
}
good('filename*', form(part('file', $bytes, q{a"; filename*=UTF-8''d%C3%A4%20b.mp4; x="})), name => "d\x{e4} b.mp4");
good('filename* alone', form(part(q{file"; filename*=UTF-8''c.mp4; x="}, $bytes)), name => 'c.mp4');

# ---- refused: the form ----

bad('no file', form(part('title', 'x')), 400, 'form_invalid', qr/no file/);
bad('nothing', form(), 400, 'form_invalid', qr/no file/);
bad('an empty body', '', 400, 'form_invalid', qr/closing boundary/);
bad('no end', "--limit\r\n" . part('file', $bytes, 'a.mp4'), 400, 'form_invalid', qr/closing boundary/);
bad('no end but a boundary', "--limit\r\n" . part('file', $bytes, 'a.mp4') . "\r\n--limit\r\n", 400, 'form_invalid', qr/closing boundary/);
bad('two files', form(part('file', $bytes, 'a.mp4'), part('b', $bytes, 'b.mp4')), 400, 'second_file', qr/second file/);
bad('two files, the first one empty', form(part('a', '', ''), part('b', $bytes, 'b.mp4')), 400, 'second_file', qr/second file/);
bad('a bare LF', form(part('file', $bytes, 'a.mp4')) =~ s/"\r\n\r\n/"\n\n/r, 400, 'form_invalid', qr/bare LF/);
bad('a bare LF behind the file', form(part('file', $bytes, 'a.mp4'), part('title', 'x') =~ s/\r\n/\n/gr),
    400, 'form_invalid', qr/bare LF/);
bad('a boundary with something behind', form(part('file', $bytes, 'a.mp4')) =~ s/limit--/limit-x/r, 400, 'form_invalid', qr/CRLF/);
bad('a part without a name', form("Content-Disposition: form-data\r\n\r\nx"), 400, 'form_invalid', qr/name/);
bad('a part without headers', form("\r\nx"), 400, 'form_invalid', qr/Content-Disposition/);
bad('a NUL in the file name', form(part('file', $bytes, "a\0b.mp4")), 400, 'form_invalid', qr/control/i);
bad('base64', form(part('file', 'AAAA', 'a', 'Content-Transfer-Encoding: base64')), 400, 'form_invalid', qr/Content-Transfer-Encoding/);

for my $type ('multipart/form-data', 'multipart/form-data; boundary=', 'multipart/form-data; boundary=' . 'b' x 71,
    'multipart/form-data; boundary="a b "', "multipart/form-data; boundary=a\xc3\xa4", 'multipart/form-data; boundary=a; boundary=b')
{
    my $client = $nginx->client;
    $client->send(http('POST /upload', bearer('anna') . "Content-Type: $type\nContent-Length: 100\nExpect: 100-continue\n"));
    problem($client->answer, 400, 'form_invalid', "Content-Type: $type", qr/boundary/);
}

# ---- refused: fields ----

bad('an unknown field', form(part('file', $bytes, 'a.mp4'), part('colour', 'red')), 400, 'unknown_field', qr/"colour"/);
bad('an unknown field before the file', form(part('name', 'x'), part('file', $bytes, 'a.mp4')), 400, 'unknown_field', qr/"name"/);
bad('an unknown field that is no UTF-8', form(part("\xff", 'x')), 400, 'unknown_field');
bad('a long title', form(part('file', $bytes, 'a.mp4'), part('title', 't' x 4097)), 422, 'params_invalid', qr/^title: is too long/);
bad('a title that is no UTF-8', form(part('title', "\xff"), part('file', $bytes, 'a.mp4')), 422, 'params_invalid', qr/^title: is not UTF-8/);
bad('a title with a NUL', form(part('title', "a\0b"), part('file', $bytes, 'a.mp4')), 422, 'params_invalid', qr/^title: is not UTF-8/);
bad('params that are no JSON', form(part('params', '{'), part('file', $bytes, 'a.mp4')), 422, 'params_invalid', qr/^params: is not a JSON object/);
bad('params that are no object', form(part('params', '[1]'), part('file', $bytes, 'a.mp4')), 422, 'params_invalid', qr/^params: is not a JSON object/);
bad('unknown params', form(part('file', $bytes, 'a.mp4'), part('params', '{"depth":1}')), 422, 'params_invalid', qr/params\.depth/);
bad('params out of bounds', form(part('params', '{"level":10}'), part('file', $bytes, 'a.mp4')), 422, 'params_invalid', qr/params\.level/);
bad('an unknown pipeline', form(part('file', $bytes, 'a.mp4'), part('pipeline', 'vidoe')), 422, 'pipeline_unknown', qr/"vidoe"/);
bad('an unknown visibility', form(part('visibility', 'secret'), part('file', $bytes, 'a.mp4')), 422, 'params_invalid', qr/visibility/);
bad('another sha256', form(part('file', $bytes, 'a.mp4'), part('sha256', sha256_hex('x'))), 400, 'digest_mismatch');
bad('another sha256 in a header of the part', form(part('file', $bytes, 'a.mp4', 'sha256: ' . sha256_hex('x'))), 400, 'digest_mismatch');
bad("sha256 $_", form(part('sha256', $_), part('file', $bytes, 'a.mp4')), 422, 'params_invalid', qr/sha256/)
    for '', 'x' x 64, 'a' x 63, 'a' x 65;
bad('a garbled sha256 in a header of the part', form(part('file', $bytes, 'a.mp4', 'sha256: abc')), 422, 'params_invalid', qr/sha256/);
bad('type: the part claims another', form(part('file', $bytes, 'a.png', 'Content-Type: image/png')), 415, 'type_mismatch', qr{image/png.*video/mp4});

# ---- refused: a choice made before the file, while the file is under way ----

for my $case (['pipeline', 'vidoe', 'pipeline_unknown', qr/"vidoe"/], ['params', '{"level":10}', 'params_invalid', qr/params\.level/]) {
    my ($field, $value, @want) = @$case;
    my $client = $nginx->client;
    my $form = form(part($field, $value), part('file', mp4(300_000), 'a.mp4'));
    $client->send(substr post('', $form, @type), 0, -200_000);
    problem($client->answer, 422, $want[0], "a bad $field before the file: its end is not waited for", $want[1]);
}

# ---- digests: headers speak of the whole form, fields of the file ----

my $form = form(part('title', 'x'), part('file', $bytes, 'a.mp4'), part('sha256', sha256_hex($bytes)));
for my $header ('Content-Digest', 'Repr-Digest') {
    committed($nginx->ask(post('', $form, @type, "$header: " . digest($form))), $bytes, "$header of the form");
    committed($nginx->ask(post('', undef, @type, 'Transfer-Encoding: chunked', "$header: " . digest("$form\r\nepilogue"))
        . chunked("$form\r\nepilogue", 999)), $bytes, "$header of the form, its epilogue included, in chunks");
    problem($nginx->ask(post('', $form, @type, "$header: " . digest($bytes))), 400, 'digest_mismatch',
        "$header of the file instead", qr/of the form/);
}

# ---- caps ----

bad('a field of 64 KiB and a byte', form(part('title', 't' x 65_537)), 413, 'too_large', qr/65536 bytes/);
bad('33 fields', form((map { part('title', $_) } 1 .. 33), part('file', $bytes, 'a.mp4')), 413, 'too_large', qr/32 fields/);
bad('a field name of 256 bytes', form(part('n' x 256, 'x')), 413, 'too_large', qr/255 bytes/);
bad('a header of 9000 bytes', form(part('file', $bytes, 'a.mp4', 'X-Long: ' . 'x' x 9000)), 413, 'too_large', qr/8192 bytes/);
bad('a header without end', form('X: ' . 'x' x 300_000), 413, 'too_large', qr/8192 bytes/);
bad('a file name of 4097 bytes', form(part('file', $bytes, 'n' x 4097)), 413, 'too_large', qr/4096 bytes/);

# ---- nothing is left of what was refused ----

is(sql("SELECT count(*) FROM uploads WHERE owner_id = '" . user('anna')->{id} . "'"), 0, 'no intent is open');
is(sql("SELECT count(*) FROM objects WHERE state = 'pending' AND object_key LIKE '%/original'
    AND media_id NOT IN (SELECT id FROM uploads)"), 0,
    'no object is pending for ever');
is($nginx->metric('uploads_active'), 0, 'no upload is active');
is($nginx->metric('memory_bytes'), 0, 'no memory is held');
is($nginx->metric("uploads_${_}_total"), 0, "none $_") for qw(failed aborted);
$nginx->stop;
done_testing();
