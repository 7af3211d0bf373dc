# S3 fails while parts are held in memory: what can be sent again is, what cannot ends the upload, and a
# Complete whose fate is unknown is looked up before it is repeated

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaNginx;
use MediaS3;
use MediaUpload;

my $small = mp4(200_000);
my $large = mp4(11_000_000);        # three parts

# By name: the file, whether it succeeds, and what S3 does to the nth request of a kind ("create", "put", "part2",
# "complete", "head"); a kind that is not named does well. 1 ends the script: it goes on as if nothing was said.
my %case = (
    'PUT: 503 twice' => [$small, 1, put => sub { return $_[1] > 2 || drained($_[0])->error(503, 'SlowDown') && 0 }],
    'PUT: a lost connection' => [$small, 1, put => sub { return $_[1] > 1 || $_[0]->reset }],
    'PUT: no ETag, once' => [$small, 1, put => sub { return $_[1] > 1 || drained($_[0])->reply(200, '') && 0 }],
    'PUT: half an answer' => [$small, 1, put => sub { return $_[1] > 1 || drained($_[0])->say("HTTP/1.1 200 OK\r\nE") && $_[0]->close }],
    'PUT: 403' => [$small, 0, put => sub { drained($_[0])->error(403, 'AccessDenied'); return 0 }],
    'PUT: no such bucket' => [$small, 0, put => sub { drained($_[0])->error(404, 'NoSuchBucket'); return 0 }],
    'PUT: 503 for ever' => [$small, 0, put => sub { drained($_[0])->error(503, 'SlowDown'); return 0 }],
    'PUT: storage full, for ever' => [$small, 0, put => sub { drained($_[0])->error(500, 'XMinioStorageFull'); return 0 }],
    'PUT: 503 for a second' => [$small, 1, put => sub { return $_[1] > 1 || drained($_[0])->error(503, 'SlowDown', 'Retry-After: 1') && 0 }],
    'PUT: 503 for two minutes' => [$small, 0, put => sub { drained($_[0])->error(503, 'SlowDown', 'Retry-After: 120'); return 0 }],
    'PUT: other bytes, once' => [$small, 1, put => sub { return $_[1] > 1 || other_bytes($_[0]) }],
    'Create: 500, once' => [$large, 1, create => sub { return $_[1] > 1 || drained($_[0])->error(500, 'InternalError') && 0 }],
    'Create: 503, once' => [$large, 1, create => sub { return $_[1] > 1 || drained($_[0])->error(503, 'SlowDown') && 0 }],
    'Create: RST, twice' => [$large, 1, create => sub { return $_[1] > 2 || drained($_[0])->reset }],
    'Create: 403' => [$large, 0, create => sub { drained($_[0])->error(403, 'AccessDenied'); return 0 }],
    'Create: no such bucket' => [$large, 0, create => sub { drained($_[0])->error(404, 'NoSuchBucket'); return 0 }],
    'Create: 500' => [$large, 0, create => sub { drained($_[0])->error(500, 'InternalError'); return 0 }],
    'Create: 200 with an error' => [$large, 0, create => sub { drained($_[0])->error(200, 'InternalError'); return 0 }],
    'Create: 200 with garbage' => [$large, 0, create => sub { drained($_[0])->reply(200, '<html>hello</html>'); return 0 }],
    'Create: 200 without an id' => [$large, 0, create => sub {
        drained($_[0])->reply(200, '<InitiateMultipartUploadResult><UploadId></UploadId></InitiateMultipartUploadResult>');
        return 0;
    }],
    'part: 503 once' => [$large, 1, part2 => sub { return $_[1] > 1 || drained($_[0])->error(503, 'SlowDown') && 0 }],
    'part: RST in mid-body, once' => [$large, 1, part1 => sub { return $_[1] > 1 || ($_[0]->take(1_000_000), $_[0]->reset) }],
    'part: other bytes, once' => [$large, 1, part2 => sub { return $_[1] > 1 || other_bytes($_[0]) }],
    'part: no such upload' => [$large, 0, part2 => sub { drained($_[0])->error(404, 'NoSuchUpload'); return 0 }],
    'part: storage full' => [$large, 0, part1 => sub { drained($_[0])->error(507, 'InsufficientStorage'); return 0 }],
    'Complete: 200 with an error, once' => [$large, 1,
        complete => sub { return $_[1] > 1 || drained($_[0])->error(200, 'InternalError') && 0 },
        head => sub { $_[0]->reply(404, ''); return 0 }],
    'Complete: 200 with an error for ever' => [$large, 0,
        complete => sub { drained($_[0])->error(200, 'InternalError'); return 0 },
        head => sub { $_[0]->reply(404, ''); return 0 }],
    'Complete: 200 with an error that stays' => [$large, 0,
        complete => sub { drained($_[0])->error(200, 'InvalidPart'); return 0 }],
    'Complete: 200 with an error behind blanks' => [$large, 1,
        complete => sub {
            return 1 if $_[1] > 1;
            drained($_[0])->reply(200, ' ' x 100 . "\n<?xml version=\"1.0\"?><Error><Code>SlowDown</Code></Error>");
            return 0;
        },
        head => sub { $_[0]->reply(404, ''); return 0 }],
    'Complete: an ETag of two lines, once' => [$large, 1,
        complete => sub {
            return 1 if $_[1] > 1;
            drained($_[0])->reply(200, '<CompleteMultipartUploadResult><ETag>a&#10;b: c</ETag></CompleteMultipartUploadResult>');
            return 0;
        },
        head => sub { $_[0]->reply(404, ''); return 0 }],
    'Complete: it worked, the answer is lost' => [$large, 1,
        complete => sub { drained($_[0])->reset },
        head => sub { $_[0]->say("HTTP/1.1 200 OK\r\nContent-Length: 11000000\r\nETag: \"0123-3\"\r\n\r\n"); return 0 }],
    'Complete: it worked, but once more finds no upload' => [$large, 1,
        complete => sub { drained($_[0])->error(404, 'NoSuchUpload'); return 0 },
        head => sub { $_[0]->say("HTTP/1.1 200 OK\r\nContent-Length: 11000000\r\nETag: \"0123-3\"\r\n\r\n"); return 0 }],
    'Complete: the object there is another one' => [$large, 1,
        complete => sub { return $_[1] > 1 || drained($_[0])->reset },
        head => sub { $_[0]->say("HTTP/1.1 200 OK\r\nContent-Length: 10999999\r\nETag: \"0123-3\"\r\n\r\n"); return 0 }],
    'Complete: no such upload, no object' => [$large, 0,
        complete => sub { drained($_[0])->error(404, 'NoSuchUpload'); return 0 },
        head => sub { $_[0]->reply(404, ''); return 0 }],
    'Complete: 403' => [$large, 0, complete => sub { drained($_[0])->error(403, 'AccessDenied'); return 0 }],
);

