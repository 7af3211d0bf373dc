# PATCH and DELETE /media/{id}, POST /media/{id}/cancel, /retry and /jobs

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaNginx;
use MediaUpload qw(problem);

# a step no worker can do: its job stays queued
sql(<<'SQL');
INSERT INTO pipelines VALUES ('test-edit', 'for tests', '{nobody}') ON CONFLICT DO NOTHING;
INSERT INTO pipeline_steps (pipeline, step, queue, params_schema)
VALUES ('test-edit', 'nobody', 'short', '{"level": {"type": "integer", "min": 1, "max": 9}}') ON CONFLICT DO NOTHING;
SQL
my $nginx = MediaNginx->start(http => media_http());

sub ask {
    my ($line, $body, $who) = @_;
    my $headers = bearer($who // 'anna') . 'Content-Length: ' . length($body // '') . "\n";
    return $nginx->ask(http($line, $headers . (defined $body ? "Content-Type: application/json\n" : ''), $body));
}
sub of { return join ' ', map { $_ // 'null' } @{ $_[0]{json} }{ @_[1 .. $#_] } }

# ---- patch ----

my $film = media('anna', name => 'clip.mp4', duration => 5, outputs => { 'audio.mp3' => ['audio/mpeg', 'mp3 bytes'] });
my $answer = ask("PATCH /media/$film", qq({"title":"J\xc3\xbcrgens Fest"}));
is($answer->{status}, 200, 'patch');
is(of($answer, 'id', 'title', 'visibility'), "$film J\x{fc}rgens Fest private", 'patch - answers the resource');
is($answer->{headers}{'cache-control'}, 'no-store', 'patch - is kept nowhere');
is(of(ask("GET /media/$film"), 'title'), "J\x{fc}rgens Fest", 'patch - stays');
is(of(ask("PATCH /media/$film", '{"title":null}'), 'title'), 'null', 'patch - no title');
is(of(ask("PATCH /media/$film", '{}'), 'title', 'visibility'), 'null private', 'patch - nothing');
my $href = ask("POST /media/$film/token")->{json}{href};
is($nginx->ask(http("GET ${href}audio.mp3", ''))->{status}, 200, 'a playback token');
is(of(ask("PATCH /media/$film", '{"title":"T","visibility":"unlisted"}'), 'title', 'visibility'), 'T unlisted', 'patch - both');
is($nginx->ask(http("GET ${href}audio.mp3", ''))->{status}, 404, 'patch - visibility ends playback tokens');
for my $case (
    ['{"title"', 400, 'bad_request', qr/./], ['[]', 400, 'bad_request', qr/./], ['{"title":1}', 400, 'bad_request', qr/title/],
    ['{"name":"x"}', 400, 'unknown_field', qr/name/], ['{"title":"a","title":"b"}', 400, 'bad_request', qr/./],
    ['{"visibility":"secret"}', 400, 'bad_request', qr/visibility.*private, unlisted or public/],
    ['{"visibility":null}', 400, 'bad_request', qr/visibility/],
    ['{"title":"' . 'x' x 4097 . '"}', 400, 'bad_request', qr/title/], ['{"title":"' . 'x' x 40_000 . '"}', 413, 'too_large', qr/./],
) {
    my ($body, $status, $code, $detail) = @$case;
    $answer = ask("PATCH /media/$film", $body);
    my $name = 'patch ' . substr $body, 0, 40;
    problem($answer, $status, $code, $name);
    like($answer->{json}{detail}, $detail, "$name - says why");
}
problem($nginx->ask(http("PATCH /media/$film", bearer('anna') . "Content-Length: 2\n", '{}')), 415, 'type_not_allowed', 'patch - no type');
is(of(ask("GET /media/$film"), 'title', 'visibility'), 'T unlisted', 'patch - what is refused changes nothing');

# ---- stop, again, anew ----

$answer = ask("POST /media/$film/jobs", '{"pipeline":"test-edit","params":{"level":3}}');
is($answer->{status}, 200, 'jobs');
is(of($answer, 'state', 'pipeline', 'progress'), 'processing test-edit 0', 'jobs - it is at work');
is(join(' ', map { "$_->{step} $_->{state}" } @{ $answer->{json}{jobs} }), 'nobody queued', 'jobs - the new run');
is(join(' ', map { $_->{name} } @{ $answer->{json}{outputs} }), 'audio.mp3', 'jobs - what there is stays');
is(sql("SELECT params FROM jobs WHERE media_id = '$film' AND step = 'nobody'"), '{"level": 3}', 'jobs - with its params');
problem(ask("POST /media/$film/jobs", '{"pipeline":"test-edit"}'), 409, 'conflict', 'jobs - one run at a time');
problem(ask("POST /media/$film/retry"), 409, 'conflict', 'retry - while it is at work');
$nginx->await('published', sub { sql("SELECT count(*) FROM outbox o JOIN jobs j ON j.id = o.job_id WHERE j.media_id = '$film'") == 0 });
pass('jobs - RabbitMQ has confirmed its message');
$answer = ask("POST /media/$film/cancel");
is($answer->{status}, 200, 'cancel');
is(of($answer, 'state'), 'canceled', 'cancel - it is');
problem(ask("POST /media/$film/cancel"), 409, 'conflict', 'cancel - twice');
$answer = ask("POST /media/$film/retry");
is($answer->{status} . ' ' . of($answer, 'state') . " $answer->{json}{jobs}[0]{state}", '200 processing queued', 'retry - of what was stopped');
ask("POST /media/$film/cancel");
for my $case (
    ['{"pipeline":"none"}', 422, 'pipeline_unknown'], ['{"pipeline":"test-edit","params":{"level":10}}', 422, 'params_invalid'],
    ['{"pipeline":"test-edit","params":[]}', 400, 'bad_request'], ['{"params":{}}', 400, 'bad_request'],
    ['{"pipeline":"test-edit","step":"x"}', 400, 'unknown_field'],
) {
    problem(ask("POST /media/$film/jobs", $case->[0]), @$case[1, 2], "jobs $case->[0]");
}
is(ask("POST /media/$film/jobs", '{"pipeline":"test-edit"}')->{status}, 200, 'jobs - after all that');

# ---- whose ----

my @lines = ("PATCH /media/ID", "DELETE /media/ID", "POST /media/ID/cancel", "POST /media/ID/retry", "POST /media/ID/jobs");
my %body = (PATCH => '{"title":"stolen"}', jobs => '{"pipeline":"test-edit"}');
my $revision = sql("SELECT revision FROM media WHERE id = '$film'");
for my $line (@lines) {
    my ($body) = map { $body{$_} } grep { $line =~ /$_/ } keys %body;
    problem(ask($line =~ s/ID/$film/r, $body, 'bob'), 404, 'not_found', "$line of somebody else");
    problem(ask($line =~ s/ID/00000000-0000-7000-8000-000000000000/r, $body), 404, 'not_found', "$line of none");
    problem(ask($line =~ s/ID/no-id/r, $body), 404, 'not_found', "$line of no id");
    problem($nginx->ask(http($line =~ s/ID/$film/r, "Content-Length: 0\n")), 401, 'token_missing', "$line without a token");
    my $viewer = bearer('anna', roles => ['viewer']) . "Content-Type: application/json\nContent-Length: " . length($body // '') . "\n";
    $answer = $nginx->ask(http($line =~ s/ID/$film/r, $viewer, $body));
    problem($answer, 403, 'insufficient_scope', "$line as a viewer");
    is($answer->{headers}{'www-authenticate'}, 'Bearer realm="ngx_media", error="insufficient_scope"', "$line - as RFC 6750 says");
}
is(sql("SELECT revision FROM media WHERE id = '$film'"), $revision, 'and nothing has happened');

# ---- delete ----

$answer = ask("DELETE /media/$film");
is($answer->{status} . $answer->{body}, '204', 'delete');
problem(ask($_), 404, 'not_found', "delete - $_") for "DELETE /media/$film", "GET /media/$film", "GET /media/$film/original", "GET /download?fid=$film";
is(sql("SELECT count(*) FROM objects WHERE media_id = '$film' AND state <> 'doomed'"), 0, 'delete - its objects go');

# ---- roles and methods ----

my %reads = ('GET /me' => 200, 'GET /media' => 200, 'POST /validate' => 200, 'PUT /upload/a.mp4' => 403, 'POST /upload' => 403);
for my $line (sort keys %reads) {
    is($nginx->ask(http($line, bearer('vera', roles => ['viewer']) . "Content-Length: 0\n"))->{status}, $reads{$line}, "a viewer's $line");
}
is(ask('POST /upload', undef, 'anna')->{status}, 415, 'a user may') || diag($answer->{body});
is($nginx->ask(http('POST /upload', bearer('anna', roles => [$_]) . "Content-Length: 0\n"))->{status}, $_ eq 'admin' ? 415 : 403, "role $_")
    for 'admin', 'users';
my %allow = (
    'PUT /media/x' => 'GET, HEAD, PATCH, DELETE', 'DELETE /media' => 'GET, HEAD', 'GET /media/x/cancel' => 'POST',
    'GET /login/refresh' => 'POST', 'GET /upload/x' => 'PUT', 'POST /media/x/original' => 'GET, HEAD', 'DELETE /logout' => 'POST',
);
for my $line (sort keys %allow) {
    $answer = ask($line);
    is("$answer->{status} " . ($answer->{headers}{allow} // ''), "405 $allow{$line}", "$line - what is allowed");
}
$nginx->stop;
sql("DELETE FROM media WHERE pipeline = 'test-edit'");

done_testing;
