# shellcheck shell=bash
# Sets of the backup store: sets/TIME/{media.dump,settings.sql,manifest.tsv,missing.tsv,SHA256SUMS}; the last is written
# last, so a set that has it is complete. Objects, which never change, lie once for all sets below objects/.
# Sourced after stores.sh.

SET_FILES=(media.dump settings.sql manifest.tsv missing.tsv)

# Times of complete sets, the newest first
sets() {
    s3_use backup
    s3_list sets/ | sed -n 's|/SHA256SUMS\t.*||p' | LC_ALL=C sort -r
}

# The files of a set into a directory, checked
set_fetch() { # TIME DIR
    local file
    s3_use backup
    mkdir -p "$2"
    for file in "${SET_FILES[@]}" SHA256SUMS; do
        s3_get_file "sets/$1/$file" "$2/$file"
    done
    (cd "$2" && sha256sum --quiet -c SHA256SUMS) || die "set $1: files are damaged"
}

# Runs `object.sh WHAT LINE` for every line of a manifest, some at once
each_object() { # WHAT MANIFEST
    xargs -r -d '\n' -n 1 -P "${MEDIA_BACKUP_PARALLEL:-4}" "$(dirname "${BASH_SOURCE[0]}")/object.sh" "$1" <"$2"
}

some() { cut -f "$2" "$1" | head -n 5 | paste -sd ' '; } # FILE COLUMN
