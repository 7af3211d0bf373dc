# shellcheck shell=bash disable=SC2034
# Buckets of the stores by name, input, output and backup, and the S3 that holds them, for curl. Sourced after lib.sh.

. "$(dirname "${BASH_SOURCE[0]}")/s3.sh"

s3_store_bucket() { # input|output|backup
    case $1 in
    input) printf '%s' "${MEDIA_S3_BUCKET:-media}" ;;
    output) printf '%s' "${MEDIA_S3_OUTPUT_BUCKET:-${MEDIA_S3_BUCKET:-media}}" ;;
    backup) printf '%s' "${MEDIA_BACKUP_BUCKET:-media-backup}" ;;
    esac
}

s3_field() { # FILE PROFILE NAME
    awk -F ' *= *' -v section="[$2]" -v name="$3" \
        '/^\[/ { ours = ($0 == section) } ours && $1 == name { print $2; exit }' "$1"
}

# Requests go to AWS_ENDPOINT_URL from here on, with the keys that root has now.
s3_as_root() {
    local file=$SECRETS/media-s3-root/credentials
    S3_URL=${AWS_ENDPOINT_URL%/} S3_REGION=${AWS_REGION:-us-east-1}
    S3_KEY=$(s3_field "$file" default aws_access_key_id)
    S3_SECRET=$(s3_field "$file" default aws_secret_access_key)
    if [ -z "$S3_KEY" ] || [ -z "$S3_SECRET" ]; then
        die "$file has no keys for \"default\""
    fi
}
