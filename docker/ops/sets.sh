# shellcheck shell=bash
# Sets of the backup store: sets/TIME/{media.dump,settings.sql,manifest.tsv,missing.tsv,SHA256SUMS}; the last is written
# last, so a set that has it is complete. Objects, which never change, lie once for all sets below objects/.
# media-objects reaches it: MEDIA_BACKUP_ENDPOINT_URL, _REGION, _BUCKET, by default a bucket beside the others; keys by
# the profile "backup" of MEDIA_BACKUP_CREDENTIALS_FILE, if that is there, else of AWS_SHARED_CREDENTIALS_FILE.
# Sourced after lib.sh.

SET_FILES=(media.dump settings.sql manifest.tsv missing.tsv)

# Times of complete sets, the newest first
sets() {
    media-objects list sets/ | sed -n 's|/SHA256SUMS\t.*||p' | LC_ALL=C sort -r
}

# The files of a set into a directory, checked
set_fetch() { # TIME DIR
    local file
    mkdir -p "$2"
    for file in "${SET_FILES[@]}" SHA256SUMS; do
        media-objects get "sets/$1/$file" "$2/$file"
    done
    (cd "$2" && sha256sum --quiet -c SHA256SUMS) || die "set $1: files are damaged"
}

some() { cut -f "$2" "$1" | head -n 5 | paste -sd ' '; } # FILE COLUMN
