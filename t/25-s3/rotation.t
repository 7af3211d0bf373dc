# Credentials that change while a sliced download is on its way: each request to S3 is signed by those of its time, and
# carries their session token.

use lib 't/lib';
use Digest::MD5 qw(md5_hex);
use Test::More;
use MediaTest;
use MediaNginx;
use MediaS3;
use MediaUpload;

my $slice = 65_536;
my $bytes = mp4(6 * $slice, 'rotation');
my $etag = md5_hex($bytes);
my $dir = File::Temp->newdir;
chmod 0755, $dir;

sub write_keys {
    my ($n) = @_;
    MediaNginx::spew("$dir/new", "[default]\naws_access_key_id = KEY$n\naws_secret_access_key = s$n\naws_session_token = token-$n\n");
    rename "$dir/new", "$dir/keys" or die $!;
    return;
}

my $s3 = MediaS3->start(sub {
    my ($self, $request) = @_;
    my $h = $request->{headers};
    my ($key) = $h->{authorization} =~ /Credential=(\w+)/;
    my ($signed) = $h->{authorization} =~ /SignedHeaders=([^,]+)/;
    my ($from, $to) = ($h->{range} // '') =~ /bytes=(\d+)-(\d+)/;
    $self->note("signed $from $key $h->{'x-amz-security-token'} $signed") if defined $from;
    return $request->reply(200, '') if !defined $from;
    return $request->reply(206, substr($bytes, $from, $slice), qq{ETag: "$etag"}, "Content-Range: bytes $from-$to/" . length $bytes);
});

sub signed { return map { /^signed (.*)/ ? $1 : () } $s3->asked }

write_keys(1);
my $server = media_routes(slice => $slice, limit_rate => '128k');
my $id = media('anna', bytes => $bytes);
my $nginx = MediaNginx->start(server => $server, http => media_http(s3 => $s3->url, media_s3_credentials => "file $dir/keys"));

my $client = $nginx->client;
$client->send(http("GET /media/$id/original", bearer('anna')));
$nginx->await('the first slice is fetched', sub { signed() });
write_keys(2);
$nginx->await('the keys are in use', sub { $nginx->metric('s3_credentials_renewed_total') });
my $answer = $client->answer;
is($answer->{status}, 200, 'the download') or diag($answer->{body});
ok($answer->{body} eq $bytes, 'the download - every byte');

my @signed = signed();
is(scalar @signed, 6, 'a request for each slice');
my $names = 'host;x-amz-content-sha256;x-amz-date;x-amz-security-token';
is($signed[0], "0 KEY1 token-1 $names", 'the first by the old keys');
is($signed[5], 5 * $slice . " KEY2 token-2 $names", 'the last by the new ones');
is_deeply([grep { !/KEY1 token-1 |KEY2 token-2 / } @signed], [], 'no token with the keys of another');
$nginx->stop('rotation');

done_testing();
