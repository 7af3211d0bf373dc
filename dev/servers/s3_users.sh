# shellcheck shell=bash
# S3_OUTPUT=separate: uploads in one bucket, outputs in another, and for each of gateway, workers and janitor a
# user per bucket who may do there what that program has to, and nothing else. Sourced by s3.sh.

S3_ROLES=(gateway worker janitor)

# what a user may do: to objects, to the bucket
declare -A S3_RIGHTS=(
    [gateway-input]='PutObject GetObject AbortMultipartUpload ListMultipartUploadParts'
    [gateway-output]='GetObject'
    [worker-input]='GetObject'
    [worker-output]='PutObject GetObject AbortMultipartUpload ListMultipartUploadParts'
    [janitor-input]='DeleteObject DeleteObjectVersion AbortMultipartUpload'
    [janitor-output]='DeleteObject DeleteObjectVersion AbortMultipartUpload'
)
declare -A S3_BUCKET_RIGHTS=(
    [gateway]='ListBucket'
    [worker]='ListBucket'
    [janitor]='ListBucket ListBucketVersions ListBucketMultipartUploads'
)

s3_user() { printf 'media-%s' "$1"; } # ROLE-STORE
s3_user_secret() { secret "s3-$1" 20; }

# The keys of a role's programs; call it in a subshell.
s3_env() { # ROLE
    export AWS_ACCESS_KEY_ID=$S3_KEY AWS_SECRET_ACCESS_KEY=$S3_SECRET
    [ "$S3_OUTPUT" = separate ] || return 0
    export MEDIA_S3_OUTPUT_ACCESS_KEY_ID MEDIA_S3_OUTPUT_SECRET_ACCESS_KEY
    AWS_ACCESS_KEY_ID=$(s3_user "$1-input")
    AWS_SECRET_ACCESS_KEY=$(s3_user_secret "$1-input")
    MEDIA_S3_OUTPUT_ACCESS_KEY_ID=$(s3_user "$1-output")
    MEDIA_S3_OUTPUT_SECRET_ACCESS_KEY=$(s3_user_secret "$1-output")
}

s3_store_bucket() { # input|output
    if [ "$1" = input ]; then printf '%s' "$MEDIA_S3_BUCKET"; else printf '%s' "$S3_OUTPUT_BUCKET"; fi
}

s3_statement() { # PRINCIPAL RESOURCE ACTION...
    local principal=$1 resource=$2
    shift 2
    printf '{"Effect":"Allow",%s"Action":["s3:%s"' "$principal" "$1"
    shift
    [ $# -eq 0 ] || printf ',"s3:%s"' "$@"
    printf '],"Resource":["arn:aws:s3:::%s"]}' "$resource"
}

# The statements of one user; a bucket's policy names the user, a user's own does not.
s3_statements() { # ROLE STORE [PRINCIPAL]
    local bucket actions
    bucket=$(s3_store_bucket "$2")
    read -r -a actions <<<"${S3_RIGHTS[$1-$2]}"
    s3_statement "${3-}" "$bucket/*" "${actions[@]}"
    printf ,
    read -r -a actions <<<"${S3_BUCKET_RIGHTS[$1]}"
    s3_statement "${3-}" "$bucket" "${actions[@]}"
}

s3_policy() { printf '{"Version":"2012-10-17","Statement":[%s]}' "$1"; }

# Sends stdin; it may hold a secret.
s3_tell() { # WHAT METHOD PATH
    local status file=$RUN/tmp/s3-body
    (umask 077 && cat >"$file")
    status=$(s3_request "$2" "$3" "$file") || status='no answer'
    rm -f "$file"
    case $status in
    2*) ;;
    *) die "s3: cannot set $1: status $status: $(head -c 300 "$RUN/tmp/s3-answer")" ;;
    esac
}

s3_users() {
    local role store
    for role in "${S3_ROLES[@]}"; do
        for store in input output; do
            s3_user_secret "$role-$store" >/dev/null
            "${S3}_user" "$role" "$store"
        done
    done
    "${S3}_policies"
}

# MinIO takes a new user's secret sealed under that of whoever asks.
minio_user() { # ROLE STORE
    local user admin=/minio/admin/v3
    user=$(s3_user "$1-$2")
    printf '%s\n{"secretKey":"%s","status":"enabled"}' "$S3_SECRET" "$(s3_user_secret "$1-$2")" |
        /usr/bin/python3 -B "$ROOT/dev/minio_seal.py" | s3_tell "user $user" PUT "$admin/add-user?accessKey=$user"
    s3_policy "$(s3_statements "$1" "$2")" | s3_tell "policy $user" PUT "$admin/add-canned-policy?name=$user"
    s3_tell "policy of $user" PUT "$admin/set-user-or-group-policy?isGroup=false&policyName=$user&userOrGroup=$user" \
        </dev/null
}

minio_policies() { :; } # they are the users'

versitygw_user() { # ROLE STORE
    local user
    user=$(s3_user "$1-$2")
    printf '<Account><Access>%s</Access><Secret>%s</Secret><Role>user</Role></Account>' "$user" \
        "$(s3_user_secret "$1-$2")" | s3_tell "user $user" PATCH /create-user
}

versitygw_policies() {
    local role store all
    for store in input output; do
        all=
        for role in "${S3_ROLES[@]}"; do
            all+=${all:+,}$(s3_statements "$role" "$store" "\"Principal\":{\"AWS\":\"$(s3_user "$role-$store")\"},")
        done
        s3_policy "$all" | s3_tell "policy of $(s3_store_bucket "$store")" PUT "/$(s3_store_bucket "$store")?policy="
    done
}
