# Every allocation of an upload fails once, and from there on ten in a row: no crash, no leak, nobody waits in vain,
# and in the end there is a committed file or nothing.

use lib 't/lib';
use Test::More;
use MediaFaults;
use MediaNginx;
use MediaTest;
use MediaUpload;

local $ENV{ASAN_OPTIONS} = ($ENV{ASAN_OPTIONS} // '') =~ s/detect_leaks=0/detect_leaks=1/r;
my $nginx = fault_nginx();
my $calm = 3;       # plans in a row that found no allocation any more

for my $shape (shapes()) {
    for my $more (1, 10) {
        my ($bytes, $request) = request_of($shape);
        my (@all, %seen);
        my $missed = 0;
        for (my $n = 1; $missed < $calm && $n < 1000; $n++) {
            plan_faults("alloc fail $n $more");
            my $client = $nginx->client;
            $client->send($request);
            my $answer = $client->answer;
            my ($said) = $nginx->log_text =~ /.*media fault: armed(.*)\z/s;
            $missed = $said =~ /media fault: alloc/ ? 0 : $missed + 1;
            $seen{ $answer->{status} }++;
            my $id = $said =~ /media fault: upload (\S+)/ ? $1 : undef;
            push @all, [$n, $id, $answer->{status}];
            last if $answer->{status} !~ /^(?:0|201|500|503)$/;
        }
        my $what = "$shape, $more in a row";
        my $tried = @all;
        no_faults($nginx, $request);
        is($nginx->ask($request)->{status}, 201, "$what - a plan without faults");
        is(join(' ', grep { !/^(?:0|201|500|503)$/ } keys %seen), '', "$what - every answer is one that may be");
        cmp_ok($tried, '>', 20, "$what - there were allocations");
        note("$what: $tried, " . join ', ', map { "$seen{$_} x $_" } sort keys %seen);
        swept();
        my @bad = map {
            my ($n, $id, $status) = @$_;
            my $left = defined $id ? left_over($id) : 'nothing';
            my $good = $status == 201 ? $left eq 'committed' : $left =~ /^(?:committed|nothing)$/;
            $good ? () : "$n: $status, $left";
        } @all;
        is(join("\n", @bad), '', "$what - all or nothing");
        is($nginx->metric($_), 0, "$what - $_") for qw(uploads_active memory_bytes);
    }
}
unlike($nginx->log_text, qr/exited on signal/, 'no process died');
$nginx->stop('allocations');
done_testing();
