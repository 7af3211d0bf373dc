# shellcheck shell=bash
# S3: MinIO, or versitygw with S3=versitygw, unless the caller names another endpoint. Makes the bucket in
# any case. Both answer to http://BUCKET.localhost:PORT, too, and MinIO can encrypt at rest.

# shellcheck source=dev/gotool.sh
. "$ROOT/dev/gotool.sh"
# shellcheck source=docker/ops/s3.sh
. "$ROOT/docker/ops/s3.sh"
# shellcheck source=dev/servers/s3_users.sh
. "$ROOT/dev/servers/s3_users.sh"

S3_TMP=$RUN/tmp

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
