# media_auth_source: where a token may stand; one in a query reaches neither logs nor upstreams

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaNginx;
use MediaJwt;

my $secret = 's' x 32;
my $file = write_file(secret => $secret);
my $port = ($ENV{TEST_NGINX_PORT} // 1984) + 1;
my $log = write_file('access.log', '');
my $server = q{
    add_header X-Seen "$media_sub" always;
    add_header X-Args "[$args]" always;
    media_auth on;
    location /default { empty_gif; }
    location /cookie { media_auth_source cookie:session; empty_gif; }
    location /query { media_auth_source query:access_token; empty_gif; }
    location /all { media_auth_source header cookie:session query:access_token query:t; empty_gif; }
    location /both { media_auth_source header query:access_token; proxy_pass http://127.0.0.1:PORT; }
    location /uri/ { media_auth_source query:access_token; proxy_pass http://127.0.0.1:PORT/x/; }
    location /error { media_auth_source query:access_token; proxy_pass http://127.0.0.1:1; }
    location /static { media_auth_source query:access_token; root /nonexistent; }
    location /return { media_auth off; media_auth_source query:access_token; return 200 "args=$args uri=$request_uri"; }
    location /if { media_auth_source query:access_token; if ($arg_access_token) { return 418; } empty_gif; }
    location /redirect { media_auth_source query:access_token; try_files /none /all; }
    location /other { media_auth off; return 200 "args=$args"; }
    location /media_only { media_auth optional; media_auth_source query:access_token; empty_gif; }
} =~ s/PORT/$port/gr . "access_log $log all;";
my $upstream = "server { listen 127.0.0.1:$port; location / { return 200 \"uri=\$request_uri auth=\$http_authorization cookie=\$http_cookie\\n\"; } }";
my $http = "media_auth_key HS256 $file;\n$upstream\n"
    . "log_format all '\$request|\$request_uri|\$uri|\$args|\$query_string|';\n";
my $nginx = MediaNginx->start(http => $http, server => $server);

sub token { return token_by('s', 'HS256', secret => $secret, kid => undef, @_) }
my $token = token();
my $other = token(jti => 'other');

sub ask {
    my ($uri, @headers) = @_;
    return $nginx->ask(http("GET $uri", join '', map { "$_\n" } @headers, 'Connection: close'));
}
my $bearer = "Authorization: Bearer $token";
my $cookie = "Cookie: session=$token";
my $arg = "access_token=$token";

my @cases = (
    ['the header by default', 200, '/default', $bearer],
    ['no cookie by default', 401, '/default', $cookie],
    ['no query by default', 401, "/default?$arg"],
    ['a cookie', 200, '/cookie', $cookie],
    ['a cookie among others', 200, '/cookie', "Cookie: a=1; session=$token; xsession=no"],
    ['a cookie in quotes', 200, '/cookie', qq{Cookie: session="$token"}],
    ['a cookie in a second header', 200, '/cookie', 'Cookie: a=1', $cookie],
    ['another cookie', 401, '/cookie', "Cookie: xsession=$token"],
    ['its name in other letters', 401, '/cookie', "Cookie: Session=$token"],
    ['an empty cookie', 401, '/cookie', 'Cookie: session='],
    ['a header where only the cookie counts', 401, '/cookie', $bearer],
    ['a bad cookie', 401, '/cookie', 'Cookie: session=a.b.c'],
    ['a query', 200, "/query?$arg"],
    ['a query among others', 200, "/query?a=1&$arg&b=2"],
    ['another argument', 401, "/query?xaccess_token=a.b.c"],
    ['an empty argument', 401, '/query?access_token='],
    ['an argument without a value', 401, '/query?access_token'],
    ['a header where only the query counts', 401, '/query', $bearer],
    ['any of several: header', 200, '/all', $bearer],
    ['any of several: cookie', 200, '/all', $cookie],
    ['any of several: query', 200, "/all?$arg"],
    ['any of several: the other query', 200, "/all?t=$token"],
    ['none of several', 401, '/all'],
    ['header and cookie', 400, '/all', $bearer, $cookie],
    ['header and query', 400, "/all?$arg", $bearer],
    ['cookie and query', 400, "/all?$arg", $cookie],
    ['the same argument twice', 400, "/all?$arg&access_token=$other"],
    ['two arguments', 400, "/all?$arg&t=$token"],
    ['the same cookie twice', 400, '/cookie', "Cookie: session=$token; session=$other"],
    ['a bad one beside a good one', 400, '/all?t=x', $bearer],
    ['another scheme is no token', 200, "/all?$arg", 'Authorization: Basic YTpi'],
    ['a source that is not configured does not count', 200, "/default?$arg", $bearer, $cookie],
    ['across a redirect', 200, "/redirect?$arg"],
    ['optional without any', 200, '/media_only'],
    ['optional with a bad one', 401, '/media_only?access_token=x'],
    ['"if" does not see it', 200, "/if?$arg"],
);
for my $case (@cases) {
    my ($name, $status, $uri, @headers) = @$case;
    my $answer = ask($uri, @headers);
    is($answer->{status}, $status, $name);
    if ($status == 400) {
        is($answer->{headers}{'www-authenticate'}, 'Bearer realm="ngx_media", error="invalid_request"', "$name - the challenge");
        is($answer->{json}{code}, 'several_tokens', "$name - the code");
    }
    is($answer->{headers}{'x-seen'}, user('anna')->{id}, "$name - who it is") if $status == 200 && $uri !~ /^.media_only/;
}

# ---- what is left of a query ----

is(ask("/query?a=1&$arg&b=2")->{headers}{'x-args'}, '[a=1&b=2]', 'the other arguments stay');
is(ask("/query?$arg")->{headers}{'x-args'}, '[]', 'nothing else: nothing stays');
is(ask("/query?$arg")->{headers}{'cache-control'}, 'private', 'no shared cache (RFC 6750 2.3)');
is(ask('/default', $bearer)->{headers}{'cache-control'}, undef, 'by header: nothing about caches');
is(ask("/both?a=%2f&$arg&b")->{body}, "uri=/both?a=%2f&b auth= cookie=\n", 'an upstream does not get it, the rest as it came');
is(ask("/both?$arg")->{body}, "uri=/both auth= cookie=\n", 'an upstream: no query left');
is(ask("/uri/y%20z?$arg&c=d")->{body}, "uri=/x/y%20z?c=d auth= cookie=\n", 'an upstream with a URI');
is(ask('/both?q=1', $bearer)->{body}, "uri=/both?q=1 auth=$bearer cookie=\n" =~ s/Authorization: //r, 'a header is passed on as ever');
is(ask("/return?a=1&$arg")->{body}, 'args=a=1 uri=/return?a=1', '"return" does not see it');
is(ask("/other?$arg")->{body}, "args=$arg", 'a location without that source keeps its arguments');

# ---- logs ----

ask("/error?$arg");
ask("/static?a=1&$arg");
ask("/query?access_token=$token.x");
$nginx->stop;
my $logs = $nginx->log_text . MediaNginx::slurp($log);
my ($signature) = $token =~ /([^.]+)\z/;
# where the query is no source, it is anybody's; another token's signature is not looked for
my @lines = grep { /\Q$signature\E/ && !m{\|/(?:default|other)\|} } split /\n/, $logs;
like($logs, qr{"GET /error\?access_token=\* HTTP/1\.1", upstream: "http://127\.0\.0\.1:1/error"}, 'error.log: masked, and not in the upstream');
like($logs, qr{^GET /static\?a=1&access_token=\* HTTP/1\.1\|/static\?a=1\|/static\|a=1\|a=1\|}m, 'access.log: masked');
is(join("\n", @lines), '', 'no log has it');

done_testing();
