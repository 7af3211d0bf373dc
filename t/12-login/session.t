# POST /login/refresh, POST /logout, and what ends logins: seen by every process, every replica, after a reload

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaNginx;
use MediaUpload qw(problem);
use MIME::Base64 qw(encode_base64 decode_base64url);

my $nginx = MediaNginx->start(workers => 2, http => media_http(), server => media_server('location = /pid { return 200 $pid; }'));

sub json_post {
    my ($path, $body, @headers) = @_;
    return http("POST $path", join('', map { "$_\n" } 'Content-Type: application/json', 'Content-Length: ' . length $body, @headers), $body);
}
sub login {
    my ($name, @headers) = @_;
    my $user = user($name);
    my $basic = encode_base64("$user->{email}:$user->{password}", '');
    return $nginx->ask(http('POST /login', join('', map { "$_\n" } "Authorization: Basic $basic", 'Content-Length: 0', @headers)));
}
sub refresh { return $nginx->ask(json_post('/login/refresh', qq({"refresh_token":"$_[0]"}))) }
sub with { return "Authorization: Bearer $_[0]\n" }
sub me { my ($token, $at) = @_; return ($at // $nginx)->ask(http('GET /me', with($token))) }
sub logout { return $nginx->ask(http('POST /logout', with($_[0]) . "Content-Length: 0\n")) }
sub claims { return JSON::PP::decode_json(decode_base64url((split /\./, $_[0])[1])) }

# ---- refresh ----

my $first = login('anna')->{json};
my $answer = refresh($first->{refresh_token});
my $second = $answer->{json};
is($answer->{status}, 200, 'refresh');
is($answer->{headers}{'cache-control'}, 'no-store', 'refresh - is kept nowhere');
is_deeply([sort keys %$second], [qw(access_token expires_in refresh_token token_type)], 'refresh - a pair as from /login');
isnt($second->{refresh_token}, $first->{refresh_token}, 'refresh - another token');
is(claims($second->{access_token})->{sid}, claims($first->{access_token})->{sid}, 'refresh - the same login');
isnt(claims($second->{access_token})->{jti}, claims($first->{access_token})->{jti}, 'refresh - another access token');
is(me($_->{access_token})->{status}, 200, 'refresh - both access tokens live') for $first, $second;

my $third = refresh($second->{refresh_token})->{json};
my $other = login('anna')->{json};
problem(refresh($first->{refresh_token}), 401, 'token_invalid', 'reuse');
problem(refresh($third->{refresh_token}), 401, 'token_invalid', 'reuse - the one that was good is dead, too');
problem(me($_->{access_token}), 401, 'token_invalid', 'reuse - no access token of the login lives') for $first, $second, $third;
is(me($other->{access_token})->{status}, 200, 'reuse - another login of the same user goes on');
is($nginx->metric('refreshes_reused_total'), 1, 'reuse - is counted');
like($nginx->log_text, qr/a refresh token was used twice, its login has ended/, 'reuse - is logged');
unlike($nginx->log_text, qr/\Q$first->{refresh_token}/, 'reuse - without the token');

for my $case (
    ['no JSON', '{"refresh_token"', 400, 'bad_request'], ['nothing in it', '{}', 400, 'bad_request'],
    ['a number', '{"refresh_token":1}', 400, 'bad_request'], ['another member', '{"refresh_token":"x","scope":"y"}', 400, 'unknown_field'],
    ['too short', '{"refresh_token":"abc"}', 401, 'token_invalid'], ['unknown', '{"refresh_token":"' . 'A' x 43 . '"}', 401, 'token_invalid'],
    ['no base64url', '{"refresh_token":"' . '+' x 43 . '"}', 401, 'token_invalid'], ['too large', ' ' x 1025, 413, 'too_large'],
) {
    my ($name, $body, $status, $code) = @$case;
    problem($nginx->ask(json_post('/login/refresh', $body)), $status, $code, "refresh - $name");
}
problem($nginx->ask(http('POST /login/refresh', "Content-Length: 2\n", '{}')), 415, 'type_not_allowed', 'refresh - no type');

sql("UPDATE sessions SET expires_at = now() WHERE family = '" . claims($other->{access_token})->{sid} . "'");
problem(refresh($other->{refresh_token}), 401, 'token_expired', 'refresh - expired');

sql("UPDATE users SET roles = '{user,admin}' WHERE id = '" . user('rosa')->{id} . "'");
my $rosa = login('rosa')->{json};
is_deeply(claims(refresh($rosa->{refresh_token})->{json}{access_token})->{roles}, ['user', 'admin'], 'refresh - roles as they are now');

# ---- the bare token ----

my $before = sql("SELECT count(*) FROM sessions WHERE user_id = '" . user('bert')->{id} . "'");
my $bare = login('bert', 'Accept: text/plain')->{body};
is(me($bare)->{status}, 200, 'bare token - lives');
is(sql("SELECT count(*) FROM sessions WHERE user_id = '" . user('bert')->{id} . "'"), $before, 'bare token - leaves no session');
is(logout($bare)->{status}, 204, 'bare token - can be ended');
problem(me($bare), 401, 'token_invalid', 'bare token - is ended');

# ---- logout, in every process ----

my $gone = login('anna')->{json};
my %of;
for (1 .. 100) {
    my $client = $nginx->client;
    $client->send(http('GET /pid', ''));
    push @{ $of{ $client->answer->{body} } }, $client;
    last if keys %of == 2;
}
my @clients = map { $_->[0] } values %of;
is(scalar @clients, 2, 'logout - a connection to each process');
for my $client (@clients) {
    $client->send(http('GET /me', with($gone->{access_token})));
    is($client->answer->{status}, 200, 'logout - the token lives in each');
}
$answer = logout($gone->{access_token});
is($answer->{status}, 204, 'logout');
is($answer->{body}, '', 'logout - nothing to say');
for my $client (@clients) {
    $client->send(http('GET /me', with($gone->{access_token})));
    $answer = $client->answer;
    problem($answer, 401, 'token_invalid', 'logout - the token is refused by each');
    like($answer->{headers}{'www-authenticate'}, qr/error="invalid_token"/, 'logout - as RFC 6750 says');
}
problem(refresh($gone->{refresh_token}), 401, 'token_invalid', 'logout - its refresh token is dead');
problem(logout($gone->{access_token}), 401, 'token_invalid', 'logout - twice');
problem($nginx->ask(http('POST /logout', "Content-Length: 0\n")), 401, 'token_missing', 'logout - without a token');
problem(logout(token('anna')), 409, 'conflict', 'logout - a token of no login here');
problem($nginx->ask(http('GET /logout', with($bare))), 401, 'token_invalid', 'logout - the token comes before the method');

# ---- an operator, a replica, a reload ----

my $replica = do { local $ENV{TEST_NGINX_PORT} = $ENV{TEST_NGINX_PORT} + 5; MediaNginx->start(http => media_http()) };
my %ends = (
    'logout at another replica' => sub { logout($_[1]{access_token}) },
    'a new password' => sub { MediaTest::run("new $$\n", qw(mediactl user passwd), $_[0]{email}, '--password-stdin') },
    'disabling' => sub { MediaTest::run('', qw(mediactl user disable), $_[0]{email}) },
    'a role less' => sub { sql("UPDATE users SET roles = '{viewer}' WHERE id = '$_[0]{id}'") },
    'deletion' => sub { sql("DELETE FROM users WHERE id = '$_[0]{id}'") },
);
my @tokens;
for my $what (sort keys %ends) {
    my $name = 'end-' . $what =~ s/\W/-/gr;
    my $pair = login($name)->{json};
    is($replica->ask(http('POST /validate', with($pair->{access_token}) . "Content-Length: 0\n"))->{status}, 200, "$what - before");
    $ends{$what}->(user($name), $pair);
    for my $at ($nginx, $replica) {
        ok(eval { $at->await('it', sub {
            $at->ask(http('POST /validate', with($pair->{access_token}) . "Content-Length: 0\n"))->{status} == 401 }, 5) }, "$what - ends its tokens");
    }
    problem(refresh($pair->{refresh_token}), 401, 'token_invalid', "$what - and the refresh token");
    push @tokens, $pair->{access_token};
}
my @old = $replica->workers;
$replica->kill('HUP');
$replica->await('other workers', sub { my %new = map { $_ => 1 } $replica->workers; %new && !grep { $new{$_} } @old });
problem($replica->ask(http('POST /validate', with($_) . "Content-Length: 0\n")), 401, 'token_invalid', 'reload - what has ended stays it') for @tokens;
$replica->stop('replica');

# ---- playback tokens ----

my $media = media('anna', outputs => { 'audio.mp3' => ['audio/mpeg', 'mp3 bytes'] });
my $login = login('anna')->{json};
my $href = $nginx->ask(http("POST /media/$media/token", with($login->{access_token}) . "Content-Length: 0\n"))->{json}{href};
is($nginx->ask(http("GET ${href}audio.mp3", ''))->{status}, 200, 'a playback token');
logout($login->{access_token});
is($nginx->ask(http("GET ${href}audio.mp3", ''))->{status}, 404, 'a playback token - ends with its login');
$nginx->stop('sessions');

# ---- the list is not known ----

$nginx = MediaNginx->start(http => media_http(pg => 1),
    server => media_server('location = /guarded { media_auth on; empty_gif; }', 'location = /maybe { media_auth optional; empty_gif; }'));
my $began = time;
for my $path ('/me', '/guarded', '/maybe') {
    $answer = $nginx->ask(http("GET $path", with(token('anna'))));
    problem($answer, 503, 'database_unavailable', "not known yet - $path");
    ok($answer->{headers}{'retry-after'}, "not known yet - $path says when to come back");
}
cmp_ok(time - $began, '<', 15, 'not known yet - nobody waits for long');
is($nginx->ask(http('GET /maybe', ''))->{status}, 200, 'not known yet - without a token nothing is asked');
problem($nginx->ask(http('GET /guarded', with('x'))), 401, 'token_invalid', 'not known yet - a bad token is none anyway');
my $leaver = $nginx->client;
$leaver->send(http('GET /me', with(token('anna'))));
$leaver->reset;
is($nginx->ask(http('GET /healthz', ''))->{status}, 200, 'not known yet - who leaves while waiting is forgotten');
is(scalar(() = $nginx->log_text =~ /statement=REVOCATIONS/g), 1, 'not known yet - is logged once');
$nginx->stop('not known');

done_testing;
