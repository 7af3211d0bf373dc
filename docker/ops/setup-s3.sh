#!/usr/bin/env bash
# MinIO's buckets and users, each with the rights of s3_rights.sh, by the keys of their secrets. May run again.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/stores.sh"
. "$(dirname "$0")/s3_rights.sh"

user() { # ROLE STORE...
    local role=$1 store statements='' key secret file=$SECRETS/media-s3-$1/credentials
    for store in "${@:2}"; do
        statements+=${statements:+,}$(s3_statements "$role" "$store")
    done
    key=$(s3_field "$file" default aws_access_key_id)
    secret=$(s3_field "$file" default aws_secret_access_key)
    minio_user "$key" "$secret" "$statements"
    say "user $key is set up"
}

work_dir
S3_TMP=$WORK
s3_as_root
await "S3" s3_ready
for store in input output backup; do
    s3_bucket "$(s3_store_bucket "$store")"
    say "bucket $(s3_store_bucket "$store") is set up"
done
for role in gateway worker janitor; do
    user "$role" input output
done
for role in backup restore; do
    user "$role" input output backup
done
