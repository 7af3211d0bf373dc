package MediaVendor;

# An S3 of one's own beside that of `make up`: the same program (MinIO or versitygw), with TLS or another
# environment, on a port and in a directory of its own; it has an empty bucket "media" and the test's keys.
#
#   my $s3 = MediaVendor->start(tls => $certificates, env => {...});
#   $s3->url; $s3->stop;

use v5.30;
use warnings;

use File::Path qw(make_path remove_tree);
use File::Temp ();
use IO::Socket::INET ();
use MediaNginx;
use MediaObject;
use MediaTest;

sub program {
    my $cache = $ENV{MEDIA_CACHE} // ($ENV{XDG_CACHE_HOME} // "$ENV{HOME}/.cache") . '/ngx_media';
    return "$cache/bin/" . s3_vendor();
}

# tls: a directory with public.crt and private.key. env: more of its environment. port: else any
sub start {
    my ($class, %with) = @_;
    my $port = $with{port} // free_port();
    # versitygw needs extended attributes, which /tmp may not have
    my $dir = File::Temp->newdir(DIR => -d '/var/tmp' ? '/var/tmp' : undef);
    my $self = bless { dir => $dir, port => $port, tls => $with{tls}, log => "$dir/log", owner => $$ }, $class;
    make_path("$dir/data");
    my @command = s3_vendor() eq 'versitygw' ? $self->versitygw : $self->minio;
    my $program = program();
    $self->{pid} = fork // die "fork: $!";
    if (!$self->{pid}) {
        open STDOUT, '>', $self->{log} or die $!;
        open STDERR, '>&', \*STDOUT or die $!;
        %ENV = (PATH => $ENV{PATH}, HOME => "$dir", root_keys(), %{ $with{env} // {} });
        exec $program, @command or POSIX::_exit(127);
    }
    my $status = '';
    my $ready = eval { MediaNginx::await($self, 'S3 is ready', sub { ($status = $self->bucket) =~ /^(?:200|409)$/ }); 1 };
    die "no S3: $status " . MediaNginx::slurp($self->{log}) if !$ready;
    return $self;
}

sub root_keys {
    my ($key, $secret) = @ENV{qw(AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY)};
    return (ROOT_ACCESS_KEY => $key, ROOT_SECRET_KEY => $secret) if s3_vendor() eq 'versitygw';
    return (MINIO_ROOT_USER => $key, MINIO_ROOT_PASSWORD => $secret, MINIO_BROWSER => 'off', MINIO_UPDATE => 'off',
        MINIO_DOMAIN => 'localhost');
}

sub minio {
    my ($self) = @_;
    my $address = "127.0.0.1:$self->{port}";
    return ('server', '--quiet', '--address', $address, $self->{tls} ? ('--certs-dir', $self->{tls}) : (), "$self->{dir}/data");
}

sub versitygw {
    my ($self) = @_;
    my $tls = $self->{tls};
    return ('--port', "127.0.0.1:$self->{port}", '--virtual-domain', "localhost:$self->{port}", '--quiet',
        $tls ? ('--cert', "$tls/public.crt", '--key', "$tls/private.key") : (), 'posix', "$self->{dir}/data");
}

sub url {
    my ($self, $host) = @_;
    return ($self->{tls} ? 'https' : 'http') . '://' . ($host // '127.0.0.1') . ":$self->{port}";
}

sub bucket { my ($self) = @_; return eval { $self->curl('media', qw(-X PUT -o /dev/null -w %{http_code})) } // '' }

# A request by the test's keys; more arguments are options of curl
sub curl {
    my ($self, $path, @options) = @_;
    return s3_ask($self->url . "/$path", '-k', @options);
}

sub free_port {
    my $socket = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', LocalPort => 0) or die $!;
    return $socket->sockport;
}

sub stop {
    my ($self) = @_;
    return if !$self->{pid} || $self->{owner} != $$;
    kill 'KILL', $self->{pid};
    waitpid delete $self->{pid}, 0;
    return;
}

sub DESTROY { my ($self) = @_; local ($?, $!, $@); return $self->stop }

1;
