# Idempotency-Key: one upload for all attempts with a key, whatever form they have

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaNginx;
use MediaS3;
use MediaUpload;

my @form = ('Content-Type: multipart/form-data; boundary=limit');
my $s3 = MediaS3->start(sub {
    my ($self, $request) = @_;
    return $request->error(403, 'AccessDenied') if $self->mode eq 'refuse' && defined $request->body;
    sleep 60 if $self->mode eq 'never';
    return $request->good;
});
my $nginx = MediaNginx->start(
    http => media_http(s3 => $s3->url, media_s3_part_size => '5m', media_memory => '20m'),
    server => upload_server(max_size => 20_000_000, types => 'video/'));
my $bytes = mp4(50_000);
my $other = mp4(50_000, 'other');
my $n = 0;

sub asked { return scalar(my @all = $s3->asked) }

sub again {
    my ($name, $answer, $first) = @_;
    is($answer->{status}, 201, "$name - created") or diag($answer->{body});
    is($answer->{body}, $first->{body}, "$name - the same body");
    is($answer->{headers}{location}, $first->{headers}{location}, "$name - the same place");
    is($answer->{headers}{'idempotent-replayed'}, 'true', "$name - said to be a repetition");
    return;
}

sub keyed { my ($key, @headers) = @_; return ("Idempotency-Key: $key", @headers) }

# ---- each shape of an upload: the first, and a second that is hashed ----

my $name = 'k.mp4';
my %shape = (
    raw => sub { my ($file, @h) = @_; return put($name, $file, @h) },
    post => sub { my ($file, @h) = @_; return post("?name=$name", $file, @h) },
    chunked => sub { my ($file, @h) = @_; return put($name, undef, 'Transfer-Encoding: chunked', @h) . chunked($file) },
    form => sub { my ($file, @h) = @_; return post('', form(part('file', $file, $name)), @form, @h) },
    'chunked form' => sub {
        my ($file, @h) = @_;
        return post('', undef, @form, 'Transfer-Encoding: chunked', @h) . chunked(form(part('file', $file, $name)), 999);
    },
);
for my $shape (sort keys %shape) {
    my @key = keyed("\"$shape-$$\"");
    my $first = $nginx->ask($shape{$shape}->($bytes, @key));
    committed($first, $bytes, "$shape, the first", row => 1);
    is($first->{headers}{'idempotent-replayed'}, undef, "$shape, the first - is none");
    my $asked = asked();
    for my $then (sort keys %shape) {
        again("$shape, then $then", $nginx->ask($shape{$then}->($bytes, @key)), $first);
        problem($nginx->ask($shape{$then}->($other, @key)), 422, 'idempotency_key_reused', "$shape, then $then of another file", qr/another sha-256/);
        problem($nginx->ask($shape{$then}->(mp4(50_001), @key)), 422, 'idempotency_key_reused', "$shape, then $then of a longer file", qr/another size/);
        problem($nginx->ask($shape{$then}->(mp4(49_999), @key)), 422, 'idempotency_key_reused', "$shape, then $then of a shorter file", qr/another size/);
    }
    is(asked(), $asked, "$shape - S3 heard of the first alone");
    is(sql("SELECT count(*) FROM media WHERE sha256 = '" . Digest::SHA::sha256_hex($bytes) . "' AND name = '$name' AND owner_id = '"
        . user('anna')->{id} . "'"), ++$n, "$shape - one media");
}

# ---- what is known needs no body ----

my @key = keyed("early-$$");
my @digest = ('Repr-Digest: ' . digest($bytes));
my $first = $nginx->ask(put('e.mp4?title=T&visibility=public&params=%7B%22level%22%3A2%7D', $bytes, @key));
committed($first, $bytes, 'early, the first');

