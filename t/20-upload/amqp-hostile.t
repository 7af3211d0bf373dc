# RabbitMQ says what no broker should: uploads are taken all the same and at once, the loop goes on, /readyz tells,
# messages stay in the outbox, and are published once the broker is well.

use lib 't/lib';
use Test::More;
use Time::HiRes qw(time);
use MediaTest;
use MediaNginx;
use MediaProxy;
use MediaUpload;

# ---- the protocol, as far as it is needed ----

sub frame { my ($type, $channel, $payload) = @_; return pack('CnN', $type, $channel, length $payload) . $payload . "\xce" }
sub method { my ($channel, $class, $id, $args) = @_; return frame(1, $channel, pack('nn', $class, $id) . $args) }
sub text { my ($text) = @_; return pack 'C/a', $text }
my $start = method(0, 10, 10, pack('CCN', 0, 9, 0) . pack('N/a', 'PLAIN') . pack('N/a', 'en_US'));
my $tune = method(0, 10, 30, pack 'nNn', 100, 131_072, 0);

# basic.publish: class 60, method 40
my $publish = qr/\x01\0\x01....\0\x3c\0\x28/s;

my %login = (
    'silence' => sub { $_[0]->stall },
    'RST' => sub { $_[0]->reset },
    'garbage' => sub { $_[0]->say("\xff" x 4096); $_[0]->stall },
    'HTTP' => sub { $_[0]->say("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"); $_[0]->close },
    'another version' => sub { $_[0]->say("AMQP\0\1\0\0"); $_[0]->close },
    'a frame of 4 GB' => sub { $_[0]->say(pack('CnN', 1, 0, 0xfffffff0) . 'x' x 4096); $_[0]->stall },
    'a frame without an end' => sub { $_[0]->say(substr($start, 0, -1) . 'x'); $_[0]->stall },
    'half a frame' => sub { $_[0]->say(substr $start, 0, 12); $_[0]->stall },
    'no way to log in' => sub { $_[0]->say(method(0, 10, 10, pack('CCN', 0, 9, 0) . pack('N/a', 'NONE') . pack('N/a', 'en_US'))); $_[0]->stall },
    'silence behind the start' => sub { $_[0]->say($start); $_[0]->stall },
    'a wrong password' => sub {
        $_[0]->say($start);
        $_[0]->take($_[0]{client});
        $_[0]->say(method(0, 10, 50, pack('n', 403) . text('ACCESS_REFUSED') . pack 'nn', 0, 0));
        $_[0]->close;
    },
    'silence behind the login' => sub { $_[0]->say($start); $_[0]->take($_[0]{client}); $_[0]->say($tune); $_[0]->stall },
);

my %later = (
    'the connection is cut' => sub { $_[0]->reset },
    'the connection is cut behind the message' => sub { $_[0]->forward; $_[0]->reset },
    'no confirm' => sub { $_[0]->stall },
    'garbage for a confirm' => sub { $_[0]->say("\xff" x 4096); $_[0]->stall },
    'a confirm of what was not sent' => sub { $_[0]->say(method(1, 60, 80, pack 'NNC', 7, 7, 0)); $_[0]->stall },
    'the channel is closed' => sub { $_[0]->say(method(1, 20, 40, pack('n', 404) . text('NOT_FOUND') . pack 'nn', 60, 40)); $_[0]->stall },
    'the connection is closed' => sub { $_[0]->say(method(0, 10, 50, pack('n', 320) . text('CONNECTION_FORCED') . pack 'nn', 0, 0)); $_[0]->stall },
    'an alarm, and silence' => sub { $_[0]->say(method(0, 10, 60, text('low on memory'))); $_[0]->stall },
    'declined' => sub { $_[0]->say(method(1, 60, 120, pack 'NNC', 0, 1, 0)); $_[0]->forward },
    'a stop of the channel, and silence' => sub { $_[0]->say(method(1, 20, 20, "\0")); $_[0]->stall },
    'a method that is none' => sub { $_[0]->say(method(1, 99, 99, 'x')); $_[0]->stall },
    'a method cut short' => sub { $_[0]->say(method(1, 60, 80, 'x')); $_[0]->stall },
);

