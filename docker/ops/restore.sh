#!/usr/bin/env bash
# A set of the backup store into an installation that has neither users nor media: MEDIA_RESTORE_SET, or the newest.
# Objects come first, each hashed on its way; then the database, beside the empty one, whose place it takes at last.
# May run again when it was interrupted.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/roles.sh"
. "$(dirname "$0")/sets.sh"

SQL_DIR=${MEDIA_SQL_DIR:-/usr/share/ngx_media/sql}

super() { pg superuser psql -X -q -A -t -v ON_ERROR_STOP=1 "$@"; } # -d DATABASE

in_database() { printf 'service=media dbname=%s' "$1"; }

refuse_if_used() {
    local used
    used=$(super -d "$(in_database media)" -f - <<'SQL'
SELECT to_regclass('media.users') IS NOT NULL AS made \gset
\if :made
SELECT EXISTS (SELECT FROM media.users) OR EXISTS (SELECT FROM media.media);
\endif
SQL
    )
    [ "$used" != t ] || die "the database holds users or media: a backup is restored into an empty installation alone"
}

# What the restored rows name is what is there
compare() {
    local want got
    want=$(cat manifest.tsv missing.tsv | wc -l)
    got=$(super -d "$(in_database media_restored)" -c "SELECT count(*) FROM media.objects WHERE state = 'live'")
    [ "$want" = "$got" ] || die "the database names $got objects, the manifest $want"
}

database() { # in the set's directory
    super -c 'DROP DATABASE IF EXISTS media_restored WITH (FORCE)' \
        -c 'CREATE DATABASE media_restored OWNER media_owner TEMPLATE template0'
    database_sql media_restored | super -f -
    pg superuser pg_restore --exit-on-error -d "$(in_database media_restored)" media.dump
    super -v database=media_restored -f settings.sql
    super -d "$(in_database media_restored)" -c ANALYZE
    compare
    # whoever is connected to the empty one connects again, to this one
    super -c 'DROP DATABASE IF EXISTS media WITH (FORCE)' -c 'ALTER DATABASE media_restored RENAME TO media'
    # a set may be of an older version
    pg owner mediactl migrate --dir "$SQL_DIR"
}

work_dir
media-objects await backup
media-objects await live
await_database superuser
set_time=${MEDIA_RESTORE_SET:-$(sets | head -n 1)}
[ -n "$set_time" ] || die "there is no set in ${MEDIA_BACKUP_BUCKET:-media-backup}"
set_fetch "$set_time" "$WORK/set"
cd "$WORK/set"
refuse_if_used
media-objects restore <manifest.tsv || die "objects could not be restored"
say "set $set_time: $(wc -l <manifest.tsv) objects are there, by digest"
database
say "set $set_time: restored"
[ ! -s missing.tsv ] || die "$(wc -l <missing.tsv) objects were missing when the backup was made: $(some missing.tsv 2)"
