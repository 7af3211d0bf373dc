# PostgreSQL is away, falls silent, loses the connection or has given the upload up

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaNginx;
use MediaS3;
use MediaUpload;

my $bytes = mp4(40_000);
my %short = (media_pg_connect_timeout => '500ms', media_pg_timeout => '1500ms');

# Only the head is sent, with Expect: 100-continue
sub early {
    my ($nginx, $name) = @_;
    my $client = $nginx->client;
    $client->send(http('PUT /upload/a.mp4', bearer('anna') . "Content-Length: 40000\nExpect: 100-continue\n"));
    my $answer = $client->answer;
    problem($answer, 503, 'database_unavailable', $name);
    is($answer->{headers}{'retry-after'}, 5, "$name - when to come back");
    return;
}

# ---- away ----

my $nginx = MediaNginx->start(http => media_http(pg => 1, %short), server => upload_server());
early($nginx, 'nobody listens');
problem($nginx->ask(put('a.mp4', $bytes)), 503, 'database_unavailable', 'nobody listens, with the body');
cmp_ok($nginx->metric('s3_requests_total'), '<=', 1, 'nothing went to S3 but the question whether it is there');
is($nginx->metric('uploads_active'), 0, 'no upload is active');
$nginx->stop('nobody listens');

my $silent = MediaS3->start(sub { sleep 60 });
$nginx = MediaNginx->start(http => media_http(pg => $silent->{port}, %short), server => upload_server());
early($nginx, 'silence');
$nginx->stop('silence');

# ---- the connection is lost ----

my $anna = user('anna')->{id};
$nginx = MediaNginx->start(http => media_http(media_s3_part_size => '5m', media_memory => '20m'), server => upload_server());

my $hold = hold("SELECT 1 FROM users WHERE id = '$anna' FOR UPDATE");
my $client = $nginx->client;
$client->send(put('a.mp4', $bytes));
my $backend = await_lock($nginx, $hold);
is(gateway_sql("SELECT pg_terminate_backend($backend)"), 't', 'upload_open - its connection is cut');
$hold->release;
problem($client->answer, 503, 'database_unavailable', 'upload_open is lost');

$client = $nginx->client;
($hold, $backend) = held_commit($nginx, $client, put('a.mp4', $bytes, "X-Request-Id: commit-$$"), "commit-$$");
is(gateway_sql("SELECT pg_terminate_backend($backend)"), 't', 'upload_commit - its connection is cut');
$hold->release;
committed($client->answer, $bytes, 'upload_commit is lost: it is said again', row => 1);
is(sql("SELECT count(*) FROM media WHERE request_id = 'commit-$$'"), 1, 'upload_commit is lost: one media');

# ---- the janitor has given it up ----

sub given_up {
    my ($name, $request, $head) = @_;
    my $client = $nginx->client;
    my $id = "dead-$$-" . ++our $n;
    $request =~ s/\r\n/\r\nX-Request-Id: $id\r\n/;
    $client->send(substr $request, 0, $head);
    $nginx->await("$name - the intent", sub { intent($id) =~ /^open/ });
    sql("UPDATE uploads SET heartbeat_at = now() - interval '1h' WHERE request_id = '$id'; SELECT janitor_uploads(60)");
    $client->send(substr $request, $head);
    problem($client->answer, 503, 'upload_lost', $name);
    is(sql("SELECT count(*) FROM media WHERE request_id = '$id'"), 0, "$name - no media");
    return;
}
given_up('given up, one PUT', put('a.mp4', $bytes), 5000);
given_up('given up, before its multipart upload', put('a.mp4', undef, 'Transfer-Encoding: chunked') . chunked(mp4(6_000_000)), 5000);

is($nginx->metric('uploads_active'), 0, 'no upload is active');
is($nginx->metric('memory_bytes'), 0, 'no memory is held');
$nginx->stop;
done_testing();
