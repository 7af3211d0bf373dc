# The same over HTTP/2 (prior knowledge), where a body has no need of a length

use lib 't/lib';
use Test::Nginx::Socket 'no_plan';
use MediaTest;
use JSON::PP ();

our $media = media('anna', outputs => { 'audio.mp3' => ['audio/mpeg', 'mp3 bytes'] });

sub h2 {
    my ($args, $body) = @_;
    my $url = "http://127.0.0.1:$ENV{TEST_NGINX_H2_PORT}";
    my @args = map { s{^\@/}{$url/}r } @$args;
    return MediaTest::run($body // '', qw(curl -sS --http2-prior-knowledge --max-time 10 -w), "\n%{http_code}", @args);
}
sub json { JSON::PP->new->canonical->encode({ email => user('anna')->{email}, password => user('anna')->{password}, @_ }) }

$ENV{TEST_NGINX_H2_PORT} = ($ENV{TEST_NGINX_PORT} // 1984) + 1;
our $http = media_http() . "server { listen 127.0.0.1:$ENV{TEST_NGINX_H2_PORT} http2;\n" . media_server() . "}\n";

# what to send, what to expect of "body\nstatus"
our @cases = (
    ['login', [qw(-H Content-Type:application/json --data-binary @- @/login)], sub { json() }, qr/"access_token".*\n200$/s],
    ['login, length unknown', ['-H', 'Content-Type: application/json', '-H', 'Content-Length:', '-T', '-', '-X', 'POST', '@/login'],
     sub { json() }, qr/"access_token".*\n200$/s],
    ['login, wrong', [qw(-H Content-Type:application/json --data-binary @- @/login)], sub { json(password => 'x') },
     qr/credentials_invalid.*\n401$/s],
    # no body here: curl 7.88 takes the RST_STREAM that follows an early answer for a broken connection now and then
    ['no token', [qw(-X POST @/validate)], sub { '' }, qr/token_missing.*\n401$/s],
    ['me', [map({ ('-H', $_) } bearer('anna') =~ s/\n//r), '@/me'], sub { '' }, qr/"quota".*\n200$/s],
    ['object', [map({ ('-H', $_) } bearer('anna') =~ s/\n//r), '-r', '4-', "\@/media/$media/audio.mp3"], sub { '' },
     qr/^bytes\n206$/],
    ['token', [map({ ('-H', $_) } bearer('anna') =~ s/\n//r), '--data-binary', '@-', "\@/media/$media/token"],
     sub { '{"ttl":5}' }, qr{/play/.*\n201$}s],
);

add_response_body_check(sub {
    my ($block) = @_;
    for my $case (@cases) {
        my ($name, $args, $body, $want) = @$case;
        like(h2($args, $body->()), $want, $block->name . " - $name");
    }
});

run_tests();

__DATA__

=== TEST 1: every kind of request
--- http_config eval: $::http
--- request
GET /healthz
--- error_code: 200
