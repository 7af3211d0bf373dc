# Session tokens of a real STS, MinIO's: handed over by the environment and by a file, and fetched by a web identity whose
# provider is a small server here. The workers' S3 goes the same ways.

use lib 't/lib';
use Digest::SHA qw(sha1);
use JSON::PP ();
use MIME::Base64 qw(encode_base64url decode_base64url);
use Test::More;
use MediaTest;
use MediaNginx;
use MediaS3;
use MediaUpload;
use MediaObject;
use MediaVendor;

plan skip_all => 'versitygw has no STS' if s3_vendor() ne 'minio';

my $dir = File::Temp->newdir;
chmod 0755, $dir;
my $bytes = mp4(6_000_000, 'sts');
my @keys = qw(AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN);
my ($build) = $ENV{TEST_NGINX_LOAD_MODULES} =~ m{^(.*)/lib/[^/]+$};

# ---- an OpenID provider ----

my $json = JSON::PP->new->canonical;
MediaTest::run('', qw(openssl genrsa -out), "$dir/provider.pem", 2048);
my ($modulus) = MediaTest::run('', qw(openssl rsa -noout -modulus -in), "$dir/provider.pem") =~ /Modulus=(\w+)/;
my $jwks = $json->encode({ keys => [{ kty => 'RSA', kid => 'one', use => 'sig', alg => 'RS256', e => 'AQAB',
    n => encode_base64url(pack 'H*', $modulus) }] });
my $provider = MediaS3->start(sub {
    my ($self, $request) = @_;
    my $url = $self->url;
    return $request->reply(200, $jwks, 'Content-Type: application/json') if $request->{target} eq '/jwks';
    return $request->reply(200, $json->encode({ issuer => $url, jwks_uri => "$url/jwks", authorization_endpoint => "$url/auth",
        token_endpoint => "$url/token", response_types_supported => ['id_token'], subject_types_supported => ['public'],
        id_token_signing_alg_values_supported => ['RS256'] }), 'Content-Type: application/json');
});

sub identity {
    my (%claims) = @_;
    my %all = (iss => $provider->url, aud => 'media-gateway', sub => 'gateway', iat => time, exp => time + 3600, %claims);
    my $input = join '.', map { encode_base64url($json->encode($_)) } { alg => 'RS256', typ => 'JWT', kid => 'one' }, \%all;
    return "$input." . encode_base64url(MediaTest::run($input, qw(openssl dgst -sha256 -binary -sign), "$dir/provider.pem"));
}

my $s3 = MediaVendor->start(env => {
    MINIO_IDENTITY_OPENID_CONFIG_URL => $provider->url . '/.well-known/openid-configuration',
    MINIO_IDENTITY_OPENID_CLIENT_ID => 'media-gateway',
    MINIO_IDENTITY_OPENID_ROLE_POLICY => 'readwrite',
});
# MinIO names the role after the client
my $role = 'arn:minio:iam:::role/' . encode_base64url(sha1('media-gateway'));

# ---- what works with it ----

sub gateway { return MediaNginx->start(server => upload_server(), http => media_http(s3 => $s3->url, media_s3_part_size => '5m', media_memory => '20m', @_)) }

sub works {
    my ($nginx, $name) = @_;
    $nginx->await("$name - ready", sub { $nginx->ask(http('GET /readyz', ''))->{status} == 200 });
    my $one = committed($nginx->ask(put('a.mp4', $bytes)), $bytes, $name);
    my $parts = committed($nginx->ask(put('a.mp4', undef, 'Transfer-Encoding: chunked') . chunked($bytes)), $bytes, "$name, in parts");
    for my $id ($one, $parts) {
        my $answer = $nginx->ask(http("GET /media/$id/original", bearer('anna')));
        ok($answer->{status} == 200 && $answer->{body} eq $bytes, "$name - a download") or diag($nginx->log_text);
    }
    $nginx->stop($name);
    SKIP: {
        skip 'the workers are not built here', 1 if !-x "$build/workers/test_wk_s3";
        local @ENV{qw(AWS_ENDPOINT_URL MEDIA_S3_BUCKET)} = ($s3->url, 'media');
        like(eval { MediaTest::run('', "$build/workers/test_wk_s3") } // $@, qr/^\d+ passed, 0 failed$/m, "$name - the workers' S3");
    }
    return;
}

# ---- a session of the gateway's own keys, by AssumeRole ----

my $answer = MediaTest::run(qq{user = "$ENV{AWS_ACCESS_KEY_ID}:$ENV{AWS_SECRET_ACCESS_KEY}"\n}, qw(curl -sS -f -K - --aws-sigv4
    aws:amz:us-east-1:sts -d Action=AssumeRole&Version=2011-06-15&DurationSeconds=900), $s3->url . '/');
my %session = map { $_ => $answer =~ m{<$_>([^<]+)</$_>} ? $1 : '' } qw(AccessKeyId SecretAccessKey SessionToken);
ok($session{SessionToken}, 'AssumeRole gave a session') or diag($answer);
{
    local @ENV{@keys} = @session{qw(AccessKeyId SecretAccessKey SessionToken)};
    works(gateway(), 'a session in the environment');
}
MediaNginx::spew("$dir/keys", "[default]\naws_access_key_id=$session{AccessKeyId}\naws_secret_access_key=$session{SecretAccessKey}\n"
    . "aws_session_token=$session{SessionToken}\n");
{
    local %ENV = (%ENV, AWS_SHARED_CREDENTIALS_FILE => "$dir/keys");
    delete @ENV{@keys};
    works(gateway(), 'a session in a file');
}

# without its token it is nobody's
{
    local @ENV{@keys[0, 1]} = @session{qw(AccessKeyId SecretAccessKey)};
    my $nginx = gateway();
    problem($nginx->ask(put('a.mp4', $bytes)), 503, 'storage_unavailable', 'a session without its token');
    $nginx->stop('a session without its token');
}

# ---- a web identity ----

my %web = (AWS_WEB_IDENTITY_TOKEN_FILE => "$dir/web", AWS_ROLE_ARN => $role, AWS_ENDPOINT_URL_STS => $s3->url);
{
    local %ENV = (%ENV, %web);
    delete @ENV{@keys};
    MediaNginx::spew("$dir/web", identity());
    works(gateway(), 'a web identity');

    # a token that is over; the issuer puts another one there
    MediaNginx::spew("$dir/web", identity(iat => time - 7200, exp => time - 3600));
    my $nginx = gateway();
    $nginx->await('STS refuses it', sub { $nginx->log_text =~ /media s3 credentials: \S+ STS answered \w+; there are none/ });
    problem($nginx->ask(put('a.mp4', $bytes)), 503, 'storage_unavailable', 'an identity that is over');
    unlike($nginx->log_text, qr/eyJ/, 'an identity that is over - no token in the log');
    MediaNginx::spew("$dir/web", identity());
    works($nginx, 'an identity renewed');
}

done_testing();