sub early {
    my ($target, @headers) = @_;
    my $client = $nginx->client;
    $client->send(http("PUT /upload/$target", bearer('anna') . join '', map { "$_\n" } @key, 'Expect: 100-continue', @headers));
    return $client->answer;
}
my $same = 'e.mp4?title=T&visibility=public&params=%7B%22level%22%3A2%7D';
again('by length and digest', early($same, 'Content-Length: 50000', @digest), $first);
again('by Content-Digest', early($same, 'Content-Length: 50000', 'Content-Digest: ' . digest($bytes)), $first);
again('by digest alone', early($same, 'Transfer-Encoding: chunked', @digest), $first);
is(early($same, 'Content-Length: 50000')->{status}, 100, 'without a digest the body is asked for');
for my $case (
    ['another length', $same, qr/another size/, 'Content-Length: 50001'],
    ['another digest', $same, qr/another sha-256/, 'Content-Length: 50000', 'Repr-Digest: ' . digest($other)],
    ['another name', $same =~ s/e\.mp4/f.mp4/r, qr/another name/, 'Content-Length: 50000'],
    ['another title', $same =~ s/title=T/title=U/r, qr/another title/, 'Content-Length: 50000'],
    ['no title', $same =~ s/title=T&//r, qr/another title/, 'Content-Length: 50000'],
    ['another visibility', $same =~ s/public/unlisted/r, qr/another visibility/, 'Content-Length: 50000'],
    ['other params', $same =~ s/A2/A3/r, qr/another params/, 'Content-Length: 50000'],
    ['another pipeline', "$same&pipeline=audio", qr/another pipeline/, 'Content-Length: 50000'])
{
    my ($what, $target, $why, @headers) = @$case;
    problem(early($target, @headers), 422, 'idempotency_key_reused', "$what, before the body", $why);
}
my @fields = (part('title', 'T'), part('visibility', 'public'));
again('as a form', $nginx->ask(post('', form(part('file', $bytes, 'e.mp4'), @fields, part('params', '{"level": 2}')), @form, @key)), $first);
problem($nginx->ask(post('', form(@fields, part('file', $bytes, 'e.mp4'), part('params', '{"level": 3}')), @form, @key)), 422,
    'idempotency_key_reused', 'as a form with other params', qr/another params/);
problem($nginx->ask(post('', form(@fields, part('file', $bytes, 'x.mp4'), part('params', '{"level": 2}')), @form, @key)), 422,
    'idempotency_key_reused', 'as a form with another name', qr/another name/);
# a longer one is seen before its end
my $client = $nginx->client;
$client->send(put($same, undef, 'Transfer-Encoding: chunked', @key) . sprintf("%x\r\n", 10_000_000), mp4(400_000));
problem($client->answer, 422, 'idempotency_key_reused', 'a longer one, in mid-body', qr/another size/);
problem($nginx->ask(put($same, $bytes, @key, 'Repr-Digest: ' . digest($bytes), 'Content-Digest: ' . digest($other))), 400,
    'digest_mismatch', 'digests that differ');
problem($nginx->ask(put($same, undef, @key, 'Transfer-Encoding: chunked', 'Repr-Digest: ' . digest($other)) . chunked($bytes)), 422,
    'idempotency_key_reused', 'a digest that is not that of the first', qr/another sha-256/);
problem($nginx->ask(put($same, "\x89PNG\r\n\x1a\n" . 'x' x 49_992, @key)), 415, 'type_not_allowed', 'another kind of file');

# ---- whose key ----

committed($nginx->ask(http("PUT /upload/$same", bearer('ben') . "Content-Length: 50000\n$key[0]\n", $bytes)), $bytes, "somebody else's key");
committed($nginx->ask(put($same, $bytes, keyed("Early-$$"))), $bytes, 'another case');
again('in quotes or bare', $nginx->ask(put($same, $bytes, keyed("\"early-$$\""))), $first);
committed($nginx->ask(put($same, $bytes)), $bytes, 'without a key');

# ---- malformed ----

for my $case (['', qr/not a string/], ['""', qr/not a string/], ['a b', qr/not a string/], ['"a', qr/not a string/], ['a, b', qr/not a string/],
    ['"a";x=1', qr/not a string/], ["\xc3\xa4", qr/not a string/], ['k' x 256, qr/255/], ['"' . 'k' x 256 . '"', qr/255/])
{
    my ($key, $why) = @$case;
    my $answer = $nginx->ask(put('a.mp4', $bytes, keyed($key)));
    problem($answer, 400, 'bad_request', 'the key ' . substr($key, 0, 9), $why);
    like($answer->{json}{detail}, qr/^Idempotency-Key /, 'the key ' . substr($key, 0, 9) . ' - by name');
}
problem($nginx->ask(put('a.mp4', $bytes, keyed('a'), keyed('b'))), 400, 'bad_request', 'two keys', qr/more than one/);
committed($nginx->ask(put('a.mp4', $bytes, keyed('k' x 200 . "-$$" . 'k' x (54 - length $$)))), $bytes, 'a key of 255 bytes');

# ---- while the first runs, and when it has failed ----

my $request = put('r.mp4', $bytes, keyed("run-$$"), "X-Request-Id: run-$$");
my $runs = $nginx->client;
$runs->send(substr $request, 0, -10);
$nginx->await('it runs', sub { intent("run-$$") =~ /^open/ });
for my $headers ([], ['Repr-Digest: ' . digest($bytes)], ['Repr-Digest: ' . digest($other)]) {
    $client = $nginx->client;
    $client->send(http('PUT /upload/r.mp4', bearer('anna') . join '', map { "$_\n" } "Idempotency-Key: run-$$", 'Content-Length: 50000',
        'Expect: 100-continue', @$headers));
    my $answer = $client->answer;
    problem($answer, 409, 'upload_in_progress', "while it runs, @$headers");
    like($answer->{headers}{'retry-after'}, qr/^\d+$/, "while it runs, @$headers - when to come back");
}
$runs->send(substr $request, -10);
$first = $runs->answer;
committed($first, $bytes, 'it ends');
again('then', $nginx->ask($request), $first);

# the answer that nobody heard
($first) = held_commit($nginx, $client = $nginx->client, put('l.mp4', $bytes, keyed("lost-$$"), "X-Request-Id: lost-$$"), "lost-$$");
$client->reset;
$first->release;
$nginx->await('it is there', sub { sql("SELECT count(*) FROM media WHERE request_id = 'lost-$$'") });
my $answer = $nginx->ask(put('l.mp4', $bytes, keyed("lost-$$")));
is($answer->{status}, 201, 'the answer nobody heard is sent again');
is($answer->{json}{id}, sql("SELECT id FROM media WHERE request_id = 'lost-$$'"), 'for the media that was made');

# refused and failed attempts free it, before they are answered
@key = keyed("free-$$");
for my $round (1 .. 3) {
    problem($nginx->ask(put('f.mp4', "\x89PNG\r\n\x1a\n" . 'x' x 5000, @key)), 415, 'type_not_allowed', "free $round: a wrong type");
    problem($nginx->ask(put('f.mp4', $bytes, @key, 'Repr-Digest: ' . digest($other))), 400, 'digest_mismatch', "free $round: a wrong digest");
    problem($nginx->ask(put('f.mp4?pipeline=no', $bytes, @key)), 422, 'pipeline_unknown', "free $round: no such pipeline");
    $s3->mode('refuse');
    problem($nginx->ask(put('f.mp4', $bytes, @key)), 503, 'storage_unavailable', "free $round: S3 refuses");
    $s3->mode('good');
}
$client = $nginx->client;
$client->send(substr put('f.mp4', $bytes, @key, "X-Request-Id: left-$$"), 0, -10);
$nginx->await('it runs', sub { intent("left-$$") =~ /^open/ });
$client->reset;
await_intent($nginx, "left-$$", 'a client that left');
committed($nginx->ask(put('f.mp4', $other, @key)), $other, 'free: the first that succeeds');

# a repetition whose client leaves
$client = $nginx->client;
$client->send(substr put('f.mp4', $other, @key), 0, -10);
$nginx->await('it is hashed', sub { $nginx->metric('uploads_active') == 1 });
$client->reset;
$nginx->await('it is noticed', sub { $nginx->metric('uploads_active') == 0 });

# keep-alive goes on behind a body that was not needed
@key = keyed("early-$$");
$client = $nginx->client;
$client->send(put($same, $bytes, @key, @digest) . http('GET /healthz', ''));
is($client->answer->{status}, 201, 'keep-alive: answered before its body');
is($client->answer->{body}, "ok\n", 'keep-alive: what follows');

cmp_ok($nginx->metric('uploads_replayed_total'), '>', 20, 'repetitions are counted');
is($nginx->metric('uploads_started_total') - $nginx->metric('uploads_committed_total'), 10, 'they were not begun');
is($nginx->metric('uploads_active'), 0, 'no upload is active');
is($nginx->metric('memory_bytes'), 0, 'no memory is held');
$nginx->stop;
done_testing();
