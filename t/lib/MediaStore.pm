package MediaStore;

# An S3 that has one object of any size, made up as it is read, and media of anna's that lies there. What
# was asked and how much was sent is counted; the test may break in.
#
#   my $store = MediaStore->new(before => sub { my ($store, $request, $first) = @_; ... 1 if it has answered });
#                                               # closes => 1: the connection after each answer
#   my $media = $store->media(10 << 30);        # the id of a row
#   $store->content(0, 100);                    # what its bytes are
#   my @gets = $store->gets;                    # {range, date, key, sent} of each GET so far

use v5.30;
use warnings;

use MediaNginx ();
use MediaS3 ();
use MediaTest ();

my $ETAG = '0123456789abcdef0123456789abcdef';

sub new {
    my ($class, %given) = @_;
    my $self = bless { %given }, $class;
    $self->{s3} = MediaS3->start(sub { my ($s3, $request) = @_; $self->serve($s3, $request) });
    return $self;
}

sub url { my ($self) = @_; return $self->{s3}->url }

sub mode { my ($self, @mode) = @_; return $self->{s3}->mode(@mode) }

sub etag { return $ETAG }

# A media row of that size whose bytes are here, those of its outputs, too
sub media {
    my ($self, $size, %m) = @_;
    my $id = MediaTest::media($m{owner} // 'anna', %m);
    MediaTest::sql("UPDATE media SET size_bytes = $size, etag = '$ETAG' WHERE id = '$id';"
        . " UPDATE outputs SET size_bytes = $size, etag = '$ETAG' WHERE media_id = '$id'");
    MediaNginx::spew("$self->{s3}{dir}/$id", $size);
    return $id;
}

# Eight bytes at a time: their offset
sub content {
    my ($self, $first, $length) = @_;
    return '' if !$length;
    my $from = int($first / 8);
    my $bytes = pack 'Q>*', $from .. int(($first + $length - 1) / 8);
    return substr $bytes, $first - 8 * $from, $length;
}

sub gets {
    my ($self) = @_;
    my @gets;
    for ($self->{s3}->asked) {
        my %get;
        next if !/^sent /;
        @get{qw(sent range date key)} = (split / /)[1 .. 4];
        push @gets, \%get;
    }
    return @gets;
}

sub serve {
    my ($self, $s3, $request) = @_;
    my $range = $request->{headers}{range} // '-';
    my ($id) = $request->{target} =~ m{/media/([0-9a-f-]{36})/} or return $request->error(404, 'NoSuchKey');
    my $size = MediaNginx::slurp("$s3->{dir}/$id");
    my ($first, $last) = $range =~ /^bytes=(\d+)-(\d*)$/;
    my $date = $request->{headers}{'x-amz-date'} // '-';
    my ($key) = ($request->{headers}{authorization} // '') =~ m{Credential=([^/]+)/};
    return if $self->{before} && $self->{before}->($s3, $request, $first // 0);
    my @head = (qq(ETag: "$ETAG"), 'Last-Modified: Thu, 01 Jan 2015 00:00:00 GMT', 'Accept-Ranges: bytes',
        'Vary: Origin, Accept-Encoding', 'x-amz-request-id: 17', 'Server: fake', 'Cache-Control: no-store',
        'X-Accel-Redirect: /me', 'Set-Cookie: a=b');
    my $status = 200;
    if (defined $first) {
        if ($first >= $size) {
            $s3->note("sent 0 $range $date " . ($key // '-'));
            return $request->error(416, 'InvalidRange');
        }
        $last = $size - 1 if $last eq '' || $last >= $size;
        push @head, "Content-Range: bytes $first-$last/$size";
        $status = 206;
    } else {
        ($first, $last) = (0, $size - 1);
    }
    my $length = $last - $first + 1;
    $s3->note("sent $length $range $date " . ($key // '-'));
    push @head, 'Connection: close' if $self->{closes};
    $request->say(join "\r\n", "HTTP/1.1 $status X", @head, "Content-Length: $length", '', '');
    $self->send_bytes($request, $first, $length) if $request->{method} eq 'GET';
    $request->close if $self->{closes};
    return;
}

sub send_bytes {
    my ($self, $request, $at, $left) = @_;
    while ($left > 0) {
        my $n = $left < 1 << 20 ? $left : 1 << 20;
        my $bytes = $self->content($at, $n);
        while (length $bytes) {
            my $sent = $request->say($bytes) or $request->close;
            substr $bytes, 0, $sent, '';
        }
        $at += $n;
        $left -= $n;
    }
    return;
}

1;
