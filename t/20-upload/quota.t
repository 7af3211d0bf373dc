# Quotas: bytes and open uploads of a user, reserved before the bytes come and while they come

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaNginx;
use MediaS3;
use MediaUpload;

use constant MIB => 1 << 20;

my @chunked = ('Transfer-Encoding: chunked');
my @form = ('Content-Type: multipart/form-data; boundary=limit');
my $s3 = MediaS3->start;
my %http = (s3 => $s3->url, media_s3_part_size => '5m', media_memory => '40m', media_quota => '100000 uploads=2');
my $nginx = MediaNginx->start(http => media_http(%http), server => upload_server(lines => [
    'location /free/ { rewrite ^/free(/.*)$ $1 break; media on; media_pipeline test-idle; media_quota off; }',
    'location /one/ { rewrite ^/one(/.*)$ $1 break; media on; media_pipeline test-idle; media_quota off uploads=1; }',
]));

# Of one user, each request
sub as { my ($user, $line, $headers, $body) = @_; return http($line, bearer($user) . join('', map { "$_\n" } @$headers), $body) }
sub put_as { my ($user, $name, $bytes, @h) = @_; return as($user, "PUT /upload/$name", ['Content-Length: ' . length $bytes, @h], $bytes) }

sub me {
    my ($user) = @_;
    return $nginx->ask(as($user, 'GET /me', []))->{json}{quota};
}

sub early {
    my ($user, $name, $line, @headers) = @_;
    my $client = $nginx->client;
    $client->send(as($user, $line, [@headers, 'Expect: 100-continue']));
    my $answer = $client->answer;
    problem($answer, 413, 'quota_exceeded', $name);
    return $answer->{json};
}

# ---- the gateway's limit ----

is_deeply(me('anna'), { used => 0, reserved => 0, limit => 100_000, uploads => 0, uploads_limit => 2 }, 'me: at first');
my $p = early('anna', 'more than all', 'PUT /upload/a.mp4', 'Content-Length: 100001');
is_deeply([@$p{qw(resource used limit)}], ['bytes', 0, 100_000], 'more than all - the figures');
my $file = mp4(60_000);
committed($nginx->ask(put_as('anna', 'a.mp4', $file)), $file, 'within it');
$p = early('anna', 'more than the rest', 'POST /upload', 'Content-Length: 40001');
is("$p->{used} of $p->{limit}", '60000 of 100000', 'more than the rest - the figures');
early('anna', 'a form that surely holds more', 'POST /upload', @form, 'Content-Length: ' . (5 * MIB));
is_deeply(me('anna'), { used => 60_000, reserved => 0, limit => 100_000, uploads => 0, uploads_limit => 2 }, 'me: after that');

my $large = mp4(40_001);
problem($nginx->ask(as('anna', 'PUT /upload/a.mp4', \@chunked, chunked($large))), 413, 'quota_exceeded', 'too much in chunks',
    qr/60000 of 100000/);
problem($nginx->ask(as('anna', 'POST /upload', [@form, 'Content-Length: ' . length form(part('file', $large, 'a.mp4'))],
    form(part('file', $large, 'a.mp4')))), 413, 'quota_exceeded', 'too much in a form', qr/60000 of 100000/);
# it does not wait for the end of the body
my $client = $nginx->client;
$client->send(as('anna', 'PUT /upload/a.mp4', \@chunked), sprintf("%x\r\n", 10 * MIB), mp4(600_000));
problem($client->answer, 413, 'quota_exceeded', 'too much in chunks, in mid-body');

my $exact = mp4(40_000);
committed($nginx->ask(as('anna', 'PUT /upload/a.mp4', \@chunked, chunked($exact, 7001))), $exact, 'all of the rest, in chunks');
is(me('anna')->{used}, 100_000, 'me: all of it');
committed($nginx->ask(put_as('anna', 'a.mp4', '')), '', 'an empty file fits always');
committed($nginx->ask(put_as('anna', 'a.mp4', $file) =~ s{/upload/}{/free/upload/}r), $file, 'where there is no limit');
early('anna', 'above it since', 'PUT /upload/a.mp4', 'Content-Length: 1');

# ---- uploads in flight ----

sub begin {
    my ($user, $size, $id) = @_;
    my $c = $nginx->client;
    my $request = put_as($user, 'slow.mp4', mp4($size), "X-Request-Id: $id");
    $c->send(substr $request, 0, -10);
    $nginx->await("$id runs", sub { intent($id) =~ /^open/ });
    return { client => $c, rest => substr($request, -10), bytes => mp4($size) };
}

