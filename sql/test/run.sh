#!/usr/bin/env bash
# pgTAP tests of sql/: a throw-away PostgreSQL below /var/tmp, the migrations as their unprivileged owner,
# then every sql/test/*.sql in a database of its own. Prints TAP; exit code 0 when every test passed.
#   sql/test/run.sh [NAME...]   NAME: a test file without .sql
set -euo pipefail

HERE=$(cd "$(dirname "$0")" && pwd -P)
ROOT=$(cd "$HERE/../.." && pwd -P)
SQL_DIR=${SQL_DIR:-$ROOT/sql}
WORK=''
RUNNING=0
# what the tests compare the database with; read by psql, which runs as the caller
export TEST_LIB=$HERE/lib STMT_H=$ROOT/libmedia/include/media/stmt.h JOBSTATE_H=$ROOT/libmedia/include/media/jobstate.h \
    LADDER_H=$ROOT/libmedia/include/media/ladder.h LADDER_JSON=$ROOT/libmedia/test/vectors/ladder.json \
    JOBMSG_H=$ROOT/libmedia/include/media/jobmsg.h JOBMSG_JSON=$ROOT/libmedia/test/vectors/jobmsg.json
for name in ${!PG*}; do
    unset "$name"
done

die() {
    printf 'not ok - %s\n' "$*"
    exit 1
}

VERSION=$(find /usr/lib/postgresql -mindepth 1 -maxdepth 1 -printf '%f\n' 2>/dev/null | sort -V | tail -n 1)
BIN=/usr/lib/postgresql/$VERSION/bin
[ -x "$BIN/initdb" ] || die 'PostgreSQL is not installed (make deps)'
[ -e "/usr/share/postgresql/$VERSION/extension/pgtap.control" ] ||
    die "pgTAP is not installed for PostgreSQL $VERSION (make deps)"

# initdb and postgres refuse root
AS=(env)
if [ "$(id -u)" = 0 ]; then
    AS=(setpriv --reuid=postgres --regid=postgres --clear-groups)
fi

finish() {
    local rc=$?
    trap - EXIT
    trap '' INT TERM HUP
    if [ -n "$(jobs -pr)" ]; then
        mapfile -t pids < <(jobs -pr)
        kill "${pids[@]}" 2>/dev/null || true
    fi
    if [ "$RUNNING" = 1 ]; then
        (cd / && "${AS[@]}" "$BIN/pg_ctl" -D "$WORK/data" -m immediate -w stop >/dev/null) || true
    fi
    rm -rf "$WORK"
    exit "$rc"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# The directory is private, so trust on its socket opens nothing to anybody else.
server_start() {
    WORK=$(mktemp -d /var/tmp/media-sql.XXXXXX)
    if [ "$(id -u)" = 0 ]; then
        chown postgres:postgres "$WORK"
    fi
    (cd / && "${AS[@]}" "$BIN/initdb" -D "$WORK/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync \
        --no-instructions) >"$WORK/initdb.log" 2>&1 || { sed 's/^/# /' "$WORK/initdb.log" && die 'initdb'; }
    cat >>"$WORK/data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$WORK'
max_connections = 80
shared_buffers = '32MB'
fsync = off
autovacuum = off
timezone = 'UTC'
lc_messages = 'C'
deadlock_timeout = '100ms'
# nothing here waits for long: a test that hangs is a failed test
statement_timeout = '30s'
CONF
    RUNNING=1
    (cd / && "${AS[@]}" "$BIN/pg_ctl" -D "$WORK/data" -l "$WORK/server.log" -w -t 60 start) >/dev/null ||
        { sed 's/^/# /' "$WORK/server.log" && die 'the server did not start'; }
    export PGHOST=$WORK
}

psql() { command psql -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }

migrate() { # DATABASE ROLE
    local file
    for file in "$SQL_DIR"/[0-9][0-9][0-9][0-9]_*.sql; do
        psql -1 -d "$1" -U "$2" -f "$file" || die "migration ${file##*/} as $2"
    done
}

# First by a superuser into a cluster without our roles, then as dev/ and Kubernetes do it: the roles are
# there with LOGIN, the owner of the database is nobody special.
databases() {
    local file name
    psql -d postgres -U postgres -c 'CREATE DATABASE plain'
    migrate plain postgres
    psql -d postgres -U postgres <<'SQL'
ALTER ROLE media_gateway LOGIN;
ALTER ROLE media_worker LOGIN;
ALTER ROLE media_notifier LOGIN;
ALTER ROLE media_janitor LOGIN;
ALTER ROLE media_ctl LOGIN;
ALTER ROLE media_scaler LOGIN;
CREATE ROLE media_owner LOGIN;
CREATE DATABASE media OWNER media_owner;
SQL
    migrate media media_owner
    psql -d media -U postgres -f "$HERE/lib/setup.sql" -f "$HERE/lib/sessions.sql" || die 'lib/'
    for file; do
        name=${file##*/}
        printf 'CREATE DATABASE "%s" TEMPLATE media OWNER media_owner;\n' "${name%.sql}"
    done | psql -d postgres -U postgres
}

run_file() { # FILE: its TAP goes to a file, so that several can run at once
    local name
    name=$(basename "$1" .sql)
    PGOPTIONS='-c search_path=tap,test -c client_min_messages=warning' \
        psql -d "$name" -U postgres -f "$1" >"$WORK/$name.tap" 2>&1 ||
        printf 'not ok - %s: broken off\n' "$name" >>"$WORK/$name.tap"
    grep -qE '^1\.\.[1-9]' "$WORK/$name.tap" || printf 'not ok - %s: no plan\n' "$name" >>"$WORK/$name.tap"
}

files=("$HERE"/*.sql)
if [ $# -gt 0 ]; then
    files=("${@/#/$HERE/}")
    files=("${files[@]/%/.sql}")
fi
for file in "${files[@]}"; do
    [ -f "$file" ] || die "there is no $file"
done
server_start
databases "${files[@]}"
limit=$(nproc)
for file in "${files[@]}"; do
    while [ "$(jobs -pr | wc -l)" -ge "$limit" ]; do
        wait -n
    done
    run_file "$file" &
done
wait
rc=0
for file in "${files[@]}"; do
    name=$(basename "$file" .sql)
    printf '# %s\n' "$name"
    sed '/^$/d' "$WORK/$name.tap"
    ! grep -q '^not ok' "$WORK/$name.tap" || rc=1
done
exit "$rc"
