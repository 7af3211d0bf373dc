# PostgreSQL says what no server should, at the login and in place of the answer to a statement: the request gets its
# status, others are served meanwhile, a commit is said again, and the pool is well once the server is.

use lib 't/lib';
use Test::More;
use File::Temp ();
use Time::HiRes qw(time);
use MediaTest;
use MediaNginx;
use MediaProxy;
use MediaUpload;

# ---- the protocol, as far as it is needed ----

sub message { my ($type, $body) = @_; return $type . pack('N', 4 + length $body) . $body }
sub error {
    my ($severity, $state) = @_;
    return message('E', join '', (map { "$_\0" } "S$severity", "V$severity", "C$state", 'Mfrom the test'), "\0");
}
my $ready = message('Z', 'I');
my $bound = message('2', '');
my $columns = message('T', pack('n', 2) . join '', map { "$_\0" . pack 'NnNnNn', 0, 0, 25, -1, -1, 0 } qw(code detail));
my $row = message('D', pack('n', 2) . pack('N/a', 'ok') . pack('N', -1));

# Reads the startup packet, refusing TLS
sub startup {
    my ($link) = @_;
    my $first = $link->take($link->{client});
    return if unpack('x4N', $first) != 80_877_103;
    $link->say('N');
    $link->take($link->{client});
    return;
}

# Says that for ever, as fast as it is taken, and tells how much was; a GiB is too much for a test, too
sub flood {
    my ($link, $first, @more) = @_;
    $link->say($first);
    my $said = 0;
    FLOOD: for (my $n = 0; $said < 1 << 30; $n++) {
        my $bytes = $more[$n % @more];
        for (my $at = 0; $at < length $bytes;) {
            my $sent = syswrite $link->{client}, $bytes, length $bytes, $at or last FLOOD;
            $at += $sent;
            $said += $sent;
        }
    }
    $link->{proxy}->note("flood $said " . $link->{proxy}->mode);
    return $link->close;
}

# ---- at the login ----

my %login = (
    'silence' => sub { $_[0]->stall },
    'RST' => sub { $_[0]->reset },
    'FIN' => sub { $_[0]->close },
    'garbage' => sub { startup($_[0]); $_[0]->say("\xff" x 4096); $_[0]->stall },
    'HTTP' => sub { startup($_[0]); $_[0]->say("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"); $_[0]->close },
    'silence behind the startup packet' => sub { startup($_[0]); $_[0]->stall },
    'a wish for TLS that comes to nothing' => sub { $_[0]->take($_[0]{client}); $_[0]->say('S'); $_[0]->stall },
    'TLS that is none' => sub { $_[0]->take($_[0]{client}); $_[0]->say('S' . 'x' x 100); $_[0]->stall },
    'an unknown authentication' => sub { startup($_[0]); $_[0]->say(message('R', pack 'N', 99)); $_[0]->stall },
    'SASL without a mechanism' => sub { startup($_[0]); $_[0]->say(message('R', pack('N', 10) . "\0")); $_[0]->stall },
    'SASL that goes on with garbage' => sub {
        startup($_[0]);
        $_[0]->say(message('R', pack('N', 10) . "SCRAM-SHA-256\0\0"));
        $_[0]->take($_[0]{client});
        $_[0]->say(message('R', pack('N', 11) . 'r=x,s=!,i=-1'));
        $_[0]->stall;
    },
    'a wrong password' => sub { startup($_[0]); $_[0]->say(error('FATAL', '28P01')); $_[0]->close },
    'too many connections' => sub { startup($_[0]); $_[0]->say(error('FATAL', '53300')); $_[0]->close },
    'starting up' => sub { startup($_[0]); $_[0]->say(error('FATAL', '57P03')); $_[0]->close },
    'an error message of 2 GB' => sub { startup($_[0]); $_[0]->say('E' . pack('N', 0x7fffffff) . 'x' x 40_000); $_[0]->stall },
    'a message shorter than itself' => sub { startup($_[0]); $_[0]->say('R' . pack 'NN', 1, 0); $_[0]->stall },
    'parameters without an end' => sub {
        startup($_[0]);
        flood($_[0], message('R', pack 'N', 0), map { my $set = $_; join '', map { message('S', "p$set-$_\0" . 'x' x 500 . "\0") } 1 .. 200 } 1 .. 50);
    },
    'logged in, then nothing' => sub { startup($_[0]); $_[0]->say(message('R', pack 'N', 0)); $_[0]->stall },
    'logged in, then the end' => sub { startup($_[0]); $_[0]->say(message('R', pack 'N', 0) . $ready); $_[0]->close },
    'logged in, then silence for ever' => sub { startup($_[0]); $_[0]->say(message('R', pack 'N', 0) . $ready); $_[0]->stall },
    'logged in, then garbage' => sub {
        startup($_[0]);
        $_[0]->say(message('R', pack 'N', 0) . $ready);
        $_[0]->take($_[0]{client});
        $_[0]->say("\xff" x 4096);
        $_[0]->stall;
    },
);

