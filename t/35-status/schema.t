# A database whose schema this program does not fit, being older or newer: it is not used, /readyz says why, requests
# are put off, and all goes on by itself once it fits.

use lib 't/lib';
use Test::More;
use Cwd qw(abs_path);
use File::Basename qw(basename);
use File::Temp ();
use MediaTest;
use MediaNginx;
use MediaUpload;

my $base = "media_schema_$$";
my @files = sort glob 'sql/[0-9]*.sql';
my $program = 0 + basename($files[-1]) =~ s/_.*//r;
my $bytes = mp4(40_000);
my $nginx;

# As the superuser of the database server
sub super {
    local @ENV{qw(PGUSER PGDATABASE PGPASSFILE)} = ('postgres', 'postgres', secret_file('pgpass-postgres'));
    return MediaTest::run($_[0], qw(psql -X -q -A -t -v ON_ERROR_STOP=1 -f -));
}

sub migrate {
    local $ENV{PGUSER} = 'media_owner';
    return MediaTest::run('', 'mediactl', 'migrate', '--dir', $_[0]);
}

sub readiness {
    my ($name, $status, $text) = @_;
    my $answer;
    eval {
        $nginx->await($name, sub {
            $answer = $nginx->ask(http('GET /readyz', "Connection: close\n"));
            return $answer->{status} == $status && $answer->{body} =~ /^postgresql \Q$text\E\n/;
        }, 15);
    };
    is($answer->{status}, $status, "$name - readiness");
    like($answer->{body}, qr/^postgresql \Q$text\E\ns3 ok\n/, "$name - and why");
    is($nginx->ask(http('GET /healthz', ''))->{status}, 200, "$name - alive");
    return;
}

sub put_off {
    my ($name, @requests) = @_;
    my $id = '0193a000-0000-7000-8000-000000000000';
    for my $request (@requests, http("GET /media/$id/master.m3u8", ''), http('POST /login', "Authorization: Basic YTpi\nContent-Length: 0\n")) {
        my ($line) = $request =~ /^(\S+ \S+)/;
        my $answer = $nginx->ask($request);
        problem($answer, 503, 'database_unavailable', "$name - $line");
        ok($answer->{headers}{'retry-after'}, "$name - $line - when to come back");
    }
    return;
}

sub works {
    my ($name) = @_;
    readiness($name, 200, 'ok');
    is($nginx->ask(http('GET /media', bearer('anna')))->{status}, 200, "$name - a list");
    committed($nginx->ask(put('a.mp4', $bytes)), $bytes, "$name - an upload");
    return;
}

sub told {
    my ($text, $level) = @_;
    $level //= 'error';
    return scalar grep { /\[$level\].*media pg: not used: \Q$text\E$/ } split /\n/, $nginx->log_text;
}

my $server = upload_server();
super("CREATE DATABASE $base OWNER media_owner;\n");
END { super("DROP DATABASE IF EXISTS $base WITH (FORCE);\n") if $base }
local $ENV{PGDATABASE} = $base;
$nginx = MediaNginx->start(server => $server, http => media_http(
    media_pg => qq{"host=127.0.0.1 port=$ENV{PGPORT} dbname=$base user=media_gateway"}));

# ---- empty, older, migrated ----

my $unknown = "schema is older than this program needs, which is $program";
readiness('empty', 503, $unknown);
put_off('empty');
# halfway, a migration denies what it has made: that is another reason
$nginx->await('another attempt', sub { told($unknown, 'info') });
is(told($unknown), 1, 'the log has it once');

my $older = File::Temp->newdir;
symlink abs_path($_), "$older/" . basename $_ for @files[0 .. $#files - 1];
migrate($older);
readiness('before', 503, 'schema ' . ($program - 1) . ", this program needs $program");
migrate('sql');
upload_server();        # its pipeline, for this database
works('migrated');
sql("UPDATE schema SET version = $program - 1, oldest = 1");
readiness('older', 503, 'schema ' . ($program - 1) . ", this program needs $program");
put_off('older', http('GET /media', bearer('anna')), put('a.mp4', $bytes));
sql("UPDATE schema SET version = $program, oldest = $program");
works('no longer older');

# ---- newer ----

sql('UPDATE schema SET version = 999');
works('newer, and it serves us');

# an upload that has begun waits for the end of it
my $client = $nginx->client;
my $request = put('a.mp4', $bytes, "X-Request-Id: newer-$$");
$client->send(substr $request, 0, 5000);
$nginx->await('the intent', sub { intent("newer-$$") =~ /^open/ });
sql('UPDATE schema SET oldest = 998');
my $newer = "schema 999 serves programs from 998 on, this one is $program";
readiness('newer', 503, $newer);
put_off('newer', http('GET /me', bearer('anna')), http('GET /media', bearer('anna')), put('a.mp4', $bytes));
$client->send(substr $request, 5000);
sql("UPDATE schema SET oldest = $program");
committed($client->answer, $bytes, 'the upload that had begun');
works('no longer newer');

is(told($newer), 1, 'and again for another reason');
is($nginx->metric('uploads_active'), 0, 'no upload is active');
$nginx->stop('schemas');
done_testing();
