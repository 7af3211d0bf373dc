# shellcheck shell=bash disable=SC2034
# The S3 stores by name: input, output (AWS_ENDPOINT_URL, MEDIA_S3_BUCKET, MEDIA_S3_OUTPUT_BUCKET) and backup
# (MEDIA_BACKUP_*, by default a bucket beside them). Sourced after lib.sh.

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

# As the user of a credentials file's profile
s3_login() { # FILE PROFILE
    S3_KEY=$(s3_field "$1" "$2" aws_access_key_id)
    S3_SECRET=$(s3_field "$1" "$2" aws_secret_access_key)
    if [ -z "$S3_KEY" ] || [ -z "$S3_SECRET" ]; then
        die "$1 has no keys for \"$2\""
    fi
}

# Whatever is asked of S3 from here on is asked of this store, by AWS_SHARED_CREDENTIALS_FILE.
s3_use() { # STORE
    S3_URL=$AWS_ENDPOINT_URL S3_REGION=${AWS_REGION:-us-east-1} S3_PROFILE=default
    if [ "$1" = backup ]; then
        S3_URL=${MEDIA_BACKUP_ENDPOINT_URL:-$S3_URL} S3_REGION=${MEDIA_BACKUP_REGION:-$S3_REGION} S3_PROFILE=backup
    fi
    S3_URL=${S3_URL%/} S3_BUCKET=$(s3_store_bucket "$1")
    s3_login "$AWS_SHARED_CREDENTIALS_FILE" "$S3_PROFILE"
}

# The path of an object in the store in use
s3_path() { # KEY
    local key=$1
    if [[ ! $key =~ ^[A-Za-z0-9._~/-]+$ ]]; then
        key=$(jq -rn --arg key "$key" '$key | @uri | gsub("%2F"; "/")')
    fi
    printf '/%s/%s' "$S3_BUCKET" "$key"
}
