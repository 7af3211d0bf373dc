# shellcheck shell=bash
# S3: MinIO, unless the caller names another endpoint. Makes the bucket either way.

# shellcheck source=dev/minio.sh
. "$ROOT/dev/minio.sh"

s3_start() {
    local sig dir=$RUN/data/minio
    if [ "$S3_OWN" = 0 ]; then
        proc_stop s3
        return 0
    fi
    sig=$(printf '%s\n' "$MEDIA_S3_PORT" "$S3_KEY" "$S3_SECRET" "$MINIO_VERSION" | digest)
    proc_current s3 "$sig" && return 0
    minio_build
    port_free s3 "$MEDIA_S3_PORT" MEDIA_S3_PORT
    mkdir -p "$dir"
    chmod 0700 "$dir"
    (
        clean_env
        export HOME=$dir MINIO_ROOT_USER=$S3_KEY MINIO_ROOT_PASSWORD=$S3_SECRET MINIO_BROWSER=off MINIO_UPDATE=off
        proc_start s3 "$sig" "$MINIO_BIN" server --quiet --address "127.0.0.1:$MEDIA_S3_PORT" "$dir"
    )
}

# A signed request; the key goes to curl on stdin. Prints the status.
s3_request() { # METHOD PATH
    printf 'user = "%s:%s"\n' "$S3_KEY" "$S3_SECRET" |
        curl -sS -K - --aws-sigv4 "aws:amz:$S3_REGION:s3" -X "$1" --max-time 20 \
            -o "$RUN/tmp/s3-answer" -w '%{http_code}' "$S3_URL$2"
}

# MinIO's own /minio/health/ready says yes before requests are answered with anything but 503
s3_ready() { [ "$(s3_request GET / 2>/dev/null)" = 200 ]; }

s3_bucket() {
    local status
    status=$(s3_request PUT "/$MEDIA_S3_BUCKET") || die "s3: no answer from $S3_URL"
    case $status in
    200 | 409) ;; # 409: it is there
    *) die "s3: cannot make bucket $MEDIA_S3_BUCKET: status $status: $(head -c 300 "$RUN/tmp/s3-answer")" ;;
    esac
    # 409 may also mean that the name is somebody else's: the bucket must open to our key
    status=$(s3_request GET "/$MEDIA_S3_BUCKET?list-type=2&max-keys=1")
    [ "$status" = 200 ] || die "s3: bucket $MEDIA_S3_BUCKET is not ours: status $status"
}

s3_await() {
    if [ "$S3_OWN" = 1 ]; then
        proc_await s3 60 s3_ready
    fi
    s3_bucket
}
