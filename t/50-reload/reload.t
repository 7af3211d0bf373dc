# HUP and QUIT with uploads in flight: they end as if nothing had happened, the old process goes, counters stay

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaNginx;
use MediaUpload;

my $http = media_http(media_s3_part_size => '5m', media_memory => '20m');
my @conf = (http => $http, server => upload_server());
my $nginx = MediaNginx->start(@conf);
my $anna = user('anna')->{id};

my @type = 'Content-Type: multipart/form-data; boundary=limit';
my @uploads = (
    ['raw', mp4(3_000_000), sub { put('a.mp4', @_) }],
    ['in chunks', mp4(3_000_001), sub { put('a.mp4', undef, 'Transfer-Encoding: chunked') . chunked(@_) }],
    ['in a form', mp4(3_000_002), sub { post('', form(part('file', @_, 'a.mp4')), @type) }],
    ['in parts', mp4(11_000_000), sub { put('a.mp4', undef, 'Transfer-Encoding: chunked') . chunked(@_) }],
);

# Uploads of which all but the end has come
sub begin {
    my @flying = map { { name => $_->[0], bytes => $_->[1], request => $_->[2]->($_->[1]), client => $nginx->client } } @uploads;
    $_->{client}->send(substr $_->{request}, 0, -100_000) for @flying;
    my @old = $nginx->workers;
    $nginx->await('all are admitted', sub { $nginx->metric('uploads_active') == @flying });
    return (\@old, @flying);
}

sub end {
    my ($when, @flying) = @_;
    $_->{client}->send(substr $_->{request}, -100_000) for @flying;
    for my $u (@flying) {
        committed($u->{client}->answer, $u->{bytes}, "$when, $u->{name}", bytes => 1);
        $u->{client}->close;
    }
    return;
}

sub hup {
    my ($old) = @_;
    $nginx->kill('HUP');
    my %old = map { $_ => 1 } @$old;
    $nginx->await('a new worker', sub { grep { !$old{$_} } $nginx->workers });
    for my $pid (@$old) {
        $nginx->await('the old worker takes no more', sub { $nginx->log_text =~ /\b$pid#\d+: gracefully shutting down/ });
    }
    return;
}

sub gone {
    my ($name, $old) = @_;
    my %left;
    eval { $nginx->await('it', sub { %left = map { $_ => 1 } $nginx->workers; !grep { $left{$_} } @$old }, 10) };
    is(join(' ', grep { $left{$_} } @$old), '', "$name - the old process is gone");
    return;
}

# ---- HUP ----

my $idle = $nginx->client;
$idle->send(http('GET /healthz', ''));
is($idle->answer->{status}, 200, 'a connection that stays idle');

my ($old, @flying) = begin();
hup($old);
is($nginx->metric('uploads_active'), @uploads, 'HUP - uploads are still counted as active');
my $bytes = mp4(50_000);
committed($nginx->ask(put('b.mp4', $bytes)), $bytes, 'HUP - a new upload beside the old ones');
cmp_ok(scalar($nginx->workers), '==', 2, 'HUP - the old process waits for its uploads');
end('HUP', @flying);
gone('HUP', $old);
ok($idle->closed, 'HUP - the idle connection is closed');
is($nginx->metric('uploads_active'), 0, 'HUP - no upload is active');
is($nginx->metric('memory_bytes'), 0, 'HUP - no memory is held');
is($nginx->metric('uploads_committed_total'), @uploads + 1, 'HUP - the counters go on');
is($nginx->metric('upload_bytes_total'), 20_050_003, 'HUP - to the byte');

# ---- HUP without a request: connections to PostgreSQL, S3 and RabbitMQ hold nobody up ----

$old = [$nginx->workers];
$nginx->kill('HUP');
gone('HUP, idle', $old);

# ---- HUP while the commit runs and its client is gone ----

my $client = $nginx->client;
my ($hold) = held_commit($nginx, $client, put('a.mp4', $bytes, "X-Request-Id: hup-$$"), "hup-$$");
$client->reset;
$old = [$nginx->workers];
hup($old);
$hold->release;
gone('HUP while it commits', $old);
is(intent("hup-$$"), '- live', 'HUP while it commits - the media is there');

# ---- HUP to another configuration, and to a broken one ----

($old, @flying) = begin();
$nginx->configure(http => $http, server => upload_server(max_size => 1000));
hup($old);
problem($nginx->ask(put('b.mp4', $bytes)), 413, 'too_large', 'HUP - the new configuration rules new uploads');
end('HUP - the old one rules old uploads', @flying);
gone('HUP to another configuration', $old);

my $committed = $nginx->metric('uploads_committed_total');
$nginx->configure(http => $http, server => upload_server(types => 'nonsense'));
$nginx->kill('HUP');
$nginx->await('it is refused', sub { $nginx->log_text =~ /\[emerg\].*"nonsense" in "media_types"/ });
is($nginx->ask(put('b.mp4', mp4(1000)))->{status}, 201, 'HUP to a broken configuration - the old one stays');
is($nginx->metric('uploads_committed_total'), $committed + 1, 'HUP to a broken configuration - counters stay');
$nginx->configure(@conf);
$old = [$nginx->workers];
hup($old);
gone('HUP back', $old);
is($nginx->ask(put('b.mp4', $bytes))->{status}, 201, 'HUP back - the first configuration again');

# ---- HUP while a client always has more to send ----

my $large = mp4(80_000_000);
for my $case (['raw', put('a.mp4', $large)], ['in chunks', put('a.mp4', undef, 'Transfer-Encoding: chunked') . chunked($large)]) {
    my ($name, $request) = @$case;
    $client = $nginx->client;
    $old = [$nginx->workers];
    $client->send(substr $request, 0, 1_000_000);
    $nginx->kill('HUP');
    $client->send(substr $request, 1_000_000);
    committed($client->answer, $large, "HUP while a client sends, $name");
    $client->close;
    gone("HUP while a client sends, $name", $old);
}

# ---- QUIT ----

($old, @flying) = begin();
$nginx->kill('QUIT');
$nginx->await('nobody listens', sub { !IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $nginx->{port}) });
end('QUIT', @flying);
ok(eval { $nginx->await('it exits', sub { $nginx->gone }, 10) }, 'QUIT - it exits when they are done') || $nginx->destroy;
my @bad = grep { /\[alert\]|\[emerg\]|exited on signal|exited with code [1-9]|Sanitizer|runtime error:/ && !/"nonsense"/ }
    split /\n/, $nginx->log_text;
is(join("\n", @bad), '', 'a clean log');

# ---- TERM: nothing is waited for, nothing is promised ----

$nginx = MediaNginx->start(@conf);
($old, @flying) = begin();
$nginx->kill('TERM');
ok(eval { $nginx->await('it exits', sub { $nginx->gone }, 10) }, 'TERM - it exits at once') || $nginx->destroy;
is($_->{client}->answer->{status}, 0, "TERM, $_->{name} - no answer") for @flying;
unlike($nginx->log_text, qr/\[emerg\]|exited on signal|exited with code [1-9]|Sanitizer|runtime error:/, 'TERM - a clean log');

done_testing();
