package MediaUpload;

# What the suites of uploads share: bodies and requests, the shipped routes with a pipeline that decodes
# nothing, and what became of an upload in PostgreSQL and S3.

use v5.30;
use warnings;

use Digest::SHA qw(sha256 sha256_hex);
use Exporter 'import';
use IPC::Open2 qw(open2);
use MIME::Base64 qw(encode_base64);
use Test::More;
use MediaTest;

our @EXPORT = qw(mp4 put post chunked form part digest upload_server object_bytes intent await_intent
    committed problem hold await_lock held_commit gateway_sql);

# ---- files and requests ----

# A file of that many bytes that looks like an MP4; another seed makes others of the same size
sub mp4 {
    my ($size, $seed) = @_;
    my $head = "\0\0\0\x18ftypmp42\0\0\0\0mp42isom";
    my $noise = sha256($seed // $size);
    my $bytes = $head . $noise x (1 + $size / length $noise);
    return substr $bytes, 0, $size;
}

# PUT /upload/NAME and POST /upload of a raw body; header lines follow
sub put {
    my ($name, $bytes, @headers) = @_;
    return request("PUT /upload/$name", $bytes, @headers);
}

sub post {
    my ($query, $bytes, @headers) = @_;
    return request("POST /upload$query", $bytes, @headers);
}

sub request {
    my ($line, $bytes, @headers) = @_;
    unshift @headers, 'Content-Length: ' . length $bytes if defined $bytes;
    return http($line, bearer('anna') . join('', map { "$_\n" } @headers), $bytes);
}

# The body in chunks; behind a request without a length
sub chunked {
    my ($bytes, $size) = @_;
    $size //= 100_000;
    my $out = '';
    for (my $at = 0; $at < length $bytes; $at += $size) {
        my $chunk = substr $bytes, $at, $size;
        $out .= sprintf "%x\r\n%s\r\n", length $chunk, $chunk;
    }
    return "${out}0\r\n\r\n";
}

# A form-data body of parts; the boundary is "limit"
sub form { return join '', (map { "--limit\r\n$_\r\n" } @_), "--limit--\r\n" }

# part('title', 'text') or part('file', $bytes, 'a.mp4', header lines)
sub part {
    my ($name, $value, $filename, @headers) = @_;
    my $file = defined $filename ? qq{; filename="$filename"} : '';
    return join "\r\n", qq{Content-Disposition: form-data; name="$name"$file}, @headers, '', $value;
}

sub digest { my ($bytes) = @_; return 'sha-256=:' . encode_base64(sha256($bytes), '') . ':' }

# ---- configuration ----

my %idle;

# The shipped routes; types, max_size and body_timeout replace what stands there. The step of their pipeline
# waits for one that does not exist, so the media fails at once and no worker decodes what tests send.
sub upload_server {
    my (%given) = @_;
    $idle{ $ENV{PGDATABASE} } ||= !!sql(<<'SQL' . 'SELECT 1');
        INSERT INTO pipelines VALUES ('test-idle', 'for tests', '{idle}') ON CONFLICT DO NOTHING;
        INSERT INTO pipeline_steps (pipeline, step, queue, depends_on, params_schema)
        VALUES ('test-idle', 'idle', 'short', '{never}', '{"level": {"type": "integer", "min": 1, "max": 9}}')
        ON CONFLICT DO NOTHING;
SQL
    my $text = MediaNginx::slurp($ENV{TEST_NGINX_MEDIA_CONF});
    my $types = $given{types} ? "media_types $given{types};" : '';
    my $max = $given{max_size} // 0;
    $text =~ s/media_pipeline audio;/media_pipeline test-idle;/ or die;
    $text =~ s/media_types [^;]+;/$types/ or die;
    $text =~ s/media_max_size 0;/media_max_size $max;/ or die;
    $text =~ s/client_body_timeout \w+;/client_body_timeout $given{body_timeout};/ or die if $given{body_timeout};
    my $metrics = $ENV{TEST_NGINX_MEDIA_CONF} =~ s{media(?=\.conf$)}{media-metrics}r;
    return join "\n", $text, "include $metrics;", @{ $given{lines} // [] }, '';
}

# ---- what became of it ----

# The bytes of an original in the real S3; undef when there is no object
sub object_bytes {
    my ($id) = @_;
    my $key = sql("SELECT object_key FROM media WHERE id = '$id'") || "media/$id/original";
    my $body = s3_curl($key, '-w', '%{http_code}');
    my $status = substr $body, -3, 3, '';
    return $status eq '200' ? $body : undef;
}

# Of an upload by its request id: "open" or "-", then the state of its object or "-"
sub intent {
    my ($request_id) = @_;
    return sql(<<"SQL");
        SELECT CASE WHEN EXISTS (SELECT FROM uploads WHERE request_id = '$request_id')
               THEN 'open' ELSE '-' END || ' '
            || coalesce((SELECT objects.state FROM objects JOIN media ON media.id = media_id
                          WHERE media.request_id = '$request_id'), '-')
SQL
}

# Waits for the intent to be closed without a commit
sub await_intent {
    my ($nginx, $request_id, $name) = @_;
    my $seen = '';
    eval { $nginx->await('intent', sub { $seen = intent($request_id); $seen eq '- -' }, 10) };
    return is($seen, '- -', "$name - the intent is closed, nothing is committed");
}

# A 201 for these bytes: the resource, the row and the object agree. Returns the id.
sub committed {
    my ($answer, $bytes, $name, %want) = @_;
    my $media = $answer->{json} // {};
    my $sha256 = sha256_hex($bytes);
    my $id = $media->{id} // '';
    is($answer->{status}, 201, "$name - created") or diag($answer->{body});
    is($answer->{headers}{location}, "/media/$id", "$name - its location") if $answer->{headers};
    is($media->{digest}{'sha-256'}, $sha256, "$name - its digest");
    is($media->{size}, length $bytes, "$name - its size");
    is_deeply($media->{$_}, $want{$_}, "$name - its $_") for grep { !/^(?:row|bytes)$/ } sort keys %want;
    return $id if $answer->{status} != 201;
    is(sql("SELECT size_bytes, sha256, o.state FROM media JOIN objects o USING (object_key) WHERE id = '$id'"),
        length($bytes) . "|$sha256|live", "$name - its rows") if $want{row};
    is(sha256_hex(object_bytes($id) // ''), $sha256, "$name - its object") if $want{bytes};
    return $id;
}

# A refusal: status, code, and what the detail has to say
sub problem {
    my ($answer, $status, $code, $name, $detail) = @_;
    my $p = $answer->{json} // {};
    is("$answer->{status} " . ($p->{code} // '-'), "$status $code", "$name - refused") or diag($answer->{body});
    return if $answer->{status} < 400;
    is($answer->{headers}{'content-type'}, 'application/problem+json', "$name - as a problem");
    like($p->{detail} // '', $detail, "$name - says why") if $detail;
    return;
}

# ---- the database, holding still ----

# A transaction of another session that holds locks until release()
sub hold {
    my ($statement) = @_;
    local $ENV{PGUSER} = 'media_owner';
    my $pid = open2(my $out, my $in, qw(psql -X -q -A -t -v ON_ERROR_STOP=1));
    $in->autoflush(1);
    print {$in} "SET search_path = media;\nBEGIN;\nSELECT 'held by ' || pg_backend_pid() FROM ($statement) x LIMIT 1;\n";
    my ($backend) = (<$out> // '') =~ /held by (\d+)/ or die "not held: $statement";
    return bless { pid => $pid, in => $in, out => $out, backend => $backend }, 'MediaUpload::Hold';
}

# SQL as the gateway, which sees its own statements
sub gateway_sql {
    my ($text) = @_;
    local @ENV{qw(PGUSER PGPASSFILE)} = ('media_gateway', MediaTest::secret_file('pgpass-media_gateway'));
    my $said = MediaTest::run($text, qw(psql -X -q -A -t -v ON_ERROR_STOP=1 -f -));
    chomp $said;
    return $said;
}

# Waits until a statement of the gateway waits for these locks; its backend
sub await_lock {
    my ($nginx, $hold) = @_;
    return $nginx->await('a statement waits', sub {
        gateway_sql("SELECT pid FROM pg_stat_activity WHERE usename = 'media_gateway'"
            . " AND $hold->{backend} = ANY (pg_blocking_pids(pid))");
    });
}

# Sends an upload, and returns what its commit then waits for, and the backend that waits
sub held_commit {
    my ($nginx, $client, $request, $request_id) = @_;
    $client->send(substr $request, 0, -1);
    my $owner = $nginx->await('the intent', sub { sql("SELECT owner_id FROM uploads WHERE request_id = '$request_id'") });
    my $hold = hold("SELECT 1 FROM users WHERE id = '$owner' FOR UPDATE");
    $client->send(substr $request, -1);
    return ($hold, await_lock($nginx, $hold));
}

package MediaUpload::Hold;

sub release {
    my ($self) = @_;
    my $in = delete $self->{in} or return;
    close $in;
    waitpid $self->{pid}, 0;
    return;
}

sub DESTROY { my ($self) = @_; local ($?, $!); return $self->release }

1;
