# shellcheck shell=bash
# S3_OUTPUT=separate: uploads in one bucket, outputs in another, and for each of gateway, workers and janitor a
# user per bucket with the rights of docker/ops/s3_rights.sh. Sourced by s3.sh.

# shellcheck source=docker/ops/s3_rights.sh
. "$ROOT/docker/ops/s3_rights.sh"

S3_ROLES=(gateway worker janitor)

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

s3_users() {
    local role store
    for role in "${S3_ROLES[@]}"; do
        for store in input output; do
            s3_user_secret "$role-$store" >/dev/null
            "${S3}_own_user" "$role" "$store"
        done
    done
    "${S3}_policies"
}

minio_own_user() { # ROLE STORE
    minio_user "$(s3_user "$1-$2")" "$(s3_user_secret "$1-$2")" "$(s3_statements "$1" "$2")"
}

minio_policies() { :; } # they are the users'

versitygw_own_user() { # ROLE STORE
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