# ---- in place of an answer; "again": the statement is said again on a good connection ----

my %answer = (
    'the connection is cut before it' => sub { $_[0]->reset },
    'the connection is cut behind it' => sub { $_[0]->forward; $_[0]->swallow(qr/Z\0\0\0\x05.\z/s); $_[0]->reset },
    'half of it' => sub {
        $_[0]->forward;
        my $said = $_[0]->swallow(qr/Z\0\0\0\x05.\z/s);
        $_[0]->say(substr $said, 0, length($said) / 2);
        $_[0]->close;
    },
    'all but the end' => sub {
        $_[0]->forward;
        my $said = $_[0]->swallow(qr/Z\0\0\0\x05.\z/s);
        $_[0]->say(substr $said, 0, -6);
        $_[0]->close;
    },
    'silence' => sub { $_[0]->stall },
    'silence behind it' => sub { $_[0]->forward; $_[0]->swallow(qr/Z\0\0\0\x05.\z/s); $_[0]->stall },
    'garbage' => sub { $_[0]->say("\xff" x 4096); $_[0]->stall },
    'an unknown message' => sub { $_[0]->say(message('?', 'x')); $_[0]->stall },
    'a row of 2 GB' => sub { $_[0]->say($bound . $columns . 'D' . pack('N', 0x7fffffff) . 'x' x 40_000); $_[0]->stall },
    'a row shorter than itself' => sub { $_[0]->say($bound . $columns . 'D' . pack('N', 3)); $_[0]->stall },
    'a row without columns' => sub { $_[0]->say($bound . $row . $ready); $_[0]->stall },
    'a value longer than its row' => sub { $_[0]->say($bound . $columns . message('D', pack 'nN', 2, 1 << 20)); $_[0]->stall },
    'rows for ever' => sub { $_[0]->say($bound . $columns); $_[0]->say($row x 50) while select(undef, undef, undef, 0.01) == 0 },
    'notices for ever' => sub { $_[0]->say(error('NOTICE', '00000') =~ s/^E/N/r x 50) while select(undef, undef, undef, 0.01) == 0 },
    'rows without an end' => sub { flood($_[0], $bound . $columns, $row x 10_000) },
    'large rows without an end' => sub { flood($_[0], $bound . $columns, message('D', pack 'nN/aN', 2, 'x' x 300_000, -1)) },
    'notices without an end' => sub { flood($_[0], $bound, error('NOTICE', '00000') =~ s/^E/N/r x 4000) },
    'notifications without an end' => sub { flood($_[0], $bound, message('A', pack('N', 1) . "channel\0payload\0") x 8000) },
    'an error within the result' => sub { $_[0]->say($bound . $columns . $row . error('FATAL', '57P01')); $_[0]->close },
    'an error behind the row, at the commit' => sub { $_[0]->say($bound . $columns . $row . error('ERROR', '40001') . $ready); $_[0]->stall },
    'a COPY' => sub { $_[0]->say($bound . message('G', pack 'Cn', 0, 0)); $_[0]->stall },
    (map { my $state = $_; ("$state and the end" => sub { $_[0]->say(error('FATAL', $state)); $_[0]->close }) } qw(57P01 57P02 57P03)),
    (map { my $state = $_; ($state => sub { $_[0]{held} = ''; $_[0]->say(error('ERROR', $state) . $ready) }) } qw(40001 40P01 25006 53100 53300 57014 58030 08006)),
);

# A mode is a name of %login, or "STATEMENT name": the first connection that says it is the one
my $proxy = MediaProxy->start($ENV{PGPORT}, sub {
    my ($self, $link) = @_;
    my $mode = $self->mode;
    return $login{$mode}->($link) if $login{$mode};
    return if $mode eq '';
    my ($statement, $name) = split / /, $mode, 2;
    $link->pass_until(qr/\0$statement\0\0/);         # portal "", statement, no parameter formats
    return if !mkdir "$self->{dir}/" . unpack 'H*', $mode;
    $self->note($mode);
    return $answer{$name}->($link);
});

