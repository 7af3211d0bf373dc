package MediaJwt;

# Tokens of every algorithm and key sets, made by PyJWT (t/lib/jwt_tool.py); an issuer that serves key sets as badly
# as a test wants (t/lib/jwks_server.py).
#
#   pem_file('k1', 'RSA', 'public');                    # path; the key is made on first use
#   my $token = token_by('k1', 'RS256', kid => 'k1', sub => ...);
#   my $issuer = MediaJwt::Issuer->start;
#   $issuer->keys('k1', 'k2');  $issuer->mode('stall');  $issuer->asked;

use v5.30;
use warnings;

use Exporter 'import';
use File::Basename qw(dirname);
use File::Temp ();
use IPC::Open2 qw(open2);
use JSON::PP ();
use MediaNginx;
use MediaTest;

our @EXPORT = qw(pem_file write_file key_set jwk token_by token_raw claims_for verify_by ask_with);

my $dir = File::Temp->newdir;
chmod 0755, $dir;
my $json = JSON::PP->new->canonical->allow_nonref;
my %kinds;
my ($out, $in);

sub tool {
    my (%ask) = @_;
    if (!$in) {
        my $pid = open2($out, $in, '/usr/bin/python3', dirname(__FILE__) . '/jwt_tool.py');
        push @MediaJwt::Issuer::processes, $pid;
        $in->autoflush;
    }
    print {$in} $json->encode(\%ask), "\n";
    my $answer = <$out> // die 'jwt_tool.py died';
    return $json->decode($answer);
}

sub kind {
    my ($name, $kind) = @_;
    return $kinds{$name} //= $kind // 'RSA';
}

sub write_file {
    my ($name, $text) = @_;
    MediaNginx::spew("$dir/$name", $text);
    return "$dir/$name";
}

# A PEM file of the key: 'private' or 'public'
sub pem_file {
    my ($name, $kind, $half) = @_;
    return write_file("$name-$half.pem", tool(op => $half, key => $name, kind => kind($name, $kind)));
}

# {kty, ...} and further members
sub jwk {
    my ($name, %more) = @_;
    return { %{ tool(op => 'jwk', key => $name, kind => kind($name)) }, kid => $name, %more };
}

# The JSON of a set of keys, by name or as they are
sub key_set { return $json->encode({ keys => [map { ref ? $_ : jwk($_) } @_] }) }

sub claims_for {
    my ($user, %claims) = @_;
    my $now = time;
    my %all = (sub => user($user)->{id}, roles => ['user'], iat => $now, exp => $now + 600, iss => 'ngx_media',
        aud => 'ngx_media', %claims);
    delete @all{ grep { !defined $all{$_} } keys %all };
    return \%all;
}

# kid, secret and header apart, the rest are claims; undef takes one out
sub token_by {
    my ($name, $alg, %claims) = @_;
    my %header = (typ => 'JWT', %{ delete $claims{header} // {} });
    my $kid = exists $claims{kid} ? delete $claims{kid} : $name;
    $header{kid} = $kid if defined $kid;
    my @secret = exists $claims{secret} ? (secret => delete $claims{secret}) : ();
    my $user = delete $claims{user} // 'anna';
    return tool(op => 'sign', key => $name, kind => kind($name), alg => $alg, header => \%header, @secret,
        claims => claims_for($user, %claims));
}

# A token over two texts, signed as `how` says: an algorithm, or DER for ECDSA in OpenSSL's own form
sub token_raw {
    my ($name, $how, $header, $payload, @secret) = @_;
    return tool(op => 'raw', key => $name, kind => kind($name), alg => $how, header => $header, payload => $payload, @secret);
}

# The claims, by the key or by a JWK alone
sub verify_by {
    my ($name, $alg, $token, $jwk) = @_;
    return tool(op => 'verify', key => $name, kind => kind($name), alg => $alg, token => $token, jwk => $jwk);
}

# The answer of nginx to GET with a token
sub ask_with {
    my ($nginx, $uri, $token, @headers) = @_;
    my @auth = defined $token ? "Authorization: Bearer $token" : ();
    return $nginx->ask(http("GET $uri", join '', map { "$_\n" } @auth, @headers, 'Connection: close'));
}

package MediaJwt::Issuer;

use File::Basename qw(dirname);
use IO::Handle;
use IPC::Open2 qw(open2);

our @processes;
my $count = 0;

# tls => [certificate, key]
sub start {
    my ($class, %conf) = @_;
    my $self = bless { log => "$dir/issuer-" . $count++, scheme => $conf{tls} ? 'https' : 'http' }, $class;
    $self->{pid} = open2($self->{out}, $self->{in}, '/usr/bin/python3', dirname(__FILE__) . '/jwks_server.py',
        $self->{log}, @{ $conf{tls} // [] });
    push @processes, $self->{pid};
    $self->{in}->autoflush;
    chomp($self->{port} = readline($self->{out}) // die 'jwks_server.py died');
    return $self;
}

sub url { my ($self, $host) = @_; return "$self->{scheme}://" . ($host // '127.0.0.1') . ":$self->{port}/jwks" }

sub set {
    my ($self, %how) = @_;
    print { $self->{in} } $json->encode(\%how), "\n";
    readline $self->{out};
    return;
}

sub mode { my ($self, $mode, %headers) = @_; return $self->set(mode => $mode, headers => \%headers) }
sub keys { my ($self, @names) = @_; return $self->set(mode => 'ok', body => MediaJwt::key_set(@names), headers => {}) }

# How many requests there were
sub asked {
    my ($self) = @_;
    return 0 if !-e $self->{log};
    return scalar split /\n/, MediaNginx::slurp($self->{log});
}

sub stop {
    my ($self) = @_;
    kill 'TERM', $self->{pid};
    waitpid $self->{pid}, 0;
    @processes = grep { $_ != $self->{pid} } @processes;
    return;
}

END {
    local $?;
    kill 'TERM', $_ for @processes;
}

1;
