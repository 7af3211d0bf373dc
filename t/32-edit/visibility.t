# Private, unlisted and public media: for its owner, for others, for nobody in particular

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaNginx;
use MediaUpload qw(problem);

my $nginx = MediaNginx->start(http => media_http());
my $film = media('anna', name => 'clip.mp4', outputs => { 'audio.mp3' => ['audio/mpeg', 'mp3 bytes'] });
my $none = '00000000-0000-7000-8000-000000000000';
my %who = (anna => bearer('anna'), bob => bearer('bob'), nobody => '');

sub get { my ($path, $who, $more) = @_; return $nginx->ask(http("GET $path", $who{$who} . ($more // ''))) }
sub statuses { my ($who) = @_; return join ' ', map { get($_, $who)->{status} }
    "/media/$film", "/media/$film/audio.mp3", "/download?fid=$film", "/media/$film/original", "/media/$film/none.mp3" }

for my $visibility ('private', 'unlisted', 'public') {
    my $body = qq({"visibility":"$visibility"});
    my $answer = $nginx->ask(http("PATCH /media/$film", $who{anna} . "Content-Type: application/json\nContent-Length: " . length($body) . "\n", $body));
    is($answer->{json}{visibility}, $visibility, "$visibility - set");
    is(statuses('anna'), '200 200 200 200 404', "$visibility - its owner");
    is(statuses('bob'), $visibility eq 'private' ? '404 404 404 404 404' : '200 200 200 404 404', "$visibility - somebody else");
    is(statuses('nobody'), $visibility eq 'private' ? '401 401 401 401 401' : '200 200 200 401 404', "$visibility - nobody");
    for my $who ('bob') {
        is_deeply(get('/media', $who)->{json}{items}, [], "$visibility - is not listed for others");
    }
    is(scalar @{ get('/media', 'anna')->{json}{items} }, 1, "$visibility - is listed for its owner");
    next if $visibility eq 'private';
    is(get("/media/$film/audio.mp3", 'nobody')->{body}, 'mp3 bytes', "$visibility - the bytes");
    is(get("/media/$film/audio.mp3", 'nobody', "Range: bytes=0-2\n")->{body}, 'mp3', "$visibility - a range of them");
    my $media = get("/media/$film", 'nobody')->{json};
    is_deeply([@$media{qw(jobs params probe error)}], [[], {}, undef, undef], "$visibility - what is the owner's is not told");
    is($media->{outputs}[0]{name}, 'audio.mp3', "$visibility - what can be had is");
    isnt(scalar @{ get("/media/$film", 'anna')->{json}{jobs} }, 0, "$visibility - the owner sees all");
    problem(get("/media/$film", 'nobody', "Authorization: Bearer x\n"), 401, 'token_invalid', "$visibility - a bad token is one all the same");
}

# what is not there looks like what is private
for my $path ("/media/$none", "/media/$none/audio.mp3", "/download?fid=$none", '/media/x', '/media/x/y', '/download?fid=x') {
    problem(get($path, 'nobody'), 401, 'token_missing', "$path for nobody");
    is(get($path, 'nobody')->{headers}{'www-authenticate'}, 'Bearer realm="ngx_media"', "$path - a bare challenge");
    problem(get($path, 'bob'), 404, 'not_found', "$path for somebody");
}
problem(get('/media', 'nobody'), 401, 'token_missing', 'no list for nobody');
problem(get('/download', 'nobody'), 400, 'fid_missing', 'no fid, no token');

# while it is made
my $busy = media('anna', state => 'processing');
my $failed = media('anna', state => 'failed');
sql("UPDATE media SET visibility = 'public' WHERE id IN ('$busy', '$failed')");
problem(get("/download?fid=$busy", 'nobody'), 409, 'not_ready', 'not ready, for nobody');
problem(get("/download?fid=$failed", 'nobody'), 409, 'failed', 'failed, for nobody');
unlike(get("/download?fid=$failed", 'nobody')->{body}, qr/no sound/, 'failed - why is the owner\'s');
like(get("/download?fid=$failed", 'anna')->{body}, qr/no sound/, 'failed - its owner is told');
$nginx->stop;

done_testing;
