package MediaNginx;

# An nginx of one's own beside Test::Nginx, for what a block cannot say: connections that pause, break or go
# on after the answer, signals, a table of cases against one process. Tests are counted by Test::More.
#
#   my $nginx = MediaNginx->start(http => media_http(), server => upload_server());
#   my $answer = $nginx->ask(http('GET /healthz', ''));     # {status, headers, body, json}
#   my $client = $nginx->client;                            # send, answer, reset, close
#   $nginx->stop;                                           # in order, with a clean log: two tests

use v5.30;
use warnings;

use File::Temp ();
use IO::Select ();
use IO::Socket::INET ();
use JSON::PP ();
use POSIX qw(WNOHANG);
use Test::More ();
use Time::HiRes qw(sleep time);
use MediaTest;

our $PATIENCE = 30;     # seconds; ASAN on a busy machine is slow

my %running;

# ---- the process ----

# http, server, main: configuration text; workers; listen: more of the listen directive. With TEST_NGINX_USE_HUP it
# starts with another configuration, and what is tested comes by a reload.
sub start {
    my ($class, %conf) = @_;
    my $dir = File::Temp->newdir(CLEANUP => 1);
    chmod 0755, $dir;
    my $self = bless { dir => $dir, port => $ENV{TEST_NGINX_PORT} // 1984, log => "$dir/error.log" }, $class;
    my $hup = $ENV{TEST_NGINX_USE_HUP};
    $self->configure(%conf, $hup ? (main => '', http => '', server => 'return 204;') : ());
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDOUT, '>', "$dir/out" or die $!;
        open STDERR, '>&', \*STDOUT or die $!;
        exec binary(), '-e', $self->{log}, '-p', $dir, '-c', "$dir/nginx.conf" or POSIX::_exit(127);
    }
    $running{$pid} = $$;
    $self->{pid} = $pid;
    $self->await('nginx listens', sub {
        die 'nginx did not start: ' . $self->log_text . slurp("$dir/out") if waitpid($pid, WNOHANG) == $pid;
        return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port});
    });
    $self->await('its workers', sub { $self->workers >= ($conf{workers} // 1) });
    if ($hup) {
        $self->configure(%conf);
        $self->hup;
    }
    return $self;
}

# Another configuration, or the same, by a reload: back when the old workers are gone
sub hup {
    my ($self, %conf) = @_;
    my %old = map { $_ => 1 } $self->workers;
    $self->configure(%conf) if %conf;
    $self->kill('HUP');
    $self->await('new workers alone', sub {
        die 'nginx did not reload: ' . $self->log_text if $self->log_text =~ /\[emerg\]/;
        return $self->workers && !grep { -d "/proc/$_" } keys %old;
    });
    return;
}

# What `nginx -t` ends with, and says to $dir/nginx.conf
sub config_test {
    my ($dir, @options) = @_;
    local $ENV{ASAN_OPTIONS} = ($ENV{ASAN_OPTIONS} // '') . ':detect_leaks=0';      # it leaves everything to exit()
    my $said = MediaTest::run('', 'sh', '-c', 'exec 2>&1; "$@"; echo "exit=$?"', 'sh', binary(), '-t', '-c', "$dir/nginx.conf", @options);
    $said =~ s/exit=(\d+)\n\z//;
    return ($1, $said);
}

sub binary { return $ENV{TEST_NGINX_BINARY} // 'nginx' }

# Writes the configuration; with start() or before a HUP
sub configure {
    my ($self, %conf) = @_;
    spew("$self->{dir}/nginx.conf", conf_text(dir => $self->{dir}, port => $self->{port}, %conf));
    return;
}

sub conf_text {
    my %conf = @_;
    my $user = $conf{user} // ($> == 0 ? 'root' : '');
    return join "\n",
        "load_module $ENV{TEST_NGINX_LOAD_MODULES};",
        ($user ? "user $user;" : ()),
        ($conf{daemon} // 'daemon off;'),
        'worker_processes ' . ($conf{workers} // 1) . ';',
        "error_log $conf{dir}/error.log info;",
        "pid $conf{dir}/nginx.pid;",
        $conf{main} // media_main(),
        'events { worker_connections 1024; }',
        'http {',
        (map { "${_}_temp_path $conf{dir}/$_;" } qw(client_body proxy fastcgi uwsgi scgi)),
        'access_log off;',
        $conf{http} // media_http(),
        'server {',
        "listen 127.0.0.1:$conf{port};",
        $conf{server} // media_server(),
        '}', '}', '';
}

sub kill { my ($self, $signal) = @_; return CORE::kill($signal, $self->{pid}) }

# The worker processes by now; the children, with those that keep the cache
sub workers {
    my ($self) = @_;
    return grep { (eval { slurp("/proc/$_/cmdline") } // '') =~ /worker process/ } $self->children;
}

sub children {
    my ($self) = @_;
    my $children = eval { slurp("/proc/$self->{pid}/task/$self->{pid}/children") } // '';
    return split ' ', $children;
}

# How many sockets the only worker process holds
sub sockets {
    my ($self) = @_;
    my ($worker) = $self->workers;
    return scalar grep { (readlink // '') =~ /^socket:/ } glob "/proc/$worker/fd/*";
}

# Ends it in order and judges its log; lines that match may be there
sub stop {
    my ($self, $name, $may) = @_;
    $name //= 'nginx';
    $self->kill('QUIT');
    Test::More::ok(eval { $self->await('it exits', sub { $self->gone }); 1 }, "$name - stops in order")
        || $self->destroy;
    my @bad = grep { /\[(?:alert|crit|emerg)\]|exited on signal|exited with code [1-9]|Sanitizer|runtime error:/ }
        split /\n/, $self->log_text . slurp("$self->{dir}/out");
    @bad = grep { !/$may/ } @bad if $may;
    Test::More::is(join("\n", @bad), '', "$name - a clean log");
    return;
}

sub gone {
    my ($self) = @_;
    $self->{gone} ||= waitpid($self->{pid}, WNOHANG) == $self->{pid};
    delete $running{ $self->{pid} } if $self->{gone};
    return $self->{gone};
}

sub destroy {
    my ($self) = @_;
    $self->kill('STOP');        # or it would start another worker meanwhile
    CORE::kill('KILL', $self->children, $self->{pid});
    waitpid $self->{pid}, 0;
    delete $running{ $self->{pid} };
    return;
}

END {
    local $?;
    CORE::kill('TERM', $_) for grep { $running{$_} == $$ } keys %running;
}

sub log_text { my ($self) = @_; return slurp($self->{log}) }

# Waits until the condition is true; returns its value
sub await {
    my ($self, $what, $condition, $limit) = @_;
    my $end = time + ($limit // $PATIENCE);
    while (1) {
        my $value = $condition->();
        return $value if $value;
        die "not in time: $what\n" if time > $end;
        sleep 0.02;
    }
    return;
}

# A value of /metrics
sub metric {
    my ($self, $name) = @_;
    my $answer = $self->ask(http('GET /metrics', "Connection: close\n"));
    return $answer->{body} =~ /^ngx_media_\Q$name\E (\d+)$/m ? $1 : undef;
}

# ---- clients ----

# of another port, from another address of this host
sub client {
    my ($self, $port, $address) = @_;
    return MediaNginx::Client->new($port // $self->{port}, $address);
}

# One request on a connection of its own
sub ask {
    my ($self, @pieces) = @_;
    my $client = $self->client;
    $client->send(@pieces);
    return $client->answer;
}

sub slurp {
    open my $file, '<:raw', $_[0] or die "$_[0]: $!";
    local $/;
    return <$file> // '';
}

sub spew {
    open my $file, '>:raw', $_[0] or die "$_[0]: $!";
    print {$file} $_[1];
    close $file or die "$_[0]: $!";
    return;
}

package MediaNginx::Client;

use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(time);

sub new {
    my ($class, $port, $address) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port,
        $address ? (LocalAddr => $address) : ()) or die "connect: $!";
    $socket->blocking(0);
    return bless { socket => $socket, in => '' }, $class;
}

# Sends the texts; a number reference is a pause. Reads meanwhile, so that neither side blocks the other.
# Returns the count of bytes taken: fewer than all when nginx closed the connection.
sub send {
    my ($self, @pieces) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $sent = 0;
    for my $piece (@pieces) {
        if (ref $piece) {
            $self->pull($$piece);
            next;
        }
        my $at = 0;
        while ($at < length $piece) {
            my $n = syswrite $self->{socket}, $piece, 262_144, $at;
            if (defined $n) {
                $at += $n;
                $sent += $n;
                next;
            }
            return $sent unless $!{EAGAIN};
            die "nginx takes no more bytes\n" unless IO::Select->new($self->{socket})->can_write($PATIENCE);
        }
    }
    return $sent;
}

# Sends as much as nginx takes until nothing moved for that many seconds; the count
sub push_until_stuck {
    my ($self, $bytes, $quiet) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $sent = 0;
    while ($sent < length $bytes && IO::Select->new($self->{socket})->can_write($quiet)) {
        my $n = syswrite $self->{socket}, $bytes, 65_536, $sent;
        last if !defined $n && !$!{EAGAIN};
        $sent += $n // 0;
    }
    return $sent;
}

# Reads what comes within that many seconds; false at the end of the stream
sub pull {
    my ($self, $seconds) = @_;
    my $end = time + $seconds;
    while ((my $left = $end - time) > 0) {
        next unless IO::Select->new($self->{socket})->can_read($left);
        my $n = sysread $self->{socket}, $self->{in}, 262_144, length $self->{in};
        return 0 if defined $n && $n == 0 || !defined $n && !$!{EAGAIN};
        return 1;
    }
    return 1;
}

# Reads until the condition holds; 0: the connection has ended, or nothing has come for too long
sub need {
    my ($self, $condition) = @_;
    my ($end, $had) = (time + $PATIENCE, length $self->{in});
    until ($condition->()) {
        return 0 if time > $end || !$self->pull(1);
        ($end, $had) = (time + $PATIENCE, length $self->{in}) if length $self->{in} > $had;
    }
    return 1;
}

# The next answer on the connection; status 0 when there is none
sub answer {
    my ($self) = @_;
    my %answer = (status => 0, headers => {}, body => '');
    $self->need(sub { $self->{in} =~ /\r\n\r\n/ }) or return \%answer;
    (my $head, $self->{in}) = split /\r\n\r\n/, $self->{in}, 2;
    $head =~ s{^HTTP/1\.\d (\d+)[^\r]*(?:\r\n)?}{} or die "no answer: $head";
    $answer{status} = $1;
    $answer{head} = $head;
    for (split /\r\n/, $head) {
        my ($name, $value) = /^([^:]+): *(.*)/ or die "no header: $_";
        $answer{headers}{lc $name} = $value;
    }
    return \%answer if $answer{status} < 200;
    my $length = $answer{headers}{'content-length'} // 0;
    $self->need(sub { length $self->{in} >= $length });
    $answer{body} = substr $self->{in}, 0, $length, '';
    $answer{json} = eval { JSON::PP->new->utf8->decode($answer{body}) };
    return \%answer;
}

# True when nginx closes the connection in time
sub closed {
    my ($self) = @_;
    return !$self->pull($PATIENCE) || !$self->need(sub { 0 });
}

sub close { my ($self) = @_; return CORE::close($self->{socket}) }

# An RST instead of a FIN
sub reset {
    my ($self) = @_;
    setsockopt $self->{socket}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0) or die "setsockopt: $!";
    return CORE::close($self->{socket});
}

sub finish { my ($self) = @_; return shutdown $self->{socket}, 1 }

1;
