# The file's name in raw uploads: of the path, of ?name=, of Content-Disposition

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaNginx;
use MediaUpload;

my $nginx = MediaNginx->start(server => upload_server());
my $bytes = mp4(100);
my $long = 'x' x 4096;

# what is sent, what becomes of it
sub named {
    my ($how, $request, $want) = @_;
    my $answer = $nginx->ask($request);
    is($answer->{status}, 201, "$how - taken") or diag($answer->{body});
    is($answer->{json}{name}, $want, "$how - its name");
    return $answer;
}

my @paths = (
    ['a.mp4', 'a.mp4'], ['d%C3%A4.mp4', "d\x{e4}.mp4"], ["raw-\xc3\xa4.mp4", "raw-\x{e4}.mp4"],
    ['%F0%9F%8E%AC.mp4', "\x{1f3ac}.mp4"], ['100%25.mp4', '100%.mp4'], ['a+b.mp4', 'a+b.mp4'], ['a%20b.mp4', 'a b.mp4'],
    ['a%2Fb.mp4', 'b.mp4'], ['dir/sub/c.mp4', 'c.mp4'], ['dir%5Cc.mp4', 'c.mp4'], ['..%5C..%5Cetc', 'etc'],
    ['...', '...'], ['.hidden', '.hidden'], ['a%3Fb%23c.mp4', 'a?b#c.mp4'], ['%22q%22.mp4', '"q".mp4'],
    ['%E4.mp4', "\x{fffd}.mp4"], ['%C0%AF', "\x{fffd}\x{fffd}"], ['%ED%A0%80.mp4', "\x{fffd}\x{fffd}\x{fffd}.mp4"],
    ['a%0D%0AX-Evil:%201.mp4', 'aX-Evil: 1.mp4'], ['tab%09.mp4', 'tab.mp4'], ['%E2%80%AEgpm.exe', 'gpm.exe'], ['a%7F%C2%85b', 'ab'],
    ['%C2%AB%20%C2%BB', "\x{ab} \x{bb}"], ["$long.mp4", 'x' x 251 . '.mp4'], [$long, 'x' x 255],
    ['%C3%A4' x 400 . '.webm', "\x{e4}" x 125 . '.webm'],
);
for my $case (@paths) {
    my ($path, $want) = @$case;
    my $shown = length $path > 60 ? substr($path, 0, 30) . '... of ' . length $path : $path;
    my $answer = named("PUT /upload/$shown", put($path, $bytes), $want);
    is($answer->{head} =~ /evil/i ? 'split' : 'whole', 'whole', "PUT /upload/$shown - no header of its making");
}

my @arguments = (
    ['a.mp4', 'a.mp4'], ['a+b%2Bc.mp4', 'a b+c.mp4'], ['%2Fetc%2Fpasswd', 'passwd'], ['d%C3%A4.mp4', "d\x{e4}.mp4"],
    ['', 'file'], ['..', 'file'], ['.', 'file'], ['%20', ' '], ['%01', 'file'], ["$long.mp4", 'x' x 251 . '.mp4'],
);
for my $case (@arguments) {
    my $shown = length $case->[0] > 60 ? 'a long one' : $case->[0];
    named("POST /upload?name=$shown", post("?name=$case->[0]", $bytes), $case->[1]);
}
problem($nginx->ask(post('?name=%00', $bytes)), 400, 'bad_request', 'name=%00');
problem($nginx->ask(post('?name=%ff', $bytes)), 400, 'bad_request', 'name=%ff');

my @dispositions = (
    ['attachment; filename=a.mp4', 'a.mp4'], ['attachment; filename="a b.mp4"', 'a b.mp4'], ['filename="a.mp4"', 'file'],
    ['inline; FileName="q\\"q.mp4"', 'q"q.mp4'], ["attachment; filename*=UTF-8''d%C3%A4.mp4", "d\x{e4}.mp4"],
    ["attachment; filename=\"fallback.mp4\"; filename*=utf-8'de'd%c3%a4%20e.mp4", "d\x{e4} e.mp4"],
    ["attachment; filename=\"\xc3\xa4.mp4\"", "\x{e4}.mp4"], ["attachment; filename=\"\xe4.mp4\"", "\x{fffd}.mp4"],
    ['attachment; filename="../../b.mp4"', 'b.mp4'], ["attachment; filename*=UTF-8''..%2Fb.mp4", 'b.mp4'],
    ['attachment', 'file'], ['attachment; filename="unfinished', 'file'], ['attachment; filename=a; filename=b', 'file'],
    ["attachment; filename*=UTF-8''%ff", 'file'], ["attachment; filename=\"$long\"", undef], ['', 'file'],
);
for my $case (@dispositions) {
    my ($value, $want) = @$case;
    my $shown = length $value > 90 ? 'a long one' : $value;
    $want //= $nginx->ask(post("?name=$long", $bytes))->{json}{name};
    named("Content-Disposition: $shown", post('', $bytes, "Content-Disposition: $value"), $want);
}
named('?name= goes before Content-Disposition',
    post('?name=query.mp4', $bytes, 'Content-Disposition: attachment; filename=header.mp4'), 'query.mp4');
named('Content-Disposition beside PUT', put('path.mp4', $bytes, 'Content-Disposition: attachment; filename=header.mp4'), 'path.mp4');

$nginx->stop;
done_testing();
