#!/usr/bin/env bash
# Database and objects into the backup store.
#   backup.sh                        a new set; all but the newest MEDIA_BACKUP_KEEP (7) sets go, and their objects
#   backup.sh list                   times of the sets, the newest first
#   backup.sh verify [--read] [SET]  its files by digest, its objects by size, or by digest, too
# The dump and the list of live objects are of one snapshot. Objects that S3 lost are named in missing.tsv, and the
# exit status is 1; what is there is in the set all the same.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/sets.sh"

KEEP=${MEDIA_BACKUP_KEEP:-7}

# Roles are made by the setup job with passwords of their own, so a set holds neither roles nor hashes of passwords, but
# their settings and the database's.
snapshot() { # in $WORK/set
    pg owner psql -X -q -v ON_ERROR_STOP=1 -f - <<'SQL'
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT pg_export_snapshot() AS snapshot \gset
\setenv SNAPSHOT :snapshot
\! pg_dump -Fc --snapshot="$SNAPSHOT" -f media.dump && : >dumped
\pset tuples_only on
\pset format unaligned
\o settings.sql
SELECT format('ALTER %s SET %s TO %L;', CASE WHEN s.setrole = 0 THEN 'DATABASE :"database"'
              WHEN s.setdatabase = 0 THEN format('ROLE %I', r.rolname)
              ELSE format('ROLE %I IN DATABASE :"database"', r.rolname) END,
              split_part(c, '=', 1), substr(c, strpos(c, '=') + 1))
  FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) c
 WHERE (s.setdatabase = 0 OR s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()))
   AND (s.setrole = 0 OR r.rolname LIKE 'media\_%')
 ORDER BY 1;
\pset fieldsep '\t'
\o live.tsv
SELECT CASE WHEN o.object_key LIKE '%/original' THEN 'input' ELSE 'output' END, o.object_key,
       coalesce(d.size_bytes, -1), coalesce(d.sha256, '-')
  FROM media.objects o LEFT JOIN (
       SELECT DISTINCT ON (a.object_key) a.* FROM (
         SELECT object_key, size_bytes, sha256 FROM media.media
         UNION ALL SELECT object_key, size_bytes, sha256 FROM media.outputs
         UNION ALL SELECT object_key, size_bytes, sha256 FROM media.segments
         UNION ALL SELECT k ->> 'object_key', (k ->> 'size')::bigint, k ->> 'sha256'
                     FROM media.jobs j, jsonb_array_elements(j.result -> 'keep') k) a
        WHERE a.object_key IS NOT NULL ORDER BY a.object_key) d USING (object_key)
 WHERE o.state = 'live' ORDER BY 2;
\o
COMMIT;
SQL
    [ -e dumped ] || die "no dump of the database"
    rm dumped
}

# live.tsv -> manifest.tsv, missing.tsv
copy_objects() {
    media-objects list objects/ >../have.tsv
    # what is there with the right size is complete: S3 shows an object when it has all of it
    awk -F '\t' -v todo=../todo.tsv 'FILENAME == ARGV[1] { have[$1] = $2; next }
        $4 != "-" && have[$2] == $3 { print; next } { print >todo }' ../have.tsv live.tsv >manifest.tsv
    touch ../todo.tsv
    media-objects backup <../todo.tsv >../done.tsv || die "objects could not be copied"
    sed -n 's/^missing\t//p' ../done.tsv >missing.tsv
    grep -v '^missing' ../done.tsv >>manifest.tsv || true
    LC_ALL=C sort -t $'\t' -k 2,2 -o manifest.tsv manifest.tsv
    [ "$(cat manifest.tsv missing.tsv | wc -l)" = "$(wc -l <live.tsv)" ] || die "not every live object is accounted for"
    say "$(wc -l <manifest.tsv) objects, $(($(wc -l <../todo.tsv) - $(wc -l <missing.tsv))) of them copied"
}

# Whether what S3 does not have was deleted while we were at it: then the dump tells of more than there was to copy.
overtaken() {
    local gone
    gone=$(pg owner psql -X -q -A -t -v ON_ERROR_STOP=1 -f - <<'SQL'
CREATE TEMP TABLE missing (store text, object_key text, size text, sha256 text);
\copy missing FROM missing.tsv
SELECT count(*) FROM missing m
 WHERE NOT EXISTS (SELECT FROM media.objects o WHERE o.object_key = m.object_key AND o.state = 'live');
SQL
    ) || die "the database does not say what is still live"
    [ "$gone" -gt 0 ]
}

prune() {
    local time
    sets >"$WORK/sets"
    while read -r time; do
        # no longer complete, then gone
        media-objects remove <<<"sets/$time/SHA256SUMS"
        printf "sets/$time/%s\n" "${SET_FILES[@]}" | media-objects remove
        say "set $time: removed"
    done < <(tail -n +$((KEEP + 1)) "$WORK/sets")
    mkdir -p "$WORK/kept"
    while read -r time; do
        media-objects get "sets/$time/manifest.tsv" "$WORK/kept/$time"
    done < <(head -n "$KEEP" "$WORK/sets")
    media-objects list objects/ | cut -f 1 | LC_ALL=C sort >"$WORK/have"
    cut -f 2 "$WORK"/kept/* | LC_ALL=C sort -u >"$WORK/wanted"
    LC_ALL=C comm -23 "$WORK/have" "$WORK/wanted" | sed 's|^|objects/|' | media-objects remove
}

backup() {
    local time file tries=3
    time=$(date -u +%Y%m%dT%H%M%S.%3NZ)
    mkdir "$WORK/set"
    cd "$WORK/set"
    while :; do
        snapshot
        copy_objects
        tries=$((tries - 1))
        overtaken || break
        [ "$tries" -gt 0 ] || die "objects are deleted faster than they can be copied"
        say "objects were deleted meanwhile: once more"
        rm -f "$WORK"/*.tsv
    done
    sha256sum "${SET_FILES[@]}" >SHA256SUMS
    for file in "${SET_FILES[@]}" SHA256SUMS; do
        media-objects put "sets/$time/$file" "$file"
    done
    say "set $time: complete, dump of $(stat -c %s media.dump) bytes"
    prune
    [ ! -s missing.tsv ] || die "$(wc -l <missing.tsv) objects are not in S3 as their rows say: $(some missing.tsv 2)"
}

verify() { # [--read] [SET]
    local time reads=0
    if [ "${1-}" = --read ]; then
        reads=1
        shift
    fi
    time=${1:-$(sets | head -n 1)}
    [ -n "$time" ] || die "there is no set"
    set_fetch "$time" "$WORK/set"
    media-objects list objects/ >"$WORK/have"
    awk -F '\t' 'FILENAME == ARGV[1] { have[$1] = $2; next } have[$2] != $3 { print $2 }' \
        "$WORK/have" "$WORK/set/manifest.tsv" >"$WORK/lost"
    [ ! -s "$WORK/lost" ] || die "set $time: lacks $(wc -l <"$WORK/lost") objects: $(some "$WORK/lost" 1)"
    if [ "$reads" = 1 ]; then
        media-objects check <"$WORK/set/manifest.tsv" || die "set $time: objects are damaged"
    fi
    say "set $time: whole, $(wc -l <"$WORK/set/manifest.tsv") objects"
}

work_dir
media-objects await backup
case ${1:-backup} in
backup)
    media-objects await live
    await_database owner
    backup
    ;;
list) sets ;;
verify) shift && verify "$@" ;;
*) die "what is \"$1\"?" ;;
esac
