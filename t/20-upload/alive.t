# S3 is away, and back: uploads are refused before their bytes, and let through at once

use lib 't/lib';
use Test::More;
use Time::HiRes qw(time);
use MediaTest;
use MediaNginx;
use MediaS3;
use MediaUpload;

# "dead": connections end; "down": 503 from whatever stands before it; "silent": no answer; "late": the next probe's
# answer takes a second
my $s3 = MediaS3->start(sub {
    my ($self, $request) = @_;
    my $mode = $self->mode;
    $request->reset if $mode eq 'dead';
    sleep 60 if $mode eq 'silent';
    if ($mode eq 'late') {
        $self->mode('good');
        select undef, undef, undef, 1;
    }
    return $request->reply(200, '') if $request->is_probe && $mode ne 'down';
    return $request->error(503, 'ServiceUnavailable', 'Connection: close') && $request->close if $mode eq 'down';
    return $request->error(403, 'AccessDenied') && $request->close if $mode eq 'denied';
    return $request->good;
}, probes => 1);
my %short = (media_s3_connect_timeout => '500ms', media_s3_read_timeout => '1s');
my $bytes = mp4(100_000);

sub probes { return scalar grep { /^HEAD/ } $s3->asked }

# Only the head is sent, with Expect: 100-continue
sub early {
    my ($nginx, $name, $line, @headers) = @_;
    my $client = $nginx->client;
    $client->send(http($line // 'PUT /upload/a.mp4', bearer('anna')
        . join '', map { "$_\n" } @headers ? @headers : 'Content-Length: 100000', 'Expect: 100-continue'));
    my $answer = $client->answer;
    problem($answer, 503, 'storage_unavailable', $name);
    is($answer->{headers}{'retry-after'}, 5, "$name - when to come back");
    return;
}

for my $mode ('dead', 'down') {
    $s3->mode($mode);
    my $nginx = MediaNginx->start(http => media_http(s3 => $s3->url, %short), server => upload_server());
    early($nginx, "$mode from the start");
    early($nginx, "$mode, chunked", 'PUT /upload/a.mp4', 'Transfer-Encoding: chunked');
    early($nginx, "$mode, a form", 'POST /upload', 'Content-Length: 100000', 'Content-Type: multipart/form-data; boundary=limit');
    is(sql("SELECT count(*) FROM uploads WHERE owner_id = '" . user('anna')->{id} . "'"), 0, "$mode - no intent was written");
    $s3->mode('good');
    committed($nginx->ask(put('a.mp4', $bytes)), $bytes, "$mode, then back: at once");
    my $probes = probes();
    committed($nginx->ask(put('a.mp4', $bytes)), $bytes, "$mode, then back: again");
    is(probes(), $probes, "$mode - a healthy S3 is not asked");

    # it goes away: who is under way fails, who comes then is refused early
    $s3->mode($mode);
    is($nginx->ask(put('a.mp4', $bytes))->{status}, 503, "$mode later: seen by the first");
    early($nginx, "$mode later: the next");
    $s3->mode('good');
    committed($nginx->ask(put('a.mp4', undef, 'Transfer-Encoding: chunked') . chunked($bytes)), $bytes, "$mode later, then back: at once");
    $nginx->stop($mode);
}

# one question for all who wait, and a deadline for it
$s3->mode('silent');
my $nginx = MediaNginx->start(http => media_http(s3 => $s3->url, %short, media_s3_read_timeout => '60s'), server => upload_server());
my $probes = probes();
my $began = time;
my @clients = map { my $c = $nginx->client; $c->send(http('PUT /upload/a.mp4', bearer('anna') . "Content-Length: 100000\nExpect: 100-continue\n")); $c } 1 .. 9;
$nginx->await('all wait', sub { $nginx->metric('uploads_active') == 9 });
pop(@clients)->reset;
problem($_->answer, 503, 'storage_unavailable', 'silence') for @clients;
cmp_ok(time - $began, '>=', 2.5, 'silence - they waited for the answer');
cmp_ok(time - $began, '<', 6, 'silence - not for long');
is(probes() - $probes, 1, 'silence - asked once for all');
$s3->mode('late');
@clients = map { my $c = $nginx->client; $c->send(put('a.mp4', $bytes)); $c } 1 .. 5;
committed($_->answer, $bytes, 'a late answer') for @clients;
is($nginx->metric('uploads_active'), 0, 'no upload is active');
is($nginx->metric('uploads_aborted_total'), 1, 'who left while waiting is counted');

# what S3 refuses is no sign of death
$s3->mode('denied');
is($nginx->ask(put('a.mp4', $bytes))->{status}, 503, 'a refusal of S3');
$s3->mode('good');
$probes = probes();
committed($nginx->ask(put('a.mp4', $bytes)), $bytes, 'after a refusal');
is(probes(), $probes, 'after a refusal - S3 was not asked whether it is there');
$nginx->stop('silence');
done_testing();