# S3 says that it stored something else
sub other_bytes {
    drained($_[0])->reply(200, '', 'ETag: "a"', 'x-amz-checksum-sha256: ' . 'A' x 43 . '=');
    return 0;
}

sub drained { my ($request) = @_; $request->body; return $request }

# An object keeps the case it was first asked for under
my $s3 = MediaS3->start(sub {
    my ($self, $request) = @_;
    my ($id) = $request->{target} =~ m{/media/([0-9a-f-]{36})/} or return $request->reply(404, '');
    my $kind = $request->is_create ? 'create' : $request->is_complete ? 'complete' : $request->{method} eq 'HEAD' ? 'head'
        : $request->{target} =~ /partNumber=(\d+)/ ? "part$1" : 'put';
    my $file = "$self->{dir}/$id";
    MediaNginx::spew($file, $self->mode) if !-e $file;
    my (undef, undef, %does) = @{ $case{ MediaNginx::slurp($file) } };
    open my $count, '>>', "$file-$kind" or die $!;
    syswrite $count, '.';
    close $count;
    $request->good("id-of-$id") if !$does{$kind} || $does{$kind}->($request, -s "$file-$kind");
    return;
});

my $nginx = MediaNginx->start(
    http => media_http(s3 => $s3->url, media_s3_part_size => '5m', media_memory => '400m', media_s3_read_timeout => '20s'),
    server => upload_server(body_timeout => '60s'));

