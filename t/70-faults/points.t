# At every point of an upload's life the process dies, or the point fails: the client hears the truth or nothing, and
# after the janitor has passed there is a committed file with its object, or nothing at all.

use lib 't/lib';
use Test::More;
use MediaFaults;
use MediaNginx;
use MediaTest;
use MediaUpload;

my @open = qw(pg.UPLOAD_OPEN.sent pg.UPLOAD_OPEN.answered upload.open upload.write);
my @put = qw(http.PUT.sent http.PUT.answered);
my @parts = qw(http.CREATE_MULTIPART.sent http.CREATE_MULTIPART.answered pg.UPLOAD_S3ID.sent pg.UPLOAD_S3ID.answered
    http.UPLOAD_PART.sent http.UPLOAD_PART.answered http.COMPLETE_MULTIPART.sent http.COMPLETE_MULTIPART.answered);
my @commit = qw(pg.UPLOAD_COMMIT.sent pg.UPLOAD_COMMIT.answered upload.publish upload.answer);
my %points = (
    raw => [@open, @put, @commit, 'upload.answered'],
    chunked => [@put],
    form => ['upload.write', @commit],
    parts => [@parts, (map { "$_ 2" } grep { /UPLOAD_PART/ } @parts), @commit],
);

# What a failing point means to the client
sub wanted {
    my ($shape, $point) = @_;
    return 503 if $point =~ /UPLOAD_OPEN/;
    return 500 if $point =~ /^upload\.(?:open|write|answer)$/;
    # MinIO drops what it was at when the connection is lost
    return '201|503' if "$shape $point" =~ /^(?:raw http.PUT.sent|parts http.COMPLETE_MULTIPART.sent)$/;
    return 201;
}

my $nginx = fault_nginx();
my (@all, @died);

for my $shape (shapes()) {
    for my $point (@{ $points{$shape} }) {
        for my $action ('kill', 'error') {
            next if $action eq 'error' && $point eq 'upload.answered';
            my ($name, $nth) = split / /, $point;
            my ($bytes, $request) = request_of($shape);
            my $what = "$shape, $point, $action";
            my ($worker) = $nginx->workers;
            plan_faults("$name $action " . ($nth // 1));
            my $client = $nginx->client;
            $client->send($request);
            my $answer = $client->answer;
            if ($action eq 'kill') {
                my $got = $point eq 'upload.answered' ? qr/^(?:0|201)$/ : qr/^0$/;
                like($answer->{status}, $got, "$what - no answer");
                $nginx->await('a new worker', sub { my ($new) = $nginx->workers; $new && $new != $worker });
                push @died, $what;
            } else {
                like($answer->{status}, qr/^(?:${\ wanted($shape, $point)})$/, "$what - its answer") or diag($answer->{body});
            }
            like($nginx->log_text, qr/media fault: \Q$name $action\E\n?(?!.*media fault: armed)/, "$what - it came to that");
            push @all, [$what, last_upload($nginx), $answer->{status}];
        }
    }
}

# RabbitMQ and PostgreSQL have seen many connections come and go
my ($bytes, $request) = request_of('raw');
plan_faults('');
my $answer;
$nginx->await('the gateway', sub { ($answer = $nginx->ask($request))->{status} == 201 });
committed($answer, $bytes, 'after all that: the next upload', bytes => 1);

swept();
for my $case (@all) {
    my ($what, $id, $status) = @$case;
    my $left = left_over($id);
    if ($status == 201) {
        is($left, 'committed', "$what - what was promised is there");
    } else {
        like($left, qr/^(?:committed|nothing)$/, "$what - all or nothing");
    }
}
$nginx->stop('points', qr/exited on signal 9/);
done_testing();
