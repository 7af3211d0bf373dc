# media_s3_output_*: what jobs made comes from another endpoint and bucket, under other keys, than what was uploaded; what is
# wrong with one store is a 503 of that store alone.

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaNginx;
use MediaProxy;
use MediaUpload;
use MediaObject;

my $input = $ENV{MEDIA_S3_BUCKET} // 'media';
my ($key, $secret) = @ENV{qw(AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY)};
local $ENV{MEDIA_S3_OUTPUT_BUCKET} = 't-stores-output';
MediaTest::s3_ask("$ENV{AWS_ENDPOINT_URL}/$ENV{MEDIA_S3_OUTPUT_BUCKET}", qw(-o /dev/null -X PUT));

my $bytes = mp4(100_000, 'stores');
my $made = join '', map { chr($_ * 7 % 256) } 0 .. 149_999;
my ($port) = $ENV{AWS_ENDPOINT_URL} =~ /:(\d+)/;
my $dir = File::Temp->newdir;
chmod 0755, $dir;

# A media whose output lies in the other bucket alone
sub film { return media('anna', bytes => $bytes, outputs => { 'audio.mp3' => ['audio/mpeg', $made] }) }

sub gateway { my (%directives) = @_; return MediaNginx->start(server => upload_server(), http => media_http(%directives)) }

sub answers {
    my ($nginx, $path, $want, $name, @headers) = @_;
    my $answer = $nginx->ask(http("GET $path", bearer('anna') . join '', map { "$_\n" } @headers));
    is($answer->{status}, @headers ? 206 : 200, $name) or diag($answer->{body}, $nginx->log_text);
    ok($answer->{body} eq $want, "$name - its bytes");
    return;
}

sub refused { my ($nginx, $path, $name) = @_; return problem($nginx->ask(http("GET $path", bearer('anna'))), 503, 'storage_unavailable', $name) }

sub readyz {
    my ($nginx, $want, $name) = @_;
    my $answer = $nginx->ask(http('GET /readyz', ''));
    my @lines = grep { /^s3/ } split /\n/, $answer->{body};
    is("$answer->{status} @lines", $want, "$name - /readyz");
    return;
}

sub done {
    my ($nginx, $name) = @_;
    unlike($nginx->log_text, qr/\Q$secret\E|the-wrong-secret/, "$name - no secret in the log");
    return $nginx->stop($name);
}

# ---- one endpoint, two buckets ----

{
    my $nginx = gateway();
    my $id = film();
    answers($nginx, "/media/$id/original", $bytes, 'an original');
    answers($nginx, "/media/$id/audio.mp3", $made, 'an output');
    answers($nginx, "/media/$id/audio.mp3", $made, 'an output, from the cache');
    answers($nginx, "/media/$id/audio.mp3", substr($made, 10, 90), 'a range of an output', 'Range: bytes=10-99');
    my $new = committed($nginx->ask(put('a.mp4', $bytes)), $bytes, 'an upload', bytes => 1);
    is(key_of($new), "media/$new/original", 'an upload - in the input bucket');
    readyz($nginx, '200 s3 ok s3_output ok', 'two buckets');
    $nginx->stop('two buckets');
}

# ---- two endpoints ----

{
    my $proxy = MediaProxy->start($port, sub {
        my ($self, $link) = @_;
        $link->reset if $self->mode eq 'away';
        $self->note('connection');
    });
    my $nginx = gateway(s3_output => $proxy->url, cache => 'off');
    my $id = film();
    answers($nginx, "/media/$id/original", $bytes, 'two endpoints, an original');
    committed($nginx->ask(put('a.mp4', $bytes)), $bytes, 'two endpoints, an upload');
    is_deeply([$proxy->asked], [], 'two endpoints - the other one was not asked');
    answers($nginx, "/media/$id/audio.mp3", $made, 'two endpoints, an output');
    cmp_ok(scalar $proxy->asked, '>', 0, 'two endpoints - the other one was asked');
    readyz($nginx, '200 s3 ok s3_output ok', 'two endpoints');

    $proxy->mode('away');
    $proxy->cut;
    refused($nginx, "/media/$id/audio.mp3", 'the output store is away, an output');
    answers($nginx, "/media/$id/original", $bytes, 'the output store is away, an original');
    $nginx->await('it is noticed', sub { $nginx->ask(http('GET /readyz', ''))->{status} == 503 });
    readyz($nginx, '503 s3 ok s3_output down', 'the output store is away');
    committed($nginx->ask(put('a.mp4', $bytes)), $bytes, 'the output store is away, an upload');
    $proxy->mode('');
    $nginx->await('it is back', sub { $nginx->ask(http('GET /readyz', ''))->{status} == 200 });
    answers($nginx, "/media/$id/audio.mp3", $made, 'the output store is back');
    done($nginx, 'two endpoints');
}

# ---- keys ----

{
    local @ENV{qw(MEDIA_S3_OUTPUT_ACCESS_KEY_ID MEDIA_S3_OUTPUT_SECRET_ACCESS_KEY)} = ($key, 'the-wrong-secret');
    my $nginx = gateway();
    my $id = film();
    refused($nginx, "/media/$id/audio.mp3", 'wrong keys of the output store, an output');
    answers($nginx, "/media/$id/original", $bytes, 'wrong keys of the output store, an original');
    committed($nginx->ask(put('a.mp4', $bytes)), $bytes, 'wrong keys of the output store, an upload');
    readyz($nginx, '503 s3 ok s3_output down', 'wrong keys of the output store');
    done($nginx, 'wrong keys of the output store');
}

{
    my $id = film();
    local @ENV{qw(MEDIA_S3_OUTPUT_ACCESS_KEY_ID MEDIA_S3_OUTPUT_SECRET_ACCESS_KEY AWS_SECRET_ACCESS_KEY)} = ($key, $secret, 'the-wrong-secret');
    my $nginx = gateway();
    answers($nginx, "/media/$id/audio.mp3", $made, 'wrong keys of the input store, an output');
    refused($nginx, "/media/$id/original", 'wrong keys of the input store, an original');
    problem($nginx->ask(put('a.mp4', $bytes)), 503, 'storage_unavailable', 'wrong keys of the input store, an upload');
    readyz($nginx, '503 s3 down s3_output ok', 'wrong keys of the input store');
    done($nginx, 'wrong keys of the input store');
}

# a file of its own, that changes
{
    my $write = sub {
        my ($text) = @_;
        MediaNginx::spew("$dir/keys.new", "[made]\naws_access_key_id = $key\naws_secret_access_key = $text\n");
        rename "$dir/keys.new", "$dir/keys" or die $!;
    };
    $write->($secret);
    my $nginx = gateway(media_s3_output_credentials => "file $dir/keys made", cache => 'off');
    my $id = film();
    my $status = sub { $nginx->ask(http("GET /media/$id/audio.mp3", bearer('anna')))->{status} };
    answers($nginx, "/media/$id/audio.mp3", $made, 'keys of a file');
    $write->('the-wrong-secret');
    $nginx->await('the wrong ones are in use', sub { $status->() == 503 });
    answers($nginx, "/media/$id/original", $bytes, 'wrong keys of a file, an original');
    $write->($secret);
    $nginx->await('the right ones are in use', sub { $status->() == 200 });
    done($nginx, 'keys of a file');
}

done_testing();
