# shellcheck shell=bash
# S3: MinIO, or versitygw with S3=versitygw, unless the caller names another endpoint. Makes the bucket in
# any case. Both answer to http://BUCKET.localhost:PORT, too, and MinIO can encrypt at rest.

# shellcheck source=dev/gotool.sh
. "$ROOT/dev/gotool.sh"
# shellcheck source=dev/servers/s3_users.sh
. "$ROOT/dev/servers/s3_users.sh"

# at once; MinIO makes it follow its memory otherwise, and refuses all beyond that
MINIO_REQUESTS=10000

s3_start() {
    local sig bin dir=$RUN/data/$S3
    if [ "$S3_OWN" = 0 ]; then
        proc_stop s3
        return 0
    fi
    secret s3-kms 32 >/dev/null
    sig=$(printf '%s\n' "$MEDIA_S3_PORT" "$S3_KEY" "$S3_SECRET" "$S3" "$(gotool_field "$S3" VERSION)" \
        "$MINIO_REQUESTS" | digest)
    proc_current s3 "$sig" && return 0
    gotool_build "$S3"
    bin=$(gotool_bin "$S3")
    port_free s3 "$MEDIA_S3_PORT" MEDIA_S3_PORT
    mkdir -p "$dir"
    chmod 0700 "$dir"
    (
        clean_env
        export HOME=$dir
        "${S3}_start" "$sig" "$bin" "$dir"
    )
}

minio_start() { # SIGNATURE PROGRAM DIR
    export MINIO_ROOT_USER=$S3_KEY MINIO_ROOT_PASSWORD=$S3_SECRET MINIO_BROWSER=off MINIO_UPDATE=off \
        MINIO_DOMAIN=localhost MINIO_KMS_SECRET_KEY MINIO_API_REQUESTS_MAX=$MINIO_REQUESTS
    MINIO_KMS_SECRET_KEY=media:$(secret s3-kms 32 | hex_to_base64)
    proc_start s3 "$1" "$2" server --quiet --address "127.0.0.1:$MEDIA_S3_PORT" "$3"
}

versitygw_start() { # SIGNATURE PROGRAM DIR
    mkdir -p "$3/buckets" "$3/users"
    export ROOT_ACCESS_KEY=$S3_KEY ROOT_SECRET_KEY=$S3_SECRET
    proc_start s3 "$1" "$2" --port "127.0.0.1:$MEDIA_S3_PORT" --region "$S3_REGION" \
        --virtual-domain "localhost:$MEDIA_S3_PORT" --iam-dir "$3/users" --quiet posix "$3/buckets"
}

hex_to_base64() { python3 -c 'import base64, sys; print(base64.b64encode(bytes.fromhex(sys.stdin.read())).decode())'; }

# A signed request, its body from a file; the key goes to curl on stdin. Prints the status.
s3_request() { # METHOD PATH [FILE]
    local body=()
    [ $# -lt 3 ] || body=(--data-binary "@$3")
    printf 'user = "%s:%s"\n' "$S3_KEY" "$S3_SECRET" |
        curl -sS -K - --aws-sigv4 "aws:amz:$S3_REGION:s3" -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' -X "$1" \
            "${body[@]}" --max-time 20 -o "$RUN/tmp/s3-answer" -w '%{http_code}' "$S3_URL$2"
}

# a listing of buckets: MinIO's own /minio/health/ready says yes before requests get anything but 503
s3_ready() { [ "$(s3_request GET / 2>/dev/null)" = 200 ]; }

s3_bucket() { # NAME
    local status
    status=$(s3_request PUT "/$1") || die "s3: no answer from $S3_URL"
    case $status in
    200 | 409) ;; # 409: it is there
    *) die "s3: cannot make bucket $1: status $status: $(head -c 300 "$RUN/tmp/s3-answer")" ;;
    esac
    # 409 may also mean that the name is somebody else's: the bucket must open to our key
    status=$(s3_request GET "/$1?list-type=2&max-keys=1")
    [ "$status" = 200 ] || die "s3: bucket $1 is not ours: status $status"
}

s3_await() {
    if [ "$S3_OWN" = 1 ]; then
        proc_await s3 60 s3_ready
    fi
    s3_bucket "$MEDIA_S3_BUCKET"
    if [ "$S3_OUTPUT" = separate ]; then
        s3_bucket "$S3_OUTPUT_BUCKET"
        s3_users
    fi
}
