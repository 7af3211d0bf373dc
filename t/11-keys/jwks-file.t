# media_auth_jwks file: used from the start, read again when it changes, kept when what it becomes is no set

use lib 't/lib';
use Test::More;
use MediaTest;
use MediaNginx;
use MediaJwt;

pem_file($_->[0], $_->[1], 'public') for ['k1', 'RSA'], ['k2', 'P-256'], ['k3', 'Ed25519'];
my $path = write_file('set.jwks', key_set('k1'));
my $guarded = 'location / { media_auth on; empty_gif; }';
my $nginx = MediaNginx->start(http => "media_auth_jwks file $path;", server => $guarded, workers => 2);

# Replaces the file as a whole, as one does, or writes over it
sub becomes {
    my ($text) = @_;
    MediaNginx::spew("$path.new", $text);
    rename "$path.new", $path or die $!;
    return;
}

# Waits until every process says so: 20 answers in a row
sub all_say {
    my ($status, $name, @token) = @_;
    my $in_row = 0;
    my $token = token_by(@token);
    ok(eval { $nginx->await($name, sub {
        $in_row = ask_with($nginx, '/', $token)->{status} == $status ? $in_row + 1 : 0;
        return $in_row >= 20;
    }) }, $name);
    return;
}

sub says { my ($status, $name, @token) = @_; is(ask_with($nginx, '/', token_by(@token))->{status}, $status, $name); return }

says(200, 'a key of the set', 'k1', 'RS256');
says(200, 'another algorithm of an RSA key without "alg"', 'k1', 'PS384');
says(401, 'a key that is not in the set', 'k2', 'ES256');

becomes(key_set('k1', 'k2'));
all_say(200, 'a key added', 'k2', 'ES256');
says(200, 'the old one stays', 'k1', 'RS256');

becomes(key_set('k2'));
all_say(401, 'a key taken away: its tokens are worth nothing, though the cache knew them', 'k1', 'RS256');
says(200, 'the other stays', 'k2', 'ES256');

# in place, of the same size
my $text = key_set(jwk('k2', alg => 'ES256', use => 'sig'));
MediaNginx::spew($path, $text);
all_say(200, 'written over', 'k2', 'ES256');
MediaNginx::spew($path, $text =~ s/"sig"/"enc"/r);
all_say(401, 'written over by as many bytes', 'k2', 'ES256');
becomes(key_set('k2'));
all_say(200, 'and back', 'k2', 'ES256');

my %bad = (
    'garbage' => "\x16\x03\x01", 'an empty file' => '', 'half a set' => substr(key_set('k2'), 0, 60),
    'a duplicate member' => '{"keys":[],"keys":[]}', 'too many bytes' => '{"keys":[]}' . ' ' x 65_536,
    'too many keys' => key_set(('k3') x 65),
);
for my $name (sort keys %bad) {
    my $before = () = $nginx->log_text =~ /is kept as it was/g;
    becomes($bad{$name});
    ok(eval { $nginx->await($name, sub { my $n = () = $nginx->log_text =~ /is kept as it was/g; $n >= $before + 2 }) },
        "$name - both processes have looked");
    says(200, "$name - the old set stays", 'k2', 'ES256');
}
unlink $path;
ok(eval { $nginx->await('gone', sub { $nginx->log_text =~ /stat\(\) "\Q$path\E" failed/ }) }, 'the file goes');
says(200, 'the old set stays', 'k2', 'ES256');
becomes(key_set('k3'));
all_say(200, 'and comes back', 'k3', 'EdDSA');
all_say(401, 'with another key', 'k2', 'ES256');

# a secret in a file may be one
becomes(key_set({ kty => 'oct', kid => 'o', alg => 'HS256', k => 'c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U' }));
all_say(200, 'a symmetric key', 'o', 'HS256', secret => 'secretsecretsecretsecretsecretse');
unlike($nginx->log_text, qr/c2VjcmV0|secretsecret/, 'it is not logged');

# a reload reads it as well; and refuses what is no set
becomes(key_set('k1'));
$nginx->kill('HUP');
all_say(200, 'after a reload', 'k1', 'RS256');
becomes('garbage');
$nginx->kill('HUP');
ok(eval { $nginx->await('refused', sub { $nginx->log_text =~ /\[emerg\].*"\Q$path\E" is no key set: / }) }, 'a reload with a bad file is refused');
says(200, 'the old processes go on', 'k1', 'RS256');
$nginx->kill('QUIT');
$nginx->await('it exits', sub { $nginx->gone });

done_testing();
