#!/usr/bin/env bash
# One object of a manifest, whose line is "store TAB key TAB size TAB sha256"; size -1 and sha256 - are not known yet.
#   object.sh backup LINE    copies it to the backup; prints its line with what was not known, or that it is "missing"
#   object.sh restore LINE   copies it back, unless it is there
#   object.sh check LINE     reads its copy in the backup
# Every byte that is copied is also hashed: other bytes than the manifest's are an error and no copy.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/stores.sh"

# An object goes in pieces of at most so many bytes, each a file for a moment; S3 takes 10000 of them, and none but the
# last below 5 MiB.
PIECE=${MEDIA_BACKUP_PIECE:-67108864}

get() { # STORE KEY [CURL-ARGUMENT...]
    s3_use "$1"
    s3_curl -f "${@:3}" "$S3_URL$(s3_path "$2")"
}

put() { # STORE KEY QUERY: the piece
    s3_use "$1"
    s3_curl -f -T "$WORK/piece" -o "$WORK/answer" -D "$WORK/head" "$S3_URL$(s3_path "$2")$3"
}

# A copy of the bytes goes to descriptor 3
transfer() { # STORE KEY STORE KEY SIZE
    if [ "$5" -le "$PIECE" ]; then
        get "$1" "$2" | tee /dev/fd/3 >"$WORK/piece" && put "$3" "$4" ''
    else
        transfer_pieces "$@"
    fi
}

transfer_pieces() { # STORE KEY STORE KEY SIZE
    local id first number path
    s3_use "$3"
    path=$(s3_path "$4")
    [ "$(s3_request POST "$path?uploads=")" = 200 ] || die "s3: cannot begin $4: $(s3_answer)"
    id=$(sed -n 's|.*<UploadId>\([^<]*\)<.*|\1|p' "$WORK/s3-answer")
    printf '<CompleteMultipartUpload>' >"$WORK/parts"
    for ((number = 1, first = 0; first < $5; number++, first += PIECE)); do
        if ! { get "$1" "$2" -r "$first-$((first + PIECE - 1))" | tee /dev/fd/3 >"$WORK/piece" &&
            put "$3" "$4" "?partNumber=$number&uploadId=$id"; }; then
            s3_use "$3"
            s3_request DELETE "$path?uploadId=$id" >/dev/null
            return 1
        fi
        printf '<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>' "$number" \
            "$(sed -n 's/^[Ee][Tt]ag: *\([^\r]*\).*/\1/p' "$WORK/head")" >>"$WORK/parts"
    done
    printf '</CompleteMultipartUpload>' >>"$WORK/parts"
    s3_use "$3"
    [ "$(s3_request POST "$path?uploadId=$id" "$WORK/parts")" = 200 ] || die "s3: cannot end $4: $(s3_answer)"
}

# The size of an object, or nothing if there is none
size_of() { # STORE KEY
    local status size
    s3_use "$1"
    read -r status size < <(s3_curl -I -o "$WORK/answer" -w '%{http_code} %header{content-length}\n' \
        "$S3_URL$(s3_path "$2")")
    case $status in
    200) printf '%s' "$size" ;;
    404) ;;
    *) die "s3: $2: status $status" ;;
    esac
}

digest() { sha256sum | cut -d ' ' -f 1; }

# Prints the digest of what was copied; the copy does not stay if that is not the one wanted
copy() { # STORE KEY STORE KEY SIZE SHA256
    local sum
    sum=$(transfer "$1" "$2" "$3" "$4" "$5" 3>&1 >/dev/null | digest) || die "$2: not copied"
    if [ "$6" != - ] && [ "$6" != "$sum" ]; then
        s3_use "$3"
        s3_request DELETE "$(s3_path "$4")" >/dev/null
        die "$2: its bytes are not those of its row"
    fi
    printf '%s' "$sum"
}

backup() {
    local there
    there=$(size_of backup "objects/$key")
    if [ -n "$there" ] && { [ "$size" = -1 ] || [ "$size" = "$there" ]; }; then
        [ "$sha256" != - ] || sha256=$(get backup "objects/$key" | digest)
    else
        there=$(size_of "$store" "$key")
        if [ -z "$there" ] || { [ "$size" != -1 ] && [ "$size" != "$there" ]; }; then
            printf 'missing\t%s\n' "$1"
            return 0
        fi
        sha256=$(copy "$store" "$key" backup "objects/$key" "$there" "$sha256")
    fi
    printf '%s\t%s\t%s\t%s\n' "$store" "$key" "$there" "$sha256"
}

restore() {
    if [ "$(size_of "$store" "$key")" = "$size" ]; then
        [ "$(get "$store" "$key" | digest)" = "$sha256" ] || die "$key: there with other bytes"
    else
        copy backup "objects/$key" "$store" "$key" "$size" "$sha256" >/dev/null
    fi
}

check() { [ "$(get backup "objects/$key" | digest)" = "$sha256" ] || die "$key: its copy has other bytes"; }

IFS=$'\t' read -r store key size sha256 <<<"$2"
work_dir
S3_TMP=$WORK
case $1 in
backup | restore | check) "$1" "$2" ;;
*) die "what is \"$1\"?" ;;
esac
