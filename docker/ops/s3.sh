# shellcheck shell=bash
# S3 by curl: of `make up`, the setup job and who heals a member. Sourced by who has said die(), and set S3_URL,
# S3_REGION, S3_KEY, S3_SECRET, and S3_TMP, a directory of its own.

# A signed request, its body from a file; the key goes to curl on stdin. Prints the status; the answer is
# $S3_TMP/s3-answer.
s3_request() { # METHOD PATH [FILE]
    local body=()
    [ $# -lt 3 ] || body=(--data-binary "@$3")
    s3_curl -X "$1" "${body[@]}" --max-time 20 -o "$S3_TMP/s3-answer" -w '%{http_code}' "$S3_URL$2"
}

s3_curl() { # CURL-ARGUMENT...
    curl -sS -K <(printf 'user = "%s:%s"\n' "$S3_KEY" "$S3_SECRET") --aws-sigv4 "aws:amz:$S3_REGION:s3" \
        -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' "$@"
}

# a listing of buckets: MinIO's own /minio/health/ready says yes before requests get anything but 503
s3_ready() { [ "$(s3_request GET / 2>/dev/null)" = 200 ]; }

s3_answer() { head -c 300 "$S3_TMP/s3-answer"; }

s3_bucket() { # NAME
    local status
    status=$(s3_request PUT "/$1") || die "s3: no answer from $S3_URL"
    case $status in
    200 | 409) ;; # 409: it is there
    *) die "s3: cannot make bucket $1: status $status: $(s3_answer)" ;;
    esac
    # 409 may also mean that the name is somebody else's: the bucket must open to our key
    status=$(s3_request GET "/$1?list-type=2&max-keys=1")
    [ "$status" = 200 ] || die "s3: bucket $1 is not ours: status $status"
}

# Sends stdin; it may hold a secret.
s3_tell() { # WHAT METHOD PATH
    local status file=$S3_TMP/s3-body
    (umask 077 && cat >"$file")
    status=$(s3_request "$2" "$3" "$file") || status='no answer'
    rm -f "$file"
    case $status in
    2*) ;;
    *) die "s3: cannot set $1: status $status: $(s3_answer)" ;;
    esac
}
