# media_auth_require: which claims let through, what a refusal says, inheritance, redirects

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaNginx;
use MediaJwt;

my $secret = 's' x 32;
my $file = write_file(secret => $secret);
my $server = q{
    media_auth on;
    add_header X-Seen "$media_sub" always;
    location /any { empty_gif; }
    location /roles { media_auth_require roles admin operator; empty_gif; }
    location /eq { media_auth_require roles = admin; empty_gif; }
    location /not { media_auth_require roles != guest banned; empty_gif; }
    location /both { media_auth_require roles admin; media_auth_require email_verified true; empty_gif; }
    location /level { media_auth_require level 3 4; empty_gif; }
    location /scope { media_auth_require scope media:write; empty_gif; }
    location /deep { media_auth_require /realm_access/roles op; empty_gif; }
    location /url { media_auth_require https://example.com/tenant t1; empty_gif; }
    location /optional { media_auth optional; media_auth_require roles admin; empty_gif; }
    location /jump { error_page 418 = /eq; if ($arg_x) { return 418; } empty_gif; }
    location /try { try_files /none /roles; }
    location /satisfy { satisfy any; deny all; media_auth_require roles admin; empty_gif; }
    location /nested {
        media_auth_require roles admin;
        location /nested/inherits { empty_gif; }
        location /nested/replaces { media_auth_require level 1; empty_gif; }
        location /nested/off { media_auth off; empty_gif; }
    }
};
my $nginx = MediaNginx->start(http => "media_auth_key HS256 $file;", server => $server);

sub token { return token_by('s', 'HS256', secret => $secret, kid => undef, @_) }

# uri, claims, status
my @cases = (
    ['/any', {}, 200],
    ['/roles', { roles => ['admin'] }, 200],
    ['/roles', { roles => ['user', 'operator'] }, 200],
    ['/roles', { roles => 'admin' }, 200],
    ['/roles', { roles => ['user'] }, 403],
    ['/roles', { roles => ['Admin', 'admin ', ' admin', "admin\0", 'adminoperator', 'admin operator'] }, 401],
    ['/roles', { roles => ['Admin', 'admin ', ' admin', 'adminoperator', 'admin operator'] }, 403],
    ['/roles', { roles => [['admin'], { admin => 'admin' }] }, 403],
    ['/roles', { roles => { admin => 1 } }, 403],
    ['/roles', { roles => [] }, 403],
    ['/roles', { roles => '' }, 403],
    ['/roles', { roles => undef }, 403],
    ['/roles', { Roles => ['admin'], roles => undef }, 403],
    ['/eq', { roles => ['admin'] }, 200],
    ['/eq', { roles => ['='] }, 403],
    ['/not', { roles => ['user'] }, 200],
    ['/not', { roles => undef }, 200],
    ['/not', { roles => ['user', 'banned'] }, 403],
    ['/not', { roles => 'guest' }, 403],
    ['/both', { roles => ['admin'], email_verified => JSON::PP::true() }, 200],
    ['/both', { roles => ['admin'], email_verified => JSON::PP::false() }, 403],
    ['/both', { roles => ['admin'], email_verified => 1 }, 403],
    ['/both', { roles => ['user'], email_verified => JSON::PP::true() }, 403],
    ['/both', { roles => ['admin'] }, 403],
    ['/level', { level => 3 }, 200],
    ['/level', { level => [1, 4] }, 200],
    ['/level', { level => 33 }, 403],
    ['/level', { level => 3.5 }, 403],
    ['/scope', { scope => 'media:read media:write' }, 200],
    ['/scope', { scope => 'media:write' }, 200],
    ['/scope', { scope => ['media:write'] }, 200],
    ['/scope', { scope => 'media:writer xmedia:write' }, 403],
    ['/deep', { realm_access => { roles => ['op'] } }, 200],
    ['/deep', { realm_access => { roles => ['user'] }, roles => ['op'] }, 403],
    ['/deep', { '/realm_access/roles' => 'op' }, 403],
    ['/deep', { realm_access => ['roles', 'op'] }, 403],
    ['/url', { 'https://example.com/tenant' => 't1' }, 200],
    ['/url', { 'https://example.com/tenant' => 't2' }, 403],
    ['/optional', { roles => ['admin'] }, 200],
    ['/optional', { roles => ['user'] }, 403],
    ['/jump?x=1', { roles => ['admin'] }, 200],
    ['/jump?x=1', { roles => ['user'] }, 403],
    ['/try', { roles => ['admin'] }, 200],
    ['/try', { roles => ['user'] }, 403],
    ['/satisfy', { roles => ['admin'] }, 200],
    ['/satisfy', { roles => ['user'] }, 403],
    ['/nested/inherits', { roles => ['user'], level => 1 }, 403],
    ['/nested/inherits', { roles => ['admin'] }, 200],
    ['/nested/replaces', { roles => ['user'], level => 1 }, 200],
    ['/nested/replaces', { roles => ['admin'] }, 403],
);
my $json = JSON::PP->new->canonical;
for my $case (@cases) {
    my ($uri, $claims, $status) = @$case;
    my $name = "$uri " . $json->encode($claims);
    for my $time ('', ', from the cache') {
        my $answer = ask_with($nginx, $uri, token(%$claims));
        is($answer->{status}, $status, "$name$time");
        next if $status != 403 || $uri eq '/satisfy';
        is($answer->{headers}{'www-authenticate'}, 'Bearer realm="ngx_media", error="insufficient_scope"', "$name$time - the challenge");
        is($answer->{json}{code}, 'insufficient_scope', "$name$time - the code");
        unlike($answer->{body}, qr/admin|operator|banned/, "$name$time - tells no rule");
    }
}
is(ask_with($nginx, '/optional')->{status}, 401, 'optional with rules: nobody fulfils none');
is(ask_with($nginx, '/nested/off')->{status}, 200, 'media_auth off: nobody is asked');
is(ask_with($nginx, '/roles')->{status}, 401, 'no token is 401, not 403');
is(ask_with($nginx, '/roles', token(roles => ['admin'], exp => time - 5))->{status}, 401, 'an expired token is 401');
like($nginx->log_text, qr/\[info\] .* claim "roles" is not enough, req=/, 'the log names the claim');
$nginx->stop;

# ---- our own routes ----

my $routes = media_server() =~ s/^/media_auth_require roles uploader;\n/r;
$nginx = MediaNginx->start(server => $routes);
is(ask_with($nginx, '/me', MediaTest::token('anna'))->{status}, 403, 'a route of ours: a role is missing');
is(ask_with($nginx, '/me', MediaTest::token('anna', roles => ['uploader']))->{status}, 200, 'a route of ours: the role is there');
is(ask_with($nginx, '/healthz')->{status}, 200, 'a route without token asks nobody');
my $answer = $nginx->ask(http('PUT /upload/a.mp4', "Authorization: Bearer " . MediaTest::token('anna')
    . "\nContent-Length: 1000\nExpect: 100-continue\nConnection: close\n"));
is($answer->{status}, 403, 'an upload is refused before its first byte');
$nginx->stop('routes');

done_testing();
