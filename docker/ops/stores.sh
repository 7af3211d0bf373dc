# shellcheck shell=bash disable=SC2034
# The S3 stores by name: input and output (AWS_ENDPOINT_URL, AWS_REGION, MEDIA_S3_BUCKET, MEDIA_S3_OUTPUT_BUCKET,
# AWS_SHARED_CREDENTIALS_FILE) and backup (MEDIA_BACKUP_ENDPOINT_URL, _REGION, _BUCKET, by default a bucket beside them;
# keys by the profile "backup" of MEDIA_BACKUP_CREDENTIALS_FILE, if that is there). Sourced after lib.sh.

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

# Whatever is asked of S3 from here on is asked of this store.
s3_use() { # STORE
    local file
    S3_BUCKET=$(s3_store_bucket "$1")
    S3_URL=${AWS_ENDPOINT_URL%/} S3_REGION=${AWS_REGION:-us-east-1}
    if [ "$1" = backup ]; then
        S3_URL=${MEDIA_BACKUP_ENDPOINT_URL:-$S3_URL} S3_REGION=${MEDIA_BACKUP_REGION:-$S3_REGION}
        file=${MEDIA_BACKUP_CREDENTIALS_FILE-}
        [ -f "$file" ] || file=$AWS_SHARED_CREDENTIALS_FILE
        s3_login "$file" backup
    else
        s3_login "$AWS_SHARED_CREDENTIALS_FILE" default
    fi
}

# A new pod may be kept out for a moment, until network policies know it.
await_store() { # STORE
    s3_use "$1"
    await "the $1 store" store_ready
}

store_ready() { [ "$(s3_request GET "/$S3_BUCKET?list-type=2&max-keys=1" 2>/dev/null)" = 200 ]; }

# The path of an object in the store in use
s3_path() { # KEY
    local key=$1
    if [[ ! $key =~ ^[A-Za-z0-9._~/-]+$ ]]; then
        key=$(jq -rn --arg key "$key" '$key | @uri | gsub("%2F"; "/")')
    fi
    printf '/%s/%s' "$S3_BUCKET" "$key"
}

# What the store in use has below a prefix: lines of key and size, the prefix cut off
s3_list() { # PREFIX
    local token='' status prefix=${1//\//%2F}
    while :; do
        status=$(s3_request GET "/$S3_BUCKET?${token:+continuation-token=$token&}list-type=2&prefix=$prefix")
        [ "$status" = 200 ] || die "s3: cannot list $S3_BUCKET: status $status: $(s3_answer)"
        tr -d '\n' <"$S3_TMP/s3-answer" | sed 's|<Contents>|\n|g' | sed -nE \
            "s|^<Key>${1}([^<]*)</Key>.*<Size>([0-9]+)</Size>.*|\1\t\2|p" | sed 's/&amp;/\&/g'
        token=$(tr -d '\n' <"$S3_TMP/s3-answer" | sed -n 's|.*<NextContinuationToken>\([^<]*\)<.*|\1|p' | jq -Rr @uri)
        [ -n "$token" ] || break
    done
}

# A file to or from the store in use
s3_put_file() { # KEY FILE
    local status
    status=$(s3_curl -T "$2" -o "$S3_TMP/s3-answer" -w '%{http_code}' "$S3_URL$(s3_path "$1")") || status='no answer'
    [ "$status" = 200 ] || die "s3: cannot put $1: status $status: $(s3_answer)"
}

s3_get_file() { # KEY FILE
    local status
    status=$(s3_curl -o "$2" -w '%{http_code}' "$S3_URL$(s3_path "$1")") || status='no answer'
    [ "$status" = 200 ] || die "s3: cannot get $1: status $status"
}
