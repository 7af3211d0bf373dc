# A client that falls silent is told so after client_body_timeout; one that is merely slow is not

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaNginx;
use MediaUpload;

my $nginx = MediaNginx->start(server => upload_server(body_timeout => '700ms', lines => ['lingering_timeout 200ms;']));
my $bytes = mp4(30_000);
my @chunked = ('a.mp4', undef, 'Transfer-Encoding: chunked');
my @type = 'Content-Type: multipart/form-data; boundary=limit';
my $form = form(part('title', 'x'), part('file', $bytes, 'a.mp4'));

# the request, and how much of it comes
my @cases = (
    ['no byte of the body', put('a.mp4', $bytes), 'body'],
    ['no byte of the body, after 100 Continue', put('a.mp4', $bytes, 'Expect: 100-continue'), 'body'],
    ['a part of the body', put('a.mp4', $bytes), -5000],
    ['all but the last byte', put('a.mp4', $bytes), -1],
    ['no chunk', put(@chunked) . chunked($bytes), 'body'],
    ['a part of a chunk', put(@chunked) . chunked($bytes), 5000],
    ['all but the last chunk', put(@chunked) . chunked($bytes), -5],
    ['no part', post('', $form, @type), 'body'],
    ['the header of a part', post('', $form, @type), -30_100],
    ['a part of the file', post('', $form, @type), -5000],
    ['all but the end of the form', post('', $form, @type), -4],
);
for my $case (@cases) {
    my ($name, $request, $length) = @$case;
    $case->[3] = my $client = $nginx->client;
    $length = index($request, "\r\n\r\n") + 4 if $length eq 'body';
    $client->send(substr $request, 0, $length);
}
for my $case (@cases) {
    my ($name, $request, undef, $client) = @$case;
    is($client->answer->{status}, 100, "$name - 100 Continue") if $request =~ /Expect/;
    my $answer = $client->answer;
    problem($answer, 408, 'request_timeout', $name);
    ok($client->closed, "$name - the connection is closed");
}
is($nginx->metric('uploads_active'), 0, 'no upload is active');
is($nginx->metric('uploads_refused_total'), @cases, 'they are counted as refused');
is(sql("SELECT count(*) FROM uploads WHERE owner_id = '" . user('anna')->{id} . "'"), 0, 'no intent is open');

# longer than the timeout as a whole, never for as long
my $request = put('a.mp4', $bytes);
my @pieces = map { (substr($request, $_ * 3000, 3000), \0.15) } 0 .. length($request) / 3000;
my $began = time;
committed($nginx->ask(@pieces), $bytes, 'a slow client');
cmp_ok(time - $began, '>=', 1, 'it was slow');

$nginx->stop;
done_testing();
