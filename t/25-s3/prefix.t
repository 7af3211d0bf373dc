# media_s3_prefix: objects lie below the prefix of their time, rows know where, and nobody's folder lies in another's.

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaNginx;
use MediaUpload;
use MediaObject;

my $bytes = mp4(100_000, 'prefix');
my $large = mp4(6_000_000, 'prefix');
my $anna = user('anna')->{id};

sub with_prefix {
    my ($prefix) = @_;
    return MediaNginx->start(http => media_http(media_s3_part_size => '5m', media_memory => '20m'),
        server => upload_server(lines => [defined $prefix ? "media_s3_prefix $prefix;" : ()]));
}

my $nginx = with_prefix('"tenants/${media_sub}/"');
my $id = committed($nginx->ask(put('a.mp4', $bytes)), $bytes, 'a prefix by user', row => 1, bytes => 1);
is(key_of($id), "tenants/$anna/media/$id/original", 'a prefix by user - the key');
my $parts = committed($nginx->ask(put('a.mp4', undef, 'Transfer-Encoding: chunked') . chunked($large)), $large,
    'a prefix, in parts', row => 1, bytes => 1);
is(key_of($parts), "tenants/$anna/media/$parts/original", 'a prefix, in parts - the key');

$nginx->stop('a prefix by user');

# a variable may hold anything
$nginx = with_prefix('"by/${http_x_folder}/"');
for my $case (['auth0|1', 201], ['...', 201], ['a b', 500], ["../$anna", 500], ["$anna/media", 500], ['..', 500], ['', 500],
    ["\xc3\xa9", 500], ['x' x 252, 201], ['x' x 253, 500])
{
    my ($folder, $status) = @$case;
    my $answer = $nginx->ask(put('a.mp4', $bytes, "X-Folder: $folder"));
    is($answer->{status}, $status, "folder \"$folder\"");
    is(key_of($answer->{json}{id}), "by/$folder/media/$answer->{json}{id}/original", "folder \"$folder\" - the key") if $status == 201;
}
like($nginx->log_text, qr{"media_s3_prefix" gives "by/a b/", which is no prefix of a key}, 'no folder - is said');
$nginx->stop('a prefix');

# what was stored stays where it is
$nginx = with_prefix('archive/');
for my $media ([$id, $bytes], [$parts, $large]) {
    my $answer = $nginx->ask(http("GET /media/$media->[0]/original", bearer('anna')));
    ok($answer->{status} == 200 && $answer->{body} eq $media->[1], 'another prefix - what was stored before is found');
}
my $other = committed($nginx->ask(put('a.mp4', $bytes)), $bytes, 'another prefix', bytes => 1);
is(key_of($other), "archive/media/$other/original", 'another prefix - its key');
$nginx->stop('another prefix');

$nginx = with_prefix();
my $plain = committed($nginx->ask(put('a.mp4', $bytes)), $bytes, 'no prefix', bytes => 1);
is(key_of($plain), "media/$plain/original", 'no prefix - the key');
$nginx->stop('no prefix');

# a client that leaves: the janitor knows the key
$nginx = with_prefix('"tenants/${media_sub}/"');
my $client = $nginx->client;
$client->send(substr put('a.mp4', undef, 'X-Request-Id: prefix-gone', 'Transfer-Encoding: chunked') . chunked($large), 0, 5_900_000);
$nginx->await('it is in flight', sub { $nginx->metric('uploads_active') == 1 });
$client->reset;
$nginx->await('it is given up', sub { $nginx->metric('uploads_active') == 0 });
$nginx->await('the janitor has removed it', sub {
    # its row stays, for a look at what S3 may finish late
    sql("SELECT count(*) FROM objects WHERE object_key LIKE 'tenants/$anna/%' AND (state = 'pending' OR look_again)") eq '0'
});
$nginx->stop('a client that left');

done_testing();
