# shellcheck shell=bash disable=SC2034
# What each program's user may do in S3, and nothing else. Sourced after s3.sh by who has said s3_store_bucket().

# to the objects of a store: what clients upload, what jobs make of it, and its backup
declare -A S3_RIGHTS=(
    [gateway-input]='PutObject GetObject AbortMultipartUpload ListMultipartUploadParts'
    [gateway-output]='GetObject'
    [worker-input]='GetObject'
    [worker-output]='PutObject GetObject AbortMultipartUpload ListMultipartUploadParts'
    [janitor-input]='DeleteObject DeleteObjectVersion AbortMultipartUpload'
    [janitor-output]='DeleteObject DeleteObjectVersion AbortMultipartUpload'
    [backup-input]='GetObject'
    [backup-output]='GetObject'
    [backup-backup]='PutObject GetObject DeleteObject AbortMultipartUpload'
    [restore-input]='PutObject GetObject AbortMultipartUpload'
    [restore-output]='PutObject GetObject AbortMultipartUpload'
    [restore-backup]='GetObject'
)
# to the bucket
declare -A S3_BUCKET_RIGHTS=(
    [gateway]='ListBucket'
    [worker]='ListBucket'
    [janitor]='ListBucket ListBucketVersions ListBucketMultipartUploads'
    [backup]='ListBucket'
    [restore]='ListBucket'
)

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

# MinIO takes a new user's secret sealed under that of whoever asks.
minio_user() { # NAME SECRET STATEMENTS
    local admin=/minio/admin/v3 seal
    seal=$(dirname "${BASH_SOURCE[0]}")/minio_seal.py
    printf '%s\n{"secretKey":"%s","status":"enabled"}' "$S3_SECRET" "$2" | /usr/bin/python3 -B "$seal" |
        s3_tell "user $1" PUT "$admin/add-user?accessKey=$1"
    s3_policy "$3" | s3_tell "policy $1" PUT "$admin/add-canned-policy?name=$1"
    s3_tell "policy of $1" PUT "$admin/set-user-or-group-policy?isGroup=false&policyName=$1&userOrGroup=$1" </dev/null
}
