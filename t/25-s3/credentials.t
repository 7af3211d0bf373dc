# media_s3_credentials: a file that changes, the metadata services of EC2 and ECS and an STS that hand out the keys of the
# real S3 for a short while, say nonsense, stall or die. No request waits for them: without credentials it is 503.

use lib 't/lib';
use Test::More;
use Time::HiRes qw(time sleep);
use MediaTest;
use MediaNginx;
use MediaS3;
use MediaUpload;
use MediaObject;

my $bytes = mp4(100_000, 'credentials');
my ($key, $secret) = @ENV{qw(AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY)};
my @keys = qw(AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN);
my $dir = File::Temp->newdir;
chmod 0755, $dir;

sub upload { my ($nginx) = @_; return $nginx->ask(put('a.mp4', $bytes)) }

sub download {
    my ($nginx, $id) = @_;
    return $nginx->ask(http("GET /media/$id/original", bearer('anna')))->{status};
}

sub works {
    my ($nginx, $name) = @_;
    my $id = committed(upload($nginx), $bytes, $name);
    is(download($nginx, $id), 200, "$name - and a download");
    return $id;
}

# Everything that needs S3 is refused at once, the rest goes on
sub refused {
    my ($nginx, $name, $id) = @_;
    my $began = time;
    problem(upload($nginx), 503, 'storage_unavailable', "$name, an upload");
    is(download($nginx, $id), 503, "$name, a download") if $id;
    is($nginx->ask(http('GET /healthz', ''))->{status}, 200, "$name - /healthz");
    is($nginx->ask(http('GET /readyz', ''))->{status}, 503, "$name - /readyz");
    cmp_ok(time - $began, '<', 3, "$name - nobody waited");
    return;
}

sub clean {
    my ($nginx, $name) = @_;
    unlike($nginx->log_text, qr/\Q$secret\E/, "$name - no secret in the log");
    return $nginx->stop($name);
}

# ---- a file ----

sub write_keys {
    my ($text) = @_;
    MediaNginx::spew("$dir/keys.new", $text);
    rename "$dir/keys.new", "$dir/keys" or die $!;
    return;
}

sub profile { my ($name, $k, $s) = @_; return "[$name]\naws_access_key_id = $k\naws_secret_access_key = $s\n" }

{
    local @ENV{@keys};
    delete @ENV{@keys};
    write_keys(profile(default => 'no', 'such') . profile(work => $key, $secret));
    my $nginx = MediaNginx->start(server => upload_server(), http => media_http(cache => 'off', media_s3_credentials => "file $dir/keys work"));
    my $id = works($nginx, 'a file');

    write_keys(profile(work => $key, 'wrong'));
    $nginx->await('the wrong keys are in use', sub { upload($nginx)->{status} == 503 });
    is(download($nginx, $id), 503, 'a file with wrong keys - no download');

    write_keys(profile(work => $key, $secret));
    $nginx->await('the right keys are in use', sub { upload($nginx)->{status} == 201 });
    is(download($nginx, $id), 200, 'a file set right - a download');

    write_keys("[work]\naws_access_key_id = $key\n");
    $nginx->await('it was seen', sub { $nginx->metric('s3_credentials_failed_total') });
    works($nginx, 'half a file');
    like($nginx->log_text, qr/"\Q$dir\E\/keys": the profile lacks aws_\w+ or aws_\w+; the old ones stay/, 'half a file - is said');
    unlink "$dir/keys";
    works($nginx, 'no file');
    clean($nginx, 'a file');
}

# ---- over HTTP ----

sub after { my ($s) = @_; my @t = gmtime(time + $s); return sprintf '%d-%02d-%02dT%02d:%02d:%02dZ', $t[5] + 1900, $t[4] + 1, @t[3, 2, 1, 0] }