# passwords for the proxy's port as well
my $secrets = File::Temp->newdir;
MediaNginx::spew("$secrets/pgpass", MediaNginx::slurp($ENV{PGPASSFILE}) =~ s/:\d+:/:*:/gr);
chmod 0600, "$secrets/pgpass" or die $!;
$ENV{PGPASSFILE} = "$secrets/pgpass";

my $nginx = MediaNginx->start(
    http => media_http(pg => $proxy->{port}, media_pg_connect_timeout => '500ms', media_pg_timeout => '1500ms'),
    server => upload_server(body_timeout => '60s'));
my $bytes = mp4(40_000);
my $slowest = 0;

# The most memory the worker has had so far, KiB
sub peak {
    my ($worker) = $nginx->workers;
    return MediaNginx::slurp("/proc/$worker/status") =~ /^VmHWM:\s+(\d+) kB/m ? $1 : die;
}

# Others are served while that one waits
sub served {
    my ($name) = @_;
    my $began = time;
    my $answer = $nginx->ask(http('GET /healthz', "Connection: close\n"));
    my $took = time - $began;
    $slowest = $took if $took > $slowest;
    is($answer->{status}, 200, "$name - others are served");
    return;
}

# How much a flood could say
sub flooded {
    my ($mode) = @_;
    my $said = eval { $nginx->await('its end', sub { (map { /^flood (\d+) \Q$mode\E$/ } $proxy->asked)[0] }) };
    # 16 MiB as we count, what sockets hold, and what came while libpq was reading
    cmp_ok($said // 1 << 30, '<', 256 << 20, "$mode - it was ended");
    return;
}

sub well {
    my ($name) = @_;
    my $answer;
    eval {
        $nginx->await('the pool', sub { ($answer = $nginx->ask(put('a.mp4', $bytes, 'Connection: close')))->{status} == 201 }, 15);
    };
    committed($answer, $bytes, "$name - well again once the server is");
    return;
}

well('a proxy that does nothing');
my $peak = peak();
for my $name (sort keys %login) {
    $proxy->mode($name);
    $proxy->cut;
    my $client = $nginx->client;
    $client->send(put('a.mp4', $bytes));
    served("login: $name");
    my $answer = $client->answer;
    problem($answer, 503, 'database_unavailable', "login: $name");
    is($answer->{headers}{'retry-after'}, 5, "login: $name - when to come back");
    flooded($name) if $name =~ /without an end/;
}
$proxy->mode('');
$proxy->cut;
well('login');

for my $statement ('UPLOAD_OPEN', 'UPLOAD_COMMIT') {
    for my $name (sort keys %answer) {
        my $mode = "$statement $name";
        my $id = "hostile-$$-" . ++our $n;
        $proxy->mode($mode);
        $proxy->cut;
        my $client = $nginx->client;
        my $seen = 0;
        # the connections of before may still be there
        for my $try (1 .. 3) {
            $client->send(put('a.mp4', $bytes, "X-Request-Id: $id"));
            eval { $nginx->await('the statement', sub { $seen = grep { $_ eq $mode } $proxy->asked }, 3) };
            last if $seen;
            $client = $nginx->client;
        }
        ok($seen, "$mode - it was said");
        served($mode);
        my $answer = $client->answer;
        flooded($mode) if $mode =~ /without an end/;
        if ($statement eq 'UPLOAD_OPEN') {
            problem($answer, 503, 'database_unavailable', $mode);
            await_intent($nginx, $id, $mode) if $name =~ /behind it|half of it|all but the end/;
            next;
        }
        committed($answer, $bytes, "$mode: said again");
        is(sql("SELECT count(*) FROM media WHERE request_id = '$id'"), 1, "$mode: one media");
    }
}
$proxy->mode('');
$proxy->cut;
well('statements');
cmp_ok($slowest, '<', 2, 'the loop was never held up');
like($nginx->log_text, qr/media pg: connection lost: the server says too much/, 'the log tells why');
SKIP: {
    skip 'a sanitizer keeps what was freed', 1 if $ENV{ASAN_OPTIONS};
    cmp_ok(peak() - $peak, '<', 150 << 10, 'floods cost little memory');
}
is($nginx->metric('uploads_active'), 0, 'no upload is active');
my $anna = user('anna')->{id};
$nginx->await('the intents', sub {
    sql("UPDATE uploads SET heartbeat_at = now() - interval '1h' WHERE owner_id = '$anna'; SELECT janitor_uploads(60)");
    sql("SELECT count(*) FROM uploads WHERE owner_id = '$anna'") eq '0';
});
$nginx->stop('hostile PostgreSQL');
done_testing();
