# The client leaves: wherever it does, its intent is closed, nothing is committed, and no connection, memory or
# timer is left behind. Only a commit under way goes on.

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaNginx;
use MediaS3;
use MediaUpload;

# S3 stands still at a point: "head": reads no body; "answer": gives no answer; "create", "complete": not to these;
# "refuse": 503 again and again
my $s3 = MediaS3->start(sub {
    my ($self, $request) = @_;
    my $mode = $self->mode;
    sleep 60 if $mode eq 'head' && $request->{method} eq 'PUT';
    sleep 60 if $mode eq 'create' && $request->is_create;
    if ($mode eq 'complete' && $request->is_complete || $mode eq 'answer') {
        $request->body;
        $self->note("read $request->{target}");
        sleep 60;
    }
    if ($mode eq 'refuse' && $request->{method} eq 'PUT') {
        $request->body;
        $request->error(503, 'SlowDown');
        $self->note("refused $request->{target}");
        return;
    }
    return $request->good;
});

my $nginx = MediaNginx->start(
    http => media_http(s3 => $s3->url, media_s3_part_size => '5m', media_memory => '20m', media_pg_connections => 3),
    server => upload_server());
my $small = mp4(200_000);
my $large = mp4(24_000_000);
my $anna = user('anna')->{id};