sub document {
    my ($for) = @_;
    return qq({"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"$key","SecretAccessKey":"$secret","Token":null,"Expiration":")
        . after($for) . '"}';
}

sub sts_answer {
    my ($for) = @_;
    my $expires = after($for);
    return '<?xml version="1.0"?><AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        . "<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>$key</AccessKeyId>"
        . "<SecretAccessKey>$secret</SecretAccessKey><Expiration>$expires</Expiration></Credentials>"
        . '</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>';
}

# The services; the mode is how long keys last, or what is wrong
sub service {
    my ($self, $request) = @_;
    my ($mode, $target) = ($self->mode, $request->{target});
    my $h = $request->{headers};
    my $body = $request->body;
    if ($mode eq 'stall') { sleep 60; return $request->close }
    return $request->close if $mode eq 'close';
    return $request->reply(200, "<html>garbage\0</html>" x 100) if $mode eq 'garbage';
    return $request->reply(500, 'no') if $mode eq 'broken';
    return $request->reply(200, 'x' x 5_000_000) if $mode eq 'huge';
    my $for = $mode eq 'over' ? -1 : $mode;
    if ($target eq '/latest/api/token') {
        return $request->reply($request->{method} eq 'PUT' && $h->{'x-aws-ec2-metadata-token-ttl-seconds'} ? 200 : 400, 'imds-session');
    }
    if ($target =~ m{^/latest/meta-data/iam/security-credentials/(.*)}) {
        return $request->reply(401, '') if ($h->{'x-aws-ec2-metadata-token'} // '') ne 'imds-session';
        return $request->reply(200, $1 eq '' ? "the-role\n" : $1 eq 'the-role' ? document($for) : '');
    }
    if ($target eq '/ecs?id=1') {
        return $request->reply(($h->{authorization} // '') eq 'ecs-token' ? 200 : 403, document($for));
    }
    if ($target eq '/' && $request->{method} eq 'POST') {
        $self->note("body $body");
        return $request->reply(200, sts_answer($for));
    }
    return $request->reply(404, '');
}

MediaNginx::spew("$dir/web-token", "web.identity.token\n");
MediaNginx::spew("$dir/ecs-token", "ecs-token\n");

my %sources = (
    imds => sub { (AWS_EC2_METADATA_SERVICE_ENDPOINT => $_[0]->url) },
    ecs => sub { (AWS_CONTAINER_CREDENTIALS_FULL_URI => $_[0]->url . '/ecs?id=1', AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE => "$dir/ecs-token") },
    web_identity => sub { (AWS_ENDPOINT_URL_STS => $_[0]->url, AWS_ROLE_ARN => 'arn:aws:iam::1:role/media',
        AWS_WEB_IDENTITY_TOKEN_FILE => "$dir/web-token") },
);

# An nginx that has that source only
sub with_source {
    my ($source, $service, %conf) = @_;
    local %ENV = (%ENV, $sources{$source}->($service));
    delete @ENV{@keys};
    # without a directive the environment decides, save for EC2
    my %directive = $source eq 'imds' ? (media_s3_credentials => 'imds') : ();
    return MediaNginx->start(server => upload_server(), http => media_http(%directive), %conf);
}

for my $source (sort keys %sources) {
    my $service = MediaS3->start(\&service);
    $service->mode(3600);
    my $nginx = with_source($source, $service, workers => 2);
    $nginx->await("$source gave keys", sub { $nginx->ask(http('GET /readyz', ''))->{status} == 200 });
    my $id = works($nginx, $source);
    my @asked = $service->asked;
    $nginx->kill('HUP');
    my @old = $nginx->workers;
    $nginx->await('new workers', sub { my %new = map { $_ => 1 } $nginx->workers; %new && !grep { $new{$_} } @old });
    is(download($nginx, $id), 200, "$source, after a reload - credentials are there at once");
    works($nginx, "$source, after a reload");
    is(scalar $service->asked, scalar @asked, "$source, after a reload - nobody asked for them again");
    clean($nginx, $source);
    if ($source eq 'web_identity') {
        my ($body) = grep { /^body/ } @asked;
        is($body, 'body Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fmedia'
            . '&RoleSessionName=ngx_media&WebIdentityToken=web.identity.token', "$source - the form");
    }
}

# none yet, of all kinds; then there are some
for my $wrong (qw(stall close garbage broken huge over)) {
    my $service = MediaS3->start(\&service);
    $service->mode($wrong);
    my $nginx = with_source('ecs', $service);
    refused($nginx, "a service that does $wrong");
    if ($wrong ne 'stall') {
        $nginx->await('it is said', sub { $nginx->log_text =~ /media s3 credentials: 127\.0\.0\.1:\d+: .*; there are none/ });
        $service->mode(3600);
        $nginx->await('it comes round', sub { $nginx->ask(http('GET /readyz', ''))->{status} == 200 });
        works($nginx, "a service that did $wrong");
    }
    clean($nginx, "a service that does $wrong");
}

# keys for twenty seconds: new ones come before they end; when none come, they last to their end, and no longer
my $service = MediaS3->start(\&service);
$service->mode(20);
my $nginx = with_source('ecs', $service);
$nginx->await('ecs gave keys', sub { $nginx->ask(http('GET /readyz', ''))->{status} == 200 });
my $id = works($nginx, 'short-lived keys');
my $until = time + 22;
my ($tried, $failed) = (0, 0);
while (time < $until) {
    $tried++;
    $failed++ if download($nginx, $id) != 200;
    sleep 0.2;
}
is($failed, 0, "short-lived keys - $tried downloads while they were renewed");
cmp_ok(scalar($service->asked), '>=', 2, 'short-lived keys - were renewed');

my $renewed = $nginx->metric('s3_credentials_renewed_total');
$nginx->await('fresh keys', sub { $nginx->metric('s3_credentials_renewed_total') > $renewed });
my $fresh = time;
$service->mode('broken');
$nginx->await('a renewal fails', sub { $nginx->metric('s3_credentials_failed_total') > 0 });
like($nginx->log_text, qr/the answer has status 500; the old ones are still good/, 'no new keys - is said');
is(download($nginx, $id), 200, 'no new keys - the old ones are used');
works($nginx, 'no new keys');
$nginx->await('they end', sub { download($nginx, $id) == 503 });
cmp_ok(time - $fresh, '>', 17, 'no new keys - used to their end');
refused($nginx, 'keys that ended', $id);
$service->mode(3600);
$nginx->await('new ones come', sub { $nginx->ask(http('GET /readyz', ''))->{status} == 200 });
works($nginx, 'new keys in the end');
clean($nginx, 'short-lived keys');

# a token file that is none, and later is one
MediaNginx::spew("$dir/ecs-token", "two words\n");
$nginx = with_source('ecs', $service);
refused($nginx, 'a broken token file');
$nginx->await('it is said', sub { $nginx->log_text =~ /the authorization token is no token; there are none/ });
MediaNginx::spew("$dir/ecs-token", "ecs-token\n");
$nginx->await('it is read again', sub { $nginx->ask(http('GET /readyz', ''))->{status} == 200 });
works($nginx, 'a mended token file');
clean($nginx, 'a broken token file');

done_testing();