my ($user, $password, $host, $amqp_port, $vhost) = $ENV{AMQP_URL} =~ m{^amqp://([^:]*):([^@]*)@([^:/]+):(\d+)(/.*)?} or die;
my $proxy = MediaProxy->start($amqp_port, sub {
    my ($self, $link) = @_;
    my $mode = $self->mode;
    return $login{$mode}->($link) if $login{$mode};
    return if !$later{$mode};
    $link->pass_until($publish);
    $self->note($mode);
    return $later{$mode}->($link);
});
my $dir = File::Temp->newdir;
MediaNginx::spew("$dir/url", "amqp://$user:$password\@127.0.0.1:$proxy->{port}" . ($vhost // ''));

# a step that no worker knows: its job is queued and announced, and stays
sql(<<'SQL');
    INSERT INTO pipelines VALUES ('test-queued', 'for tests', '{idle}') ON CONFLICT DO NOTHING;
    INSERT INTO pipeline_steps (pipeline, step, queue) VALUES ('test-queued', 'unknown', 'short') ON CONFLICT DO NOTHING;
SQL
my $nginx = MediaNginx->start(http => media_http(media_amqp_url_file => "$dir/url", media_amqp_timeout => '1s'),
    server => upload_server());
my $bytes = mp4(10_000);
my @taken;

# Taken at once, whatever the broker does
sub taken {
    my ($name) = @_;
    my $began = time;
    my $answer = $nginx->ask(put('a.mp4?pipeline=test-queued', $bytes, 'Connection: close'));
    my $took = time - $began;
    push @taken, committed($answer, $bytes, $name);
    cmp_ok($took, '<', 2, "$name - at once");
    return;
}

sub readyz { return $nginx->ask(http('GET /readyz', "Connection: close\n")) }

sub up {
    my ($name) = @_;
    $proxy->mode('');
    $proxy->cut;
    eval { $nginx->await('it', sub { readyz()->{body} !~ /degraded/ }, 20) };
    unlike(readyz()->{body}, qr/degraded/, "$name - well again once the broker is");
    my $confirmed = $nginx->metric('amqp_confirmed_total');
    taken("$name, well again");
    ok(eval { $nginx->await('a confirm', sub { $nginx->metric('amqp_confirmed_total') > $confirmed }, 10) },
        "$name - and confirms");
    return;
}

up('a proxy that does nothing');
for my $name (sort keys %login) {
    $proxy->mode($name);
    $proxy->cut;
    $nginx->await('the loss is seen', sub { readyz()->{body} =~ /degraded/ });
    is(readyz()->{status}, 200, "$name - ready all the same");
    taken($name);
}
up('login');

for my $name (sort keys %later) {
    $proxy->mode($name);
    $proxy->cut;
    my $seen = grep { $_ eq $name } $proxy->asked;
    # a login on a busy machine may take longer than the second it has, and pauses grow
    $nginx->await('the broker is back', sub { readyz()->{body} !~ /degraded/ }, 90);
    # what is published while the loss is not seen yet is left to the janitor
    my $told;
    for (1 .. 3) {
        taken($name);
        last if $told = eval { $nginx->await('the message', sub { $seen < grep { $_ eq $name } $proxy->asked }, 5) };
    }
    ok($told, "$name - it was told");
    taken("$name, and one more");
    $proxy->mode('');
    $proxy->cut;
}
up('messages');

is($nginx->metric('uploads_committed_total'), scalar @taken, 'every upload was taken');
is($nginx->metric('uploads_failed_total'), 0, 'none failed');
my $list = join ',', map { "'$_'" } @taken;
is(sql("SELECT count(*) FROM jobs WHERE media_id IN ($list) AND state = 'queued'"), scalar @taken, 'every job waits');
sql("DELETE FROM outbox WHERE job_id IN (SELECT id FROM jobs WHERE media_id IN ($list));
    UPDATE jobs SET state = 'canceled' WHERE media_id IN ($list)");
$nginx->stop('hostile RabbitMQ');
done_testing();
