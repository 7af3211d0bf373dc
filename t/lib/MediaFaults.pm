package MediaFaults;

# What the suites of builds with MEDIA_FAULTS share (ngx_media_fault.h): an nginx that takes plans, the janitor, and
# what is left of an upload.

use v5.30;
use warnings;

use Exporter 'import';
use File::Temp ();
use Test::More;
use MediaNginx;
use MediaTest;
use MediaUpload;

our @EXPORT = qw(fault_nginx plan_faults no_faults last_upload swept left_over shapes request_of);

my $dir = File::Temp->newdir;
my $module = MediaNginx::slurp($ENV{TEST_NGINX_LOAD_MODULES});
plan(skip_all => 'the module has no faults (MEDIA_FAULTS)') if $module !~ /media_fault_file/;

sub fault_nginx {
    return MediaNginx->start(
        http => media_http(media_s3_part_size => '5m', media_memory => '20m', media_fault_file => "$dir/plan", @_),
        server => upload_server());
}

# What shall happen to the next upload
sub plan_faults {
    my ($text) = @_;
    MediaNginx::spew("$dir/new", "$text\n");
    rename "$dir/new", "$dir/plan" or die $!;
    return;
}

# Asks until an upload has come as far as to take the empty plan: what is left of the last one ends connections before
sub no_faults {
    my ($nginx, $request) = @_;
    plan_faults('');
    $nginx->await('an upload takes the plan', sub { $nginx->ask($request); !-e "$dir/plan" });
    return;
}

# The id of the upload that took the last plan
sub last_upload {
    my ($nginx) = @_;
    my @ids = $nginx->log_text =~ /media fault: upload (\S+)/g;
    return $ids[-1];
}

# ---- every way a file can come: one PUT, one PUT of what was held, parts ----

my $small = mp4(200_000);
my $large = mp4(6_000_000);
my %shape = (
    raw => [$small, sub { put('a.mp4', $_[0], 'Connection: close') }],
    chunked => [$small, sub { put('a.mp4', undef, 'Transfer-Encoding: chunked', 'Connection: close') . chunked($_[0]) }],
    form => [$small, sub {
        post('', form(part('title', 'x'), part('params', '{"level": 2}'), part('file', $_[0], 'a.mp4'), part('visibility', 'public')),
            'Content-Type: multipart/form-data; boundary=limit', 'Connection: close');
    }],
    parts => [$large, sub { put('a.mp4', undef, 'Transfer-Encoding: chunked', 'Connection: close') . chunked($_[0]) }],
);

sub shapes { return sort keys %shape }

# Its file and its request
sub request_of {
    my ($name) = @_;
    my ($bytes, $request) = @{ $shape{$name} };
    return ($bytes, $request->($bytes));
}

# ---- what is left ----

# Time passes: uploads without a heart-beat are dead, what is doomed is due, and the janitor comes by: dooms what was
# theirs, deletes it, and looks again
sub swept {
    my $anna = user('anna')->{id};
    sql("UPDATE uploads SET heartbeat_at = now() - interval '1h' WHERE owner_id = '$anna'");
    for (1 .. 3) {
        sql("UPDATE objects SET retry_at = now() WHERE state = 'doomed'; UPDATE objects SET strays_at = now() WHERE strays_at > now()");
        local %ENV = (%ENV, PGUSER => 'media_janitor', MEDIA_UPLOAD_STALE_S => 60);
        delete @ENV{ grep { /^MEDIA_HEALTH/ } keys %ENV };
        MediaTest::run('', 'media-janitor', '--once');
    }
    return;
}

# One line about an upload: "committed" with its object, "nothing", or what is wrong
sub left_over {
    my ($id) = @_;
    my $rows = sql(<<"SQL");
        SELECT (SELECT count(*) FROM uploads WHERE id = '$id') || ' ' || (SELECT count(*) FROM media WHERE id = '$id') || ' '
            || coalesce((SELECT string_agg(state || CASE WHEN strays_at IS NULL THEN '' ELSE ' strays' END, ',') FROM objects WHERE media_id = '$id'), '-')
SQL
    my $there = defined object_bytes($id) ? 'object' : 'none';
    my $parts = unfinished($id);
    my $is = "$rows $there $parts";
    return $is eq '0 1 live object 0' ? 'committed' : $is eq '0 0 - none 0' ? 'nothing' : $is;
}

# How many multipart uploads S3 lists under its key
sub unfinished {
    my ($id) = @_;
    my $said = s3_curl("?prefix=media%2F$id%2Foriginal&uploads=", '-f');
    return scalar(() = $said =~ /<UploadId>/g);
}

1;
