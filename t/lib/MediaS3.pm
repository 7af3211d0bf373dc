package MediaS3;

# An S3 that does what a test wants: a TCP server whose process for each connection runs the test's script.
#
#   my $s3 = MediaS3->start(sub { my ($s3, $request) = @_; ... $request->reply(200, ...) });
#   $s3->mode('slow');                  # read by the script: $s3->mode
#   $s3->asked;                         # lines "METHOD target" of all requests so far

use v5.30;
use warnings;

use Digest::MD5 ();
use Digest::SHA ();
use File::Temp ();
use IO::Socket::INET ();
use MIME::Base64 ();
use Socket qw(SOL_SOCKET SO_LINGER);

# The script gets every request once its head is read; without one, everything is done as S3 does it. More of its
# fields may follow: probes => 1, the script is asked whether the bucket is there, too.
sub start {
    my ($class, $script, %more) = @_;
    my $listen = IO::Socket::INET->new(Listen => 128, LocalAddr => '127.0.0.1', LocalPort => 0, ReuseAddr => 1) or die $!;
    my $self = bless { port => $listen->sockport, dir => File::Temp->newdir, owner => $$, script => $script // \&good,
        %more }, $class;
    $self->{pid} = fork // die "fork: $!";
    if (!$self->{pid}) {
        setpgrp;
        $SIG{$_} = 'IGNORE' for qw(CHLD PIPE USR1);
        $SIG{$_} = 'DEFAULT' for qw(TERM INT);
        while (my $socket = $listen->accept) {
            next if fork;
            $SIG{USR1} = sub { POSIX::_exit(0) };
            eval { $self->serve($socket); 1 } or print STDERR "fake S3: $@";
            POSIX::_exit(0);
        }
        POSIX::_exit(0);
    }
    return $self;
}

sub url { my ($self) = @_; return "http://127.0.0.1:$self->{port}" }

sub mode {
    my ($self, $mode) = @_;
    return -e "$self->{dir}/mode" ? MediaNginx::slurp("$self->{dir}/mode") : '' if !defined $mode;
    MediaNginx::spew("$self->{dir}/new", $mode);
    rename "$self->{dir}/new", "$self->{dir}/mode" or die $!;
    return;
}

sub asked {
    my ($self) = @_;
    return -e "$self->{dir}/asked" ? split /\n/, MediaNginx::slurp("$self->{dir}/asked") : ();
}

sub note {
    my ($self, $line) = @_;
    open my $file, '>>', "$self->{dir}/asked" or die $!;
    syswrite $file, "$line\n";
    return;
}

sub serve {
    my ($self, $socket) = @_;
    my $in = '';
    while (1) {
        until ($in =~ /\r\n\r\n/) {
            return if !sysread $socket, $in, 65_536, length $in;
        }
        (my $head, $in) = split /\r\n\r\n/, $in, 2;
        my $request = MediaS3::Request->new($socket, $head, \$in, "$self->{dir}/object-");
        if ($request->is_probe && !$self->{probes}) {
            $request->reply(200, '');
            next;
        }
        $self->note("$request->{method} $request->{target}");
        $self->{script}->($self, $request);
    }
    return;
}

sub good { my ($self, $request) = @_; return $request->good }

# Ends all connections
sub cut { my ($self) = @_; return kill 'USR1', -$self->{pid} }

sub stop {
    my ($self) = @_;
    return if !$self->{pid} || $self->{owner} != $$;
    kill 'TERM', -$self->{pid};
    waitpid delete $self->{pid}, 0;
    return;
}

sub DESTROY { my ($self) = @_; local ($?, $!, $@); return $self->stop }

package MediaS3::Request;

