package MediaH2;

# Just enough of an HTTP/2 client (RFC 9113) to do what curl does not: stop in mid-body, reset a stream, answer to
# flow control by standing still, look at an answer that comes before the body is out.
#
#   my $h2 = MediaH2->new($port);
#   my $id = $h2->request('PUT', '/upload/a.mp4', { authorization => ... });    # its stream, left open
#   $h2->body($id, $bytes);             # sends as flow control allows, and ends the stream
#   my $answer = $h2->answer($id);      # {status, body, json, reset}
#   $h2->{goaway}, $h2->{gone}          # the last stream it takes, once it has said so; the connection has ended

use v5.30;
use warnings;

use IO::Select ();
use IO::Socket::INET ();
use JSON::PP ();
use Time::HiRes qw(time);

use constant { DATA => 0, HEADERS => 1, RST_STREAM => 3, SETTINGS => 4, PING => 6, GOAWAY => 7, WINDOW_UPDATE => 8 };
use constant { END_STREAM => 1, ACK => 1, END_HEADERS => 4 };

# of the static table, RFC 7541 appendix A
my %status = (8 => 200, 9 => 204, 10 => 206, 11 => 304, 12 => 400, 13 => 404, 14 => 500);

sub new {
    my ($class, $port) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or die "connect: $!";
    my $self = bless { socket => $socket, in => '', next => 1, window => 65_535, initial => 65_535, streams => {} }, $class;
    $self->write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    $self->frame(SETTINGS, 0, 0, '');
    return $self;
}

sub write {
    my ($self, $bytes) = @_;
    local $SIG{PIPE} = 'IGNORE';
    while (length $bytes) {
        my $n = syswrite $self->{socket}, $bytes or return 0;
        substr $bytes, 0, $n, '';
    }
    return 1;
}

sub frame {
    my ($self, $type, $flags, $stream, $payload) = @_;
    return $self->write(substr(pack('N', length $payload), 1) . pack('CCN', $type, $flags, $stream) . $payload);
}

# A string without Huffman coding
sub text {
    my ($text) = @_;
    my $n = length $text;
    return pack('C', $n) . $text if $n < 127;
    my $length = pack 'C', 127;
    for ($n -= 127; $n >= 128; $n >>= 7) {
        $length .= pack 'C', 128 | $n & 127;
    }
    return $length . pack('C', $n) . $text;
}

sub request {
    my ($self, $method, $path, $headers, $end) = @_;
    my $id = $self->{next};
    $self->{next} += 2;
    $self->{streams}{$id} = { window => $self->{initial}, body => '', status => 0 };
    my %all = (':method' => $method, ':scheme' => 'http', ':path' => $path, ':authority' => 'localhost');
    my $block = join '', map { "\0" . text($_) . text($all{$_}) } sort keys %all;
    $block .= join '', map { "\0" . text($_) . text($headers->{$_}) } sort keys %$headers;
    $self->frame(HEADERS, END_HEADERS | ($end ? END_STREAM : 0), $id, $block);
    return $id;
}

# Sends the bytes and, unless `open`, the end of the stream. Returns how many were let through: fewer when the
# windows stay shut for `patience` seconds, or the stream is answered or reset.
sub body {
    my ($self, $id, $bytes, %how) = @_;
    my $stream = $self->{streams}{$id};
    my $patience = $how{patience} // $MediaNginx::PATIENCE;
    my $at = 0;
    while ($at < length $bytes) {
        return $at if $stream->{ended} || defined $stream->{reset};
        my $n = length($bytes) - $at;
        for my $limit (16_384, $self->{window}, $stream->{window}) {
            $n = $limit if $limit < $n;
        }
        if ($n <= 0) {
            $self->pull($patience) or return $at;
            next;
        }
        my $end = $at + $n == length $bytes && !$how{open};
        $self->frame(DATA, $end ? END_STREAM : 0, $id, substr $bytes, $at, $n) or return $at;
        $self->{window} -= $n;
        $stream->{window} -= $n;
        $at += $n;
        $self->pull(0);
    }
    $self->frame(DATA, END_STREAM, $id, '') if !length $bytes && !$how{open};
    return $at;
}

sub reset { my ($self, $id) = @_; return $self->frame(RST_STREAM, 0, $id, pack 'N', 8) }

sub answer {
    my ($self, $id) = @_;
    my $stream = $self->{streams}{$id};
    while (!$stream->{ended} && !defined $stream->{reset}) {
        $self->pull($MediaNginx::PATIENCE) or last;
    }
    $stream->{json} = eval { JSON::PP->new->utf8->decode($stream->{body}) };
    return $stream;
}

# Takes the frames that come within that many seconds; false when none did
sub pull {
    my ($self, $seconds) = @_;
    my $select = IO::Select->new($self->{socket});
    my $got = 0;
    while ($select->can_read($got ? 0 : $seconds)) {
        sysread($self->{socket}, $self->{in}, 65_536, length $self->{in}) or return !($self->{gone} = 1);
        while (length $self->{in} >= 9) {
            my ($high, $low, $type, $flags, $id) = unpack 'CnCCN', $self->{in};
            my $n = $high << 16 | $low;
            last if length $self->{in} < 9 + $n;
            substr $self->{in}, 0, 9, '';
            $self->take($type, $flags, $id, substr $self->{in}, 0, $n, '');
            $got = 1;
        }
    }
    return $got;
}

sub take {
    my ($self, $type, $flags, $id, $payload) = @_;
    my $stream = $self->{streams}{$id};
    if ($type == SETTINGS && !($flags & ACK)) {
        my %settings = unpack '(nN)*', $payload;
        if (defined $settings{4}) {
            $_->{window} += $settings{4} - $self->{initial} for values %{ $self->{streams} };
            $self->{initial} = $settings{4};
        }
        $self->frame(SETTINGS, ACK, 0, '');
    } elsif ($type == PING && !($flags & ACK)) {
        $self->frame(PING, ACK, 0, $payload);
    } elsif ($type == WINDOW_UPDATE) {
        my $target = $id ? $stream : $self;
        $target->{window} += unpack 'N', $payload if $target;
    } elsif ($type == GOAWAY) {
        $self->{goaway} = unpack 'N', $payload;
    } elsif ($stream && $type == HEADERS) {
        my $first = unpack 'C', $payload;
        $stream->{status} = $first & 128 ? $status{ $first & 127 } : substr $payload, 2, 3;
    } elsif ($stream && $type == DATA) {
        $stream->{body} .= $payload;
        $self->frame(WINDOW_UPDATE, 0, 0, pack 'N', length $payload) if length $payload;
    } elsif ($stream && $type == RST_STREAM) {
        $stream->{reset} = unpack 'N', $payload;
    }
    $stream->{ended} = 1 if $stream && $flags & END_STREAM && ($type == DATA || $type == HEADERS);
    return;
}

1;