sub ids { my %seen = map { m{/media/([0-9a-f-]{36})/} ? ($1 => 1) : () } $s3->asked; return keys %seen }

my (%client, %id);
for my $name (sort keys %case) {
    $s3->mode($name);
    $client{$name} = $nginx->client;
    $client{$name}->send(put('a.mp4', undef, 'Transfer-Encoding: chunked', 'X-Request-Id: ' . keys(%client) . "-$$")
        . chunked($case{$name}[0]));
    $nginx->await("$name begins", sub { ids() == keys %client });
    my %known = map { $_ => 1 } values %id;
    ($id{$name}) = grep { !$known{$_} } ids();
}

for my $name (sort keys %case) {
    my ($bytes, $good) = @{ $case{$name} };
    my $answer = $client{$name}->answer;
    if ($good) {
        is(committed($answer, $bytes, $name), $id{$name}, "$name - the object that was stored");
        next;
    }
    problem($answer, $name =~ /storage full/ ? (507, 'storage_full') : (503, 'storage_unavailable'), $name);
    unlike($answer->{body}, qr/secret|</, "$name - nothing of S3's in it");
    is($answer->{headers}{'retry-after'}, 120, "$name - S3's own time") if $name =~ /two minutes/;
}

my %asked;
$asked{$_}++ for $s3->asked;
sub times_asked {
    my ($name, $pattern) = @_;
    my $n = 0;
    $n += $asked{$_} for grep { /\Q$id{$name}\E/ && $_ =~ $pattern } keys %asked;
    return $n;
}
is(times_asked('PUT: 403', qr/^PUT/), 1, 'what will not get better is not tried again');
is(times_asked('PUT: 503 for ever', qr/^PUT/), 6, 'what might is tried six times');
is(times_asked('part: 503 once', qr/^PUT .*partNumber=1&/), 1, 'a part that is stored is not sent again');
is(times_asked('part: 503 once', qr/^PUT .*partNumber=2&/), 2, 'a part that is not, is');
is(times_asked('Complete: it worked, the answer is lost', qr/^HEAD/), 1, 'what may have worked is looked up once');
is(times_asked('Complete: no such upload, no object', qr/^POST .*uploadId=/), 6, 'a Complete is tried six times');
is(times_asked('Complete: 403', qr/^HEAD/), 0, 'a refused Complete is not looked up');
is(times_asked('PUT: 503 for two minutes', qr/^PUT/), 1, 'what shall not be tried again for long is not');
is(times_asked('Create: 500', qr/^POST/), 6, 'a Create is tried six times');
is(times_asked('Create: 403', qr/^POST/), 1, 'a refused Create is not');

# of a Create whose fate is unknown S3 may list an upload that nobody knows: the row says so, for the janitor
my %strays = map { $_ => 1 } split /\n/, sql('SELECT media_id FROM objects WHERE strays_at IS NOT NULL AND media_id IN ('
    . join(',', map { "'$_'" } values %id) . ')');
for my $name (sort grep { /^Create.*(?:once|twice)/ } keys %case) {
    is($strays{ $id{$name} } // 0, $name =~ /503/ ? 0 : 1, "$name - " . ($name =~ /503/ ? 'nothing was made' : 'there may be another one'));
}

# every multipart upload was on record before a part of it was sent, for the janitor to abort
my @gone = map { "'$id{$_}'" } grep { !$case{$_}[1] && /^(?:part|Complete)/ } keys %case;
$nginx->await('the intents are closed', sub {
    sql('SELECT count(*) FROM uploads WHERE id IN (' . join(',', map { "'$_'" } values %id) . ')') eq '0';
});
is(sql('SELECT count(*) FROM objects WHERE media_id IN (' . join(',', @gone) . ") AND state = 'pending'"), 0, 'no object is pending');

is($nginx->metric('uploads_active'), 0, 'no upload is active');
is($nginx->metric('memory_bytes'), 0, 'no memory is held');
$nginx->stop;

done_testing();
