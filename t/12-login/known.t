# The list of what was revoked comes late, then the database goes away: who waits, and what is still known

use lib 't/lib';
use Test::More;
use File::Temp ();
use IO::Select ();
use IO::Socket::INET ();
use MediaTest;
use MediaNginx;
use MediaUpload qw(problem);

my ($good, $bad) = map { token($_) } qw(anna bob);
sql("UPDATE users SET password_hash = '\$y\$x' WHERE id = '" . user('bob')->{id} . "'");

# PostgreSQL behind a door of ours
my $door = IO::Socket::INET->new(Listen => 16, LocalAddr => '127.0.0.1') or die "listen: $!";
my $pass = File::Temp->new;
print {$pass} MediaNginx::slurp(secret_file('pgpass-media_gateway')) =~ s/:$ENV{PGPORT}:/:*:/r;
close $pass;
my $nginx = MediaNginx->start(http => media_http(media_pg_connect_timeout => '20s',
    media_pg => sprintf '"host=127.0.0.1 port=%s dbname=media user=media_gateway passfile=%s"', $door->sockport, $pass->filename));

sub relay {
    my (%peer, $all);
    $all = IO::Select->new($door);
    while (my @ready = $all->can_read) {
        for my $from (@ready) {
            if ($from == $door) {
                my $client = $door->accept or next;
                my $server = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $ENV{PGPORT}) or die "connect: $!";
                @peer{ $client, $server } = ($server, $client);
                $all->add($client, $server);
                next;
            }
            my $to = $peer{$from} or next;
            my $bytes;
            if (!sysread($from, $bytes, 65_536) || !syswrite $to, $bytes) {
                delete @peer{ $from, $to };
                $all->remove($from, $to);
                $_->close for $from, $to;
            }
        }
    }
    return;
}

sub validate { my ($token) = @_; return http('POST /validate', "Authorization: Bearer $token\nContent-Length: 0\n") }

my @clients = map { $nginx->client } 1 .. 4;
$_->send(validate($good)) for @clients[0, 1];
$_->send(validate($bad)) for @clients[2, 3];
$clients[0]->pull(0.3);
is($clients[0]{in}, '', 'nobody is answered before the list is known');
$clients[1]->reset;
my $pid = fork // die "fork: $!";
if (!$pid) { relay(); POSIX::_exit(0) }
is($clients[0]->answer->{status}, 200, 'a good token has waited');
problem($clients[$_]->answer, 401, 'token_invalid', 'one that was revoked before nginx started') for 2, 3;

close $door;
kill 'KILL', $pid;
waitpid $pid, 0;
$nginx->await('it is noticed', sub { $nginx->log_text =~ /statement=REVOCATIONS/ });
is($nginx->ask(validate($good))->{status}, 200, 'the database is away: a good token stays good');
problem($nginx->ask(validate($bad)), 401, 'token_invalid', 'and one that was revoked stays it');
$nginx->stop;

done_testing;
