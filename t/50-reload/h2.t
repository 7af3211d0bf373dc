# HUP, QUIT and worker_shutdown_timeout with uploads in flight, over HTTP/2 and, for the latter, HTTP/1: what was accepted
# ends as if nothing had happened, or is cut and leaves nothing but a commit that was under way.

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaH2;
use MediaNginx;
use MediaUpload;

my $port = ($ENV{TEST_NGINX_PORT} // 1984) + 1;
my %with = (authorization => bearer('anna') =~ s/^\S+ |\n//gr);
my $server = upload_server(lines => ['location = /pid { return 200 $pid; }']);
my $http = media_http(media_s3_part_size => '5m', media_memory => '20m')
    . "server { listen 127.0.0.1:$port http2; $server }\n";
my ($anna, $bert) = map { user($_)->{id} } 'anna', 'bert';

my @type = ('Content-Type: multipart/form-data; boundary=limit');
my @kinds = (
    ['with its length', mp4(3_000_000), sub { ['PUT', '/upload/a.mp4', { 'content-length' => length $_[0] }, $_[0]] },
        sub { put('a.mp4', @_) }],
    ['without its length', mp4(3_000_001), sub { ['PUT', '/upload/a.mp4', {}, $_[0]] },
        sub { put('a.mp4', undef, 'Transfer-Encoding: chunked', @_[1 .. $#_]) . chunked($_[0]) }],
    ['in parts', mp4(11_000_000), sub { ['PUT', '/upload/a.mp4', {}, $_[0]] },
        sub { put('a.mp4', undef, 'Transfer-Encoding: chunked', @_[1 .. $#_]) . chunked($_[0]) }],
    ['as a form', mp4(3_000_002), sub {
        my $form = form(part('title', 'x'), part('file', $_[0], 'a.mp4'));
        return ['POST', '/upload', { 'content-type' => 'multipart/form-data; boundary=limit', 'content-length' => length $form }, $form];
    }, sub { post('', form(part('title', 'x'), part('file', $_[0], 'a.mp4')), @type, @_[1 .. $#_]) }],
);

my $nginx;
sub start { return $nginx = MediaNginx->start(main => media_main(@_), http => $http, server => $server) }

# One upload of each kind on a connection, all but its last 100 000 bytes; request ids are PREFIX-number
sub begin {
    my ($h2, $prefix) = @_;
    my @flying;
    for my $n (0 .. $#kinds) {
        my ($name, $bytes, $over_h2) = @{ $kinds[$n] };
        my ($method, $path, $headers, $body) = @{ $over_h2->($bytes) };
        my $id = $h2->request($method, $path, { %with, %$headers, 'x-request-id' => "$prefix-$n" });
        $h2->body($id, substr($body, 0, -100_000), open => 1);
        push @flying, { name => $name, id => $id, bytes => $bytes, rest => substr($body, -100_000), request_id => "$prefix-$n" };
    }
    return @flying;
}

sub active {
    my ($n) = @_;
    return $nginx->await("$n are admitted", sub { $nginx->metric('uploads_active') == $n });
}

sub ended {
    my ($when, $h2, @flying) = @_;
    $h2->body($_->{id}, $_->{rest}) for @flying;
    committed($h2->answer($_->{id}), $_->{bytes}, "$when, $_->{name}", bytes => 1) for @flying;
    return;
}

sub gone_away {
    my ($when, $h2, $last) = @_;
    eval { $nginx->await('GOAWAY', sub { $h2->pull(0.1); defined $h2->{goaway} }) };
    is($h2->{goaway}, $last, "$when - GOAWAY names the last stream that was accepted");
    return;
}

sub closed {
    my ($when, $h2) = @_;
    ok(eval { $nginx->await('the end', sub { $h2->pull(0.1); $h2->{gone} }) }, "$when - the connection ends");
    return;
}

sub left {
    my ($when, @old) = @_;
    my %left;
    eval { $nginx->await('it', sub { %left = map { $_ => 1 } $nginx->workers; !grep { $left{$_} } @old }) };
    is(join(' ', grep { $left{$_} } @old), '', "$when - the old process is gone");
    return;
}

# ---- HUP ----

start();
my $h2 = MediaH2->new($port);
my $idle = MediaH2->new($port);
is($idle->answer($idle->request('GET', '/healthz', {}, 1))->{status}, 200, 'a connection that stays idle');
my @flying = begin($h2, "hup-$$");
active(scalar @flying);
my @old = $nginx->workers;
$nginx->kill('HUP');
gone_away('HUP', $h2, $flying[-1]{id});
closed('HUP, nothing in flight', $idle);

my $started = $nginx->metric('uploads_started_total');
my $late = $h2->request('PUT', '/upload/late.mp4', { %with, 'content-length' => 1000, 'x-request-id' => "late-$$" });
cmp_ok($late, '>', $h2->{goaway}, 'HUP - a stream that GOAWAY excludes');
my $new = MediaH2->new($port);
my $answer = $new->answer($new->request('GET', '/pid', {}, 1));
ok($answer->{status} == 200 && !grep { $_ == $answer->{body} } @old, 'HUP - a new connection is at the new worker');
my $bytes = mp4(50_000);
my $id = $new->request('PUT', '/upload/b.mp4', \%with);
$new->body($id, $bytes);
committed($new->answer($id), $bytes, 'HUP - a new upload on it');
ended('HUP', $h2, @flying);
closed('HUP', $h2);
is($h2->{streams}{$late}{status}, 0, 'HUP - the stream behind GOAWAY is not answered');
is($nginx->metric('uploads_started_total'), $started + 1, 'HUP - nor was it begun');
is(intent("late-$$"), '- -', 'HUP - nor is there anything of it');
left('HUP', @old);
is($nginx->metric('uploads_active'), 0, 'HUP - no upload is active');
is($nginx->metric('memory_bytes'), 0, 'HUP - no memory is held');

# ---- QUIT ----

undef $new;
$h2 = MediaH2->new($port);
@flying = begin($h2, "quit-$$");
active(scalar @flying);
$nginx->kill('QUIT');
gone_away('QUIT', $h2, $flying[-1]{id});
ended('QUIT', $h2, @flying);
closed('QUIT', $h2);
ok(eval { $nginx->await('it exits', sub { $nginx->gone }) }, 'QUIT - it exits when they are done') || $nginx->destroy;
unlike($nginx->log_text, qr/\[(?:alert|crit|emerg)\]|exited on signal|exited with code [1-9]|Sanitizer|runtime error:/, 'QUIT - a clean log');

# ---- worker_shutdown_timeout ----

start('worker_shutdown_timeout 1s;');
for my $how ('HUP', 'QUIT') {
    my $when = "worker_shutdown_timeout, $how";
    my $prefix = "cut-\L$how\E-$$";

    # in mid-body, over HTTP/2 and HTTP/1
    $h2 = MediaH2->new($port);
    @flying = begin($h2, $prefix);
    for my $n (0 .. $#kinds) {
        my ($name, $bytes, undef, $over_h1) = @{ $kinds[$n] };
        my $client = $nginx->client;
        $client->send(substr $over_h1->($bytes, "X-Request-Id: $prefix-h1-$n"), 0, -100_000);
        push @flying, { name => "$name, HTTP/1", client => $client, request_id => "$prefix-h1-$n" };
    }
    active(scalar @flying);

    # while it commits, and while its intent is written
    my $committing = $nginx->client;
    my ($hold) = held_commit($nginx, $committing, put('a.mp4', $bytes, "X-Request-Id: $prefix-commit"), "$prefix-commit");
    my $opening = $nginx->client;
    my $hold_open = hold("SELECT 1 FROM users WHERE id = '$bert' FOR UPDATE");
    $opening->send(http('PUT /upload/a.mp4', bearer('bert') . "Content-Length: 50000\nX-Request-Id: $prefix-open\n", $bytes));
    await_lock($nginx, $hold_open);

    @old = $nginx->workers;
    $nginx->kill($how);
    closed("$when, HTTP/2", $h2);
    ok($_->{client}->closed, "$when, $_->{name} - the connection ends") for grep { $_->{client} } @flying;
    is($h2->{streams}{ $_->{id} }{status}, 0, "$when, $_->{name}, HTTP/2 - no answer") for grep { $_->{id} } @flying;
    ok($_->closed, "$when - so does one that waits for the database") for $committing, $opening;
    $_->release for $hold, $hold_open;
    $how eq 'HUP' ? left($when, @old) : ok(eval { $nginx->await('it exits', sub { $nginx->gone }) }, "$when - it exits");
    # what was being opened may have come into being behind all that: its heart never beats
    sql("UPDATE uploads SET heartbeat_at = now() - interval '1h' WHERE owner_id = '$bert'; SELECT janitor_uploads(60)");
    for my $u (@flying, { name => 'being opened', request_id => "$prefix-open" }) {
        is(intent($u->{request_id}), '- -', "$when, $u->{name} - its intent is closed, nothing is committed");
    }
    is(intent("$prefix-commit"), '- live', "$when - what was being committed is there");
}
unlike($nginx->log_text, qr/\[(?:alert|crit|emerg)\]|exited on signal|exited with code [1-9]|Sanitizer|runtime error:/,
    'worker_shutdown_timeout - a clean log');
is(sql("SELECT count(*) FROM uploads WHERE owner_id = '$anna'"), 0, 'no intent is open');

done_testing();