my %kind = (
    raw => sub { return put('a.mp4', @_) },
    chunked => sub { return put('a.mp4', undef, 'Transfer-Encoding: chunked', @_[1 .. $#_]) . chunked($_[0]) },
    form => sub {
        return post('', form(part('title', 'x'), part('file', $_[0], 'a.mp4')),
            'Content-Type: multipart/form-data; boundary=limit', @_[1 .. $#_]);
    },
);

# the connections to PostgreSQL and RabbitMQ are made once
$s3->mode('good');
$_->answer for map { my $c = $nginx->client; $c->send(put('a.mp4', $small)); $c } 1 .. 8;
$nginx->await('RabbitMQ', sub { $nginx->log_text =~ /media amqp: connected/ });
my $idle = $nginx->sockets;
my $n = 0;

# A client that has come to where `until` is true leaves; returns its request id
sub leaves {
    my ($name, $kind, $bytes, $how, $until) = @_;
    my $id = "abort-$$-" . ++$n;
    my $request = $kind{$kind}->($bytes, "X-Request-Id: $id");
    my $client = $nginx->client;
    $until->($client, $request);
    $client->$how;
    my $active = 1;
    eval { $nginx->await('it', sub { ($active = $nginx->metric('uploads_active')) == 0 }, 5) };
    is($active, 0, "$name - noticed at once");
    return $id;
}

my (@left, @there);

# Nothing is held any more; the database is asked at the end, for all of them
sub cleaned {
    my ($name, $id) = @_;
    push @left, $id;
    is($nginx->metric('memory_bytes'), 0, "$name - no memory is held");
    my $sockets = -1;
    # up to 64 idle connections to S3 may be kept, in fact no more than were open at once
    eval { $nginx->await('sockets', sub { ($sockets = $nginx->sockets) <= $idle }, 5) };
    cmp_ok($sockets, '<=', $idle, "$name - no connection is left");
    return;
}

sub sees {
    my ($pattern) = @_;
    my $before = grep { /$pattern/ } $s3->asked;
    return sub { $nginx->await("S3 sees $pattern", sub { $before < grep { /$pattern/ } $s3->asked }) };
}

sub admitted {
    my ($before) = @_;
    return $nginx->await('the intent', sub { $nginx->metric('uploads_started_total') > $before });
}

for my $how ('close', 'reset') {
    my $ways = $how eq 'close' ? 'FIN' : 'RST';

    # ---- before there is anything ----

    my $started = $nginx->metric('uploads_started_total');
    leaves("in the header, $ways", 'raw', $small, $how, sub { $_[0]->send(substr $_[1], 0, 60) });
    is($nginx->metric('uploads_started_total'), $started, "in the header, $ways - nothing was begun");

    my $hold = hold("SELECT 1 FROM users WHERE id = '$anna' FOR UPDATE");
    my $client = $nginx->client;
    my $id = "abort-$$-" . ++$n;
    $client->send(substr put('a.mp4', $small, "X-Request-Id: $id"), 0, -1);
    await_lock($nginx, $hold);
    $client->$how;
    $hold->release;
    $nginx->await('it', sub { $nginx->metric('uploads_active') == 0 });
    cleaned("while it is being admitted, $ways", $id);

    # ---- in the body ----

    for my $kind (sort keys %kind) {
        $s3->mode('good');
        my $name = "in mid-body, $kind, $ways";
        $id = leaves($name, $kind, $small, $how, sub {
            my ($c, $request) = @_;
            my $before = $nginx->metric('uploads_started_total');
            $c->send(substr $request, 0, 100_000);
            admitted($before);
        });
        cleaned($name, $id);

        $name = "with the head alone, $kind, $ways";
        $id = leaves($name, $kind, $small, $how, sub {
            my ($c, $request) = @_;
            my $before = $nginx->metric('uploads_started_total');
            $c->send(substr $request, 0, index($request, "\r\n\r\n") + 4);
            admitted($before);
        });
        cleaned($name, $id);

        # ---- while S3 stands still ----

        # a FIN would stand behind bytes that nobody reads, unseen
        if ($how eq 'reset') {
            $s3->mode('head');
            $name = "while S3 reads nothing, $kind, $ways";
            $id = leaves($name, $kind, $large, $how, sub {
                my ($c, $request) = @_;
                my $wait = sees('^PUT');
                $c->push_until_stuck($request, 0.3);
                $wait->();
            });
            cleaned($name, $id);
        }

        $s3->mode('answer');
        $name = "while S3 gives no answer, $kind, $ways";
        $id = leaves($name, $kind, $small, $how, sub {
            my ($c, $request) = @_;
            my $wait = sees('^read');
            $c->send($request);
            $wait->();
        });
        cleaned($name, $id);
    }

    # ---- multipart ----

    for my $case (['create', 6_000_000, '^POST .*uploads'], ['complete', 6_000_000, '^read'], ['refuse', 200_000, '^refused'],
        ['refuse', 6_000_000, '^refused'])
    {
        my ($mode, $size, $pattern) = @$case;
        $s3->mode($mode);
        my $name = "S3: $mode, $size bytes, $ways";
        $id = leaves($name, 'chunked', mp4($size), $how, sub {
            my ($c, $request) = @_;
            my $wait = sees($pattern);
            my $all = $size + $nginx->metric('upload_bytes_total');
            $c->send($request);
            $wait->();
            # a FIN right behind the last byte is no abort: all of the file is there
            $nginx->await('it has read all', sub { $nginx->metric('upload_bytes_total') == $all });
        });
        cleaned($name, $id);
    }

    # ---- while the commit runs ----

    $s3->mode('good');
    for my $kind ('raw', 'form') {
        $client = $nginx->client;
        $id = "commit-$$-" . ++$n;
        ($hold) = held_commit($nginx, $client, $kind{$kind}->($small, "X-Request-Id: $id"), $id);
        $client->$how;
        $nginx->ask(http('GET /healthz', "Connection: close\n"));
        is($nginx->metric('uploads_active'), 1, "while it commits, $kind, $ways - it goes on");
        $hold->release;
        $nginx->await('it', sub { $nginx->metric('uploads_active') == 0 });
        push @there, $id;
    }
}

# ---- all of them at once ----

$s3->mode('head');
my @clients = map { $nginx->client } 1 .. 24;
for my $i (0 .. $#clients) {
    my $kind = (sort keys %kind)[$i % 3];
    $clients[$i]->push_until_stuck(substr($kind{$kind}->($large), 0, 3_000_000), 0.02);
}
$nginx->await('all are admitted', sub { $nginx->metric('uploads_active') == @clients });
# of 20m one part of 5m is lent to those who have to fill theirs
my $all = 20 * 1024 * 1024;
$nginx->await('the memory is used up', sub { $nginx->metric('memory_bytes') >= 0.75 * $all });
cmp_ok($nginx->metric('memory_bytes'), '<=', $all + 2 * 65_536, 'media_memory bounds what is held');
$_->reset for @clients;
$nginx->await('all are noticed', sub { $nginx->metric('uploads_active') == 0 });
cleaned('24 at once', '-');
$nginx->await('the intents are closed', sub { sql("SELECT count(*) FROM uploads WHERE owner_id = '$anna'") eq '0' });
is(sql("SELECT count(*) FROM media JOIN objects o USING (object_key) WHERE o.state = 'live' AND media.request_id IN ("
    . join(',', map { "'$_'" } @there) . ')'), @there, 'what was being committed is there');
my $ids = join ',', map { "'$_'" } @left;
is(sql("SELECT count(*) FROM media WHERE request_id IN ($ids)"), 0, 'nothing is committed of what a client left');
is(sql("SELECT count(*) FROM objects WHERE state = 'pending' AND object_key LIKE '%/original'
    AND media_id NOT IN (SELECT id FROM uploads)"), 0,
    'no object is pending for ever');

$s3->mode('good');
committed($nginx->ask(put('a.mp4', $small)), $small, 'after all that: the next upload');
is($nginx->metric('uploads_failed_total'), 0, 'none failed');
$nginx->stop;
done_testing();