my $one = begin('ben', 30_000, "one-$$");
is_deeply(me('ben'), { used => 30_000, reserved => 30_000, limit => 100_000, uploads => 1, uploads_limit => 2 }, 'me: one in flight');
my $two = begin('ben', 70_000, "two-$$");
is_deeply(me('ben'), { used => 100_000, reserved => 100_000, limit => 100_000, uploads => 2, uploads_limit => 2 }, 'me: two in flight');
$client = $nginx->client;
$client->send(as('ben', 'PUT /upload/c.mp4', ['Content-Length: 0', 'Expect: 100-continue']));
my $answer = $client->answer;
problem($answer, 413, 'quota_exceeded', 'a third', qr/2 of 2 uploads/);
is_deeply([@{ $answer->{json} }{qw(resource used limit)}], ['uploads', 2, 2], 'a third - the figures');
like($answer->{headers}{'retry-after'}, qr/^\d+$/, 'a third - when to come back');
$two->{client}->reset;
$nginx->await('its reservation is free', sub { me('ben')->{uploads} == 1 });
is_deeply(me('ben'), { used => 30_000, reserved => 30_000, limit => 100_000, uploads => 1, uploads_limit => 2 }, 'me: one was broken off');
committed($nginx->ask(put_as('ben', 'b.mp4', mp4(70_000))), mp4(70_000), 'the room it had');
$one->{client}->send($one->{rest});
committed($one->{client}->answer, $one->{bytes}, 'what was reserved is there');
is_deeply(me('ben'), { used => 100_000, reserved => 0, limit => 100_000, uploads => 0, uploads_limit => 2 }, 'me: all of it');

# who is refused finds his room free at once
my @said = map { $nginx->ask(put_as('carl', 'a.mp4', mp4(100_000), 'Repr-Digest: ' . digest('x')))->{json}{code} } 1 .. 20;
is_deeply(\@said, [('digest_mismatch') x 20], 'refused twenty times: the room is free each time');

# ---- a user's own limits ----

sub quota { return MediaTest::run('', qw(mediactl --json user quota), user('dora')->{email}, @_) }
like(quota('--bytes', '2k', '--uploads', 'none'), qr/"bytes": ?2048.*"uploads": ?"none"/s, 'mediactl sets them');
is_deeply(me('dora'), { used => 0, reserved => 0, limit => 2048, uploads => 0, uploads_limit => undef }, 'me: they rule');
early('dora', 'more than that', 'PUT /upload/a.mp4', 'Content-Length: 2049');
like(quota('--bytes', 'none'), qr/"bytes": ?"none"/, 'mediactl takes one away');
committed($nginx->ask(put_as('dora', 'a.mp4', mp4(100_001))), mp4(100_001), 'more than the gateway allows others');
like(quota('--bytes', 'default', '--uploads=default'), qr/"bytes": ?"default".*"uploads": ?"default"/s, 'mediactl takes them back');
is(me('dora')->{limit}, 100_000, 'me: as for others');

# ---- of unknown length, beyond the first reservation ----

sub big {
    my ($name, $limit, $then) = @_;
    my $user = "big$name";
    MediaTest::run('', qw(mediactl user quota), user($user)->{email}, '--bytes', $limit);
    my $c = $nginx->client;
    my $bytes = mp4(120 * MIB);     # sockets hold up to 36 MiB of it
    my $id = "$user-$$";
    $c->send(as($user, 'PUT /upload/big.mp4', [@chunked, "X-Request-Id: $id"]), sprintf("%x\r\n", length $bytes), substr $bytes, 0, 20 * MIB);
    $nginx->await('it runs', sub { intent($id) =~ /^open/ });
    my $hold = hold("SELECT 1 FROM users WHERE id = '" . user($user)->{id} . "' FOR NO KEY UPDATE");
    my $sent = 20 * MIB;
    $sent += $c->push_until_stuck(substr($bytes, $sent), 1);
    cmp_ok($sent, '>=', 64 * MIB, "$name - goes on with what it has");
    cmp_ok($sent, '<', 110 * MIB, "$name - waits then: it has " . int($sent / MIB) . ' MiB');
    is($nginx->metric('uploads_active'), 1, "$name - and is not given up");
    my $backend = await_lock($nginx, $hold);
    is(gateway_sql("SELECT pg_terminate_backend($backend)"), 't', "$name - its connection is cut") if $name eq 'lost';
    $hold->release;
    my $done = $c->send(substr($bytes, $sent), "\r\n0\r\n\r\n");
    return $then->($c->answer, $bytes, $name, $done);
}

big('enough', '120m', sub { committed($_[0], $_[1], $_[2]); return });
big('lost', '120m', sub { committed($_[0], $_[1], "$_[2] - asked again"); return });
big('short', '80m', sub {
    my ($said, $bytes, $name, $done) = @_;
    problem($said, 413, 'quota_exceeded', $name, qr/used 0 of 83886080 bytes/);
    return;
});
is(me('bigenough')->{used}, 120 * MIB, 'me: settled');
is_deeply(me('bigshort'), { used => 0, reserved => 0, limit => 80 * MIB, uploads => 0, uploads_limit => 2 }, 'me: freed');

# ---- where only uploads are counted ----

$one = begin('emil', 10, "emil-$$");
problem($nginx->ask(put_as('emil', 'a.mp4', 'x') =~ s{/upload/}{/one/upload/}r), 413, 'quota_exceeded', 'uploads=1', qr/1 of 1 uploads/);
$one->{client}->send($one->{rest});
is($one->{client}->answer->{status}, 201, 'uploads=1 - the first ends');
committed($nginx->ask(put_as('emil', 'a.mp4', mp4(200_000)) =~ s{/upload/}{/one/upload/}r), mp4(200_000), 'uploads=1 - bytes are free');

is(sql("SELECT count(*) FROM uploads u JOIN users o ON o.id = u.owner_id WHERE o.email LIKE '%.$$.%'"), 0, 'no intent is open');
is($nginx->metric('memory_bytes'), 0, 'no memory is held');
$nginx->stop;
done_testing();