sub new {
    my ($class, $socket, $head, $in, $objects) = @_;
    my ($line, @lines) = split /\r\n/, $head;
    my ($method, $target) = split / /, $line;
    my %headers = map { /^([^:]+): *(.*)$/ ? (lc $1, $2) : () } @lines;
    return bless { socket => $socket, method => $method, target => $target, headers => \%headers, in => $in,
        object => $objects . unpack 'H*', Digest::MD5::md5($target =~ s/\?.*//r) }, $class;
}

sub length_of_body { my ($self) = @_; return $self->{headers}{'content-length'} // 0 }

# What the client stored: its bytes, out of the framing of trailer mode
sub body {
    my ($self) = @_;
    my $raw = $self->take($self->length_of_body);
    return $raw if ($self->{headers}{'content-encoding'} // '') !~ /aws-chunked/;
    my $bytes = '';
    while ($raw =~ s/\A([0-9a-f]+)\r\n//i && hex $1) {
        $bytes .= substr $raw, 0, hex $1, '';
        $raw =~ s/\A\r\n// or die "no end of a chunk\n";
    }
    return $bytes;
}

# That many raw bytes of the body
sub take {
    my ($self, $n) = @_;
    while (length ${ $self->{in} } < $n) {
        sysread($self->{socket}, ${ $self->{in} }, 262_144, length ${ $self->{in} }) or POSIX::_exit(0);
    }
    return substr ${ $self->{in} }, 0, $n, '';
}

sub say { my ($self, $text) = @_; return syswrite $self->{socket}, $text }

sub reply {
    my ($self, $status, $body, @headers) = @_;
    return $self->say(join "\r\n", "HTTP/1.1 $status X", @headers, 'Content-Length: ' . length($body // ''), '', $body // '');
}

# As S3 words its errors
sub error {
    my ($self, $status, $code, @headers) = @_;
    return $self->reply($status, qq{<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>$code</Code>}
        . '<Message>secret-of-s3</Message><Resource>/media</Resource><HostId>secret-host</HostId></Error>',
        'Content-Type: application/xml', @headers);
}

sub reset {
    my ($self) = @_;
    setsockopt $self->{socket}, Socket::SOL_SOCKET(), Socket::SO_LINGER(), pack('ii', 1, 0);
    return $self->close;
}

# Ends the connection and its process
sub close { my ($self) = @_; CORE::close($self->{socket}); return POSIX::_exit(0) }

# The gateway asks whether the bucket is there
sub is_probe { my ($self) = @_; return $self->{method} eq 'HEAD' && $self->{target} =~ m{^/[^/?]+/?$} }
sub is_create { my ($self) = @_; return $self->{method} eq 'POST' && $self->{target} =~ /\?uploads=?$/ }
sub is_complete { my ($self) = @_; return $self->{method} eq 'POST' && $self->{target} =~ /uploadId=/ }

# Takes the body of a PUT; from then on there is an object. Returns the headers that tell of it.
sub store {
    my ($self) = @_;
    my $body = $self->body;
    my @tell = ('ETag: "' . Digest::MD5::md5_hex($body) . '"',
        'x-amz-checksum-sha256: ' . MIME::Base64::encode_base64(Digest::SHA::sha256($body), ''));
    return @tell if $self->{target} =~ /partNumber=/;
    MediaNginx::spew("$self->{object}.new", join "\r\n", 'Content-Length: ' . length $body, @tell);
    rename "$self->{object}.new", $self->{object} or die $!;
    return @tell;
}

# The answer to a HEAD: what store() has kept
sub seen {
    my ($self) = @_;
    return $self->reply(404, '') if !-e $self->{object};
    return $self->say("HTTP/1.1 200 OK\r\n" . MediaNginx::slurp($self->{object}) . "\r\n\r\n");
}

# Everything is fine. id: of the multipart upload
sub good {
    my ($self, $id) = @_;
    return $self->seen if $self->{method} eq 'HEAD';
    return $self->reply(200, '', $self->store) if $self->{method} eq 'PUT';
    $self->body;
    $id //= 'upload-1';
    if ($self->is_create) {
        return $self->reply(200, "<InitiateMultipartUploadResult><UploadId>$id</UploadId></InitiateMultipartUploadResult>");
    }
    if ($self->is_complete) {
        return $self->reply(200, '<CompleteMultipartUploadResult><ETag>"0123-2"</ETag></CompleteMultipartUploadResult>');
    }
    return $self->reply(204, '');
}

1;
