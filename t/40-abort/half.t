# A client that closes its sending half only: in mid-body it has left; behind its last byte it may have, as far as a server
# can tell, so the upload is either answered and there, or it is not answered. Never half of it, never an open intent.

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaNginx;
use MediaUpload;

my $nginx = MediaNginx->start(http => media_http(media_s3_part_size => '5m', media_memory => '20m'), server => upload_server());
my $anna = user('anna')->{id};
my $n = 0;

my %kind = (
    raw => sub { put('a.mp4', @_) },
    chunked => sub { put('a.mp4', undef, 'Transfer-Encoding: chunked', @_[1 .. $#_]) . chunked($_[0]) },
    form => sub {
        return post('', form(part('title', 'x'), part('file', $_[0], 'a.mp4')),
            'Content-Type: multipart/form-data; boundary=limit', @_[1 .. $#_]);
    },
);

for my $kind (sort keys %kind) {
    for my $size (200_000, 6_000_000) {
        my $bytes = mp4($size, $kind);

        # ---- in mid-body ----

        my $id = "half-$$-" . ++$n;
        my $client = $nginx->client;
        $client->send(substr $kind{$kind}->($bytes, "X-Request-Id: $id"), 0, -50_000);
        $nginx->await('its intent', sub { intent($id) eq 'open -' });
        $client->finish;
        is($client->answer->{status}, 0, "$kind, $size bytes, FIN in mid-body - no answer");
        await_intent($nginx, $id, "$kind, $size bytes, FIN in mid-body");

        # ---- behind the last byte ----

        my (%seen, @odd);
        for (1 .. 5) {
            $id = "half-$$-" . ++$n;
            $client = $nginx->client;
            $client->send($kind{$kind}->($bytes, "X-Request-Id: $id"));
            $client->finish;
            my $status = $client->answer->{status};
            $nginx->await('its end', sub { intent($id) !~ /open/ });
            my $there = intent($id);
            $seen{"$status $there"}++;
            push @odd, "$status $there" if "$status $there" !~ /^(?:201 - live|0 - live|0 - -)$/;
        }
        is(join(', ', @odd), '', "$kind, $size bytes, FIN behind the last byte - answered and there, or not answered");
        note(join ', ', map { "$_: $seen{$_}" } sort keys %seen);
    }
}

# ---- while it commits: that goes on ----

my $bytes = mp4(50_000);
my $client = $nginx->client;
my ($hold) = held_commit($nginx, $client, put('a.mp4', $bytes, "X-Request-Id: half-commit-$$"), "half-commit-$$");
$client->finish;
$hold->release;
$nginx->await('its end', sub { intent("half-commit-$$") !~ /open/ });
is(intent("half-commit-$$"), '- live', 'FIN while it commits - the media is there');

$nginx->await('all are noticed', sub { $nginx->metric('uploads_active') == 0 });
is($nginx->metric('memory_bytes'), 0, 'no memory is held');
is(sql("SELECT count(*) FROM uploads WHERE owner_id = '$anna'"), 0, 'no intent is open');
$nginx->stop;
done_testing();
