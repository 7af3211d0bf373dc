package MediaProxy;

# A TCP proxy in front of a real server that does what a test wants: for each connection a process runs the script
# with both ends in its hands, then passes on what comes.
#
#   my $proxy = MediaProxy->start($port, sub {
#       my ($self, $link) = @_;
#       $link->pass_until(qr/UPLOAD_COMMIT/);       # the client said that; it is held back
#       $link->reset;
#   });
#   $proxy->mode('x'); $proxy->cut; $proxy->{port}      # as a MediaS3

use v5.30;
use warnings;

use IO::Select ();
use IO::Socket::INET ();
use Socket qw(SOL_SOCKET SO_LINGER);
use MediaS3;

our @ISA = 'MediaS3';

sub start { my ($class, $to, $script) = @_; return MediaS3::start($class, $script // sub { }, to => $to) }

sub serve {
    my ($self, $client) = @_;
    my $link = bless { proxy => $self, client => $client, held => '' }, 'MediaProxy::Link';
    $self->{script}->($self, $link);
    $link->pass_until;
    return;
}

package MediaProxy::Link;

sub server {
    my ($self) = @_;
    return $self->{server} //= IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{proxy}{to}) // $self->close;
}

# Passes bytes on, first those held back, until what the client says matches: that stays in {held}. Without a
# pattern, or when one side ends: to the end.
sub pass_until {
    my ($self, $pattern) = @_;
    my ($client, $server) = ($self->{client}, $self->server);
    $self->forward;
    my $select = IO::Select->new($client, $server);
    while (1) {
        for my $from ($select->can_read) {
            my $bytes = $self->take($from);
            if ($from == $client && $pattern && $bytes =~ $pattern) {
                $self->{held} = $bytes;
                return;
            }
            $self->put($from == $client ? $server : $client, $bytes);
        }
    }
    return;
}

# What that side says next; the end of one side is that of the connection
sub take {
    my ($self, $from) = @_;
    sysread $from, my $bytes, 65_536 or $self->close;
    return $bytes;
}

sub put {
    my ($self, $to, $bytes) = @_;
    while (length $bytes) {
        my $n = syswrite $to, $bytes or $self->close;
        substr $bytes, 0, $n, '';
    }
    return;
}

# What was held back goes to the server after all
sub forward { my ($self) = @_; $self->put($self->server, $self->{held}); $self->{held} = ''; return }

# What the server answers, until that matches
sub swallow {
    my ($self, $pattern) = @_;
    my $bytes = '';
    $bytes .= $self->take($self->server) until $bytes =~ $pattern;
    return $bytes;
}

# To the client, in place of the server
sub say { my ($self, $bytes) = @_; return $self->put($self->{client}, $bytes) }

# Until the client leaves
sub stall {
    my ($self) = @_;
    $self->take($self->{client}) while 1;
    return;
}

sub reset {
    my ($self) = @_;
    setsockopt $self->{client}, Socket::SOL_SOCKET(), Socket::SO_LINGER(), pack('ii', 1, 0);
    return $self->close;
}

sub close { my ($self) = @_; CORE::close($self->{client}); return POSIX::_exit(0) }

1;
