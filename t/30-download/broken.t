# S3 breaks, lies or loses the object: before the first byte the client hears one of our problems; later the
# connection is closed, and what came until then is the beginning of the object and nothing else

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaNginx;
use MediaStore;

my $SLICE = 64 << 10;
my $SIZE = 4 * $SLICE + 100;
my $ETAG = '"' . MediaStore->etag . '"';

# A slice that begins as asked for; without a range, the object
sub part {
    my ($request, $range, $length, @headers) = @_;
    my @head = defined $request->{headers}{range} ? ('206 X', "Content-Range: $range", "Content-Length: $length")
        : ('200 X', "Content-Length: $SIZE");
    $request->say(join "\r\n", "HTTP/1.1 $head[0]", @head[1 .. $#head], @headers, '', '');
    return;
}

# The right head, some bytes and then
sub begun {
    my ($request, $at) = @_;
    part($request, "bytes $at-" . ($at + $SLICE - 1) . "/$SIZE", $SLICE, "ETag: $ETAG");
    $request->say(MediaStore->content($at, 10_000));
    return;
}

# What S3 does with a request for the slice from $at on: the name says what; then what the client gets when it
# is the first slice
my @scripts = (
    ['404', 503, sub { $_[0]->error(404, 'NoSuchKey') }],
    ['404 of the bucket', 503, sub { $_[0]->error(404, 'NoSuchBucket') }],
    ['404 of a version', 503, sub { $_[0]->error(404, 'NoSuchVersion') }],
    ['404 of a delete marker', 503, sub { $_[0]->error(404, 'NoSuchKey', 'x-amz-delete-marker: true', 'Cache-Control: max-age=600') }],
    ['404 without a body', 503, sub { $_[0]->reply(404, '') }],
    ['403', 503, sub { $_[0]->error(403, 'AccessDenied') }],
    ['400', 503, sub { $_[0]->error(400, 'ExpiredToken') }],
    ['410', 503, sub { $_[0]->error(410, 'Gone') }],
    ['412', 503, sub { $_[0]->error(412, 'PreconditionFailed') }],
    ['416', 503, sub { $_[0]->error(416, 'InvalidRange') }],
    ['429', 503, sub { $_[0]->error(429, 'SlowDown') }],
    ['500', 503, sub { $_[0]->error(500, 'InternalError') }],
    ['503', 503, sub { $_[0]->error(503, 'SlowDown') }],
    ['a redirect', 503, sub { $_[0]->reply(307, '', 'Location: http://127.0.0.1:1/') }],
    ['204', 503, sub { $_[0]->say("HTTP/1.1 204 X\r\n\r\n") }],
    ['garbage', 503, sub { $_[0]->say("\0\1garbage\r\n\r\n"); $_[0]->close }],
    ['RST at once', 503, sub { $_[0]->reset }],
    ['FIN at once', 503, sub { $_[0]->close }],
    ['another object', 503, sub { my ($r, $at) = @_; part($r, "bytes $at-" . ($at + $SLICE - 1) . "/$SIZE", $SLICE, 'ETag: "other"'); $r->say('x' x $SLICE) }],
    ['another weak object', 503, sub { my ($r, $at) = @_; part($r, "bytes $at-" . ($at + $SLICE - 1) . "/$SIZE", $SLICE, "ETag: W/$ETAG"); $r->say('x' x $SLICE) }],
    ['an object that has grown', 503, sub { my ($r, $at) = @_; part($r, "bytes $at-" . ($at + $SLICE - 1) . '/' . ($SIZE + 1), $SLICE, "ETag: $ETAG"); $r->say('x' x $SLICE) }],
    ['a whole other object', 503, sub { $_[0]->reply(200, 'x' x ($SIZE + 1), "ETag: $ETAG") }],
    ['another slice', 503, sub { my ($r, $at) = @_; $at += $SLICE; part($r, "bytes $at-" . ($at + $SLICE - 1) . "/$SIZE", $SLICE, "ETag: $ETAG"); $r->say('x' x $SLICE) }],
    ['no Content-Range', 503, sub { $_[0]->say("HTTP/1.1 206 X\r\nETag: $ETAG\r\nContent-Length: 3\r\n\r\nxxx") }],
    ['an impossible Content-Range', 503, sub { part($_[0], "bytes 9-8/$SIZE", 0, "ETag: $ETAG") }],
    ['a Content-Range of unknown length', 503, sub { my ($r, $at) = @_; part($r, "bytes $at-" . ($at + $SLICE - 1) . '/*', $SLICE, "ETag: $ETAG"); $r->say('x' x $SLICE) }],
    ['fewer bytes than the Content-Range has', 503, sub { my ($r, $at) = @_; part($r, "bytes $at-" . ($at + $SLICE - 1) . "/$SIZE", 10, "ETag: $ETAG"); $r->say('x' x 10) }],
    ['FIN in mid-body', 200, sub { begun(@_); $_[0]->close }],
    ['RST in mid-body', 200, sub { begun(@_); select undef, undef, undef, 0.1; $_[0]->reset }],
    ['silence in mid-body', 200, sub { begun(@_); sleep 9 }],
);
my %script = map { $_->[0] => $_->[2] } @scripts;

my $store = MediaStore->new(before => sub {
    my ($s3, $request, $at) = @_;
    my ($where, $name) = split /:/, $s3->mode, 2;
    my $script = $script{ $name // '' };
    return 0 if !$script || ($where eq 'later') != ($at >= 2 * $SLICE);
    $script->($request, $at);
    return 1;
});

sub get {
    my ($nginx, $media, @headers) = @_;
    my $client = $nginx->client;
    $client->send(http("GET /media/$media/original", bearer('anna') . join '', map { "$_\n" } @headers));
    return ($client, $client->answer);
}

# A problem and nothing of S3's
sub problem_is {
    my ($answer, $name) = @_;
    is("$answer->{status} $answer->{json}{code}", '503 storage_unavailable', "$name: 503");
    unlike("$answer->{head}\n$answer->{body}", qr/secret|NoSuchKey|x-amz|<|ETag/i, "$name: nothing of S3's");
    is("$answer->{headers}{'retry-after'} $answer->{headers}{'cache-control'}", '5 no-store', "$name: Retry-After");
    return;
}

# The beginning of the object, and the end of the connection
sub beginning_is {
    my ($client, $answer, $name) = @_;
    is($answer->{status}, 200, "$name: had begun as 200");
    my $length = length $answer->{body};
    ok($length < $SIZE && $answer->{body} eq $store->content(0, $length), "$name: only bytes of the object, $length");
    ok($client->closed, "$name: the connection is closed");
    return;
}

sub suite {
    my ($what, %conf) = @_;
    my $nginx = MediaNginx->start(%conf);
    for (@scripts) {
        my ($name, $status) = @$_;
        my $media = $store->media($SIZE);
        my $failures = $nginx->metric('s3_errors_total');
        $store->mode("first:$name");
        my ($client, $answer) = get($nginx, $media);
        if ($status == 200) {
            beginning_is($client, $answer, "$what, at first $name");
        } else {
            problem_is($answer, "$what, at first $name");
            is($nginx->metric('s3_errors_total'), ++$failures, "$what, at first $name: counted once");
        }
        if ($what =~ /slices/) {
            $store->mode("later:$name");
            ($client, $answer) = get($nginx, $media);
            beginning_is($client, $answer, "$what, later $name");
            $failures++ if $name ne 'another slice';    # nginx's slice module sees that itself
            is($nginx->metric('s3_errors_total'), $failures, "$what, later $name: counted once");
        }
        $store->mode('');
        ($client, $answer) = get($nginx, $media);
        ok($answer->{body} eq $store->content(0, $SIZE), "$what, after $name: all is well");
    }
    $nginx->stop("nginx with $what");
    return;
}

# HTTP/2: the stream is reset instead
sub h2_suite {
    my $port = 1 + ($ENV{TEST_NGINX_PORT} // 1984);
    my $nginx = MediaNginx->start(http => media_http(s3 => $store->url), server => media_routes(slice => '64k') . "listen 127.0.0.1:$port http2;");
    for my $name ('404', 'another object', 'FIN in mid-body') {
        my $media = $store->media($SIZE);
        my $token = MediaTest::token('anna');
        $store->mode("later:$name");
        my $code = system "curl -s --http2-prior-knowledge -o $nginx->{dir}/h2 -H 'Authorization: Bearer $token' http://127.0.0.1:$port/media/$media/original";
        my $bytes = MediaNginx::slurp("$nginx->{dir}/h2");
        isnt($code, 0, "HTTP/2, later $name: no end of the stream");
        ok(length $bytes < $SIZE && $bytes eq $store->content(0, length $bytes), "HTTP/2, later $name: only bytes of the object");
    }
    $nginx->stop('nginx with HTTP/2');
    return;
}

my %short = (proxy_read_timeout => '600ms');
my $http = media_http(s3 => $store->url);
h2_suite();
suite('cached slices', http => $http, server => media_routes(%short, slice => '64k'));
suite('slices', http => $http, server => media_routes(%short, slice => '64k', proxy_cache => 'off'));
@scripts = grep { $_->[0] !~ /slice|Content-Range|grown|another (?:weak )?object/ } @scripts;
suite('neither', http => media_http(s3 => $store->url, cache => 'off'), server => media_routes(%short));
done_testing();
