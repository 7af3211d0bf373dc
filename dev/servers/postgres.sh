# shellcheck shell=bash
# PostgreSQL: loopback TCP only, passwords only (SCRAM), no Unix socket. Its database and login roles.

# shellcheck source=docker/ops/roles.sh
. "$ROOT/docker/ops/roles.sh"

PG_DIR=$(data_home)/postgres

pg_bin() { # of the data directory's version, else the newest installed
    local version=''
    if [ -f "$PG_DIR/PG_VERSION" ]; then
        version=$(<"$PG_DIR/PG_VERSION")
    fi
    find /usr/lib/postgresql -mindepth 1 -maxdepth 1 -name "${version:-*}" | sort -V | tail -n 1 | sed 's|$|/bin|'
}

# initdb and postgres refuse root: Debian's system user runs them then
pg_as() {
    if is_root; then
        printf '%s\n' setpriv --reuid=postgres --regid=postgres --clear-groups
    else
        printf '%s\n' env
    fi
}

pg_own() {
    if is_root; then
        chown postgres:postgres "$@"
    fi
}

pg_init() {
    local as pwfile=$PG_DIR.password
    mapfile -t as < <(pg_as)
    mkdir -p "$PG_DIR"
    chmod 0700 "$PG_DIR"
    (umask 077 && secret pg-superuser >"$pwfile")
    pg_own "$PG_DIR" "$pwfile"
    (
        clean_env
        cd /
        "${as[@]}" "$(pg_bin)/initdb" -D "$PG_DIR" -U postgres --auth=scram-sha-256 --pwfile="$pwfile" \
            -E UTF8 --locale=C.UTF-8 --no-instructions
    ) >>"$RUN/log/postgres.log" 2>&1 || {
        rm -rf "$PG_DIR" "$pwfile"
        proc_fail postgres "cannot make its data directory"
    }
    rm -f "$pwfile"
}

# nginx keeps 4 connections per worker process, twice while it reloads
pg_conf() {
    cat >"$PG_DIR/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
port = $MEDIA_PG_PORT
unix_socket_directories = ''
max_connections = $((100 + 8 * $(nproc)))
cluster_name = 'ngx_media'
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
log_min_error_statement = panic
CONF
    printf 'host all all 127.0.0.1/32 scram-sha-256\n' >"$PG_DIR/pg_hba.conf"
    pg_own "$PG_DIR/postgresql.conf" "$PG_DIR/pg_hba.conf"
}

# One password file with every role for people, one with a single role for each program.
pg_passfiles() {
    local role
    for role in "${PG_ROLES[@]}"; do
        printf '127.0.0.1:%s:*:%s:%s\n' "$MEDIA_PG_PORT" "$role" "$(secret "pg-$role")" |
            put_secret "pgpass-$role"
    done
    printf '127.0.0.1:%s:*:postgres:%s\n' "$MEDIA_PG_PORT" "$(secret pg-superuser)" | put_secret pgpass-postgres
    local files=("${PG_ROLES[@]/#/$RUN/secrets/pgpass-}")
    cat "${files[@]}" | put_secret pgpass
}

pg_env() { # ROLE: exports what libpq needs to be that role
    export PGHOST=127.0.0.1 PGPORT=$MEDIA_PG_PORT PGDATABASE=media PGUSER=$1 \
        PGPASSFILE=$RUN/secrets/pgpass-$1
}

pg_super() { # DATABASE; SQL on stdin
    (
        clean_env
        pg_env postgres
        psql -X -q -v ON_ERROR_STOP=1 -d "$1" -f - >/dev/null
    )
}

role_password() { secret "pg-$1"; }

pg_roles() { roles_sql | pg_super postgres; }

pg_ready() {
    (
        clean_env
        PGCONNECT_TIMEOUT=3 "$(pg_bin)/pg_isready" -q -h 127.0.0.1 -p "$MEDIA_PG_PORT"
    )
}

postgres_start() {
    local as sig
    mapfile -t as < <(pg_as)
    [ -s "$PG_DIR/PG_VERSION" ] || pg_init
    pg_conf
    pg_passfiles
    sig=$(cat "$PG_DIR/postgresql.conf" "$PG_DIR/pg_hba.conf" | digest)
    proc_current postgres "$sig" && return 0
    port_free postgres "$MEDIA_PG_PORT" MEDIA_PG_PORT
    (
        clean_env
        cd /
        proc_start postgres "$sig" "${as[@]}" "$(pg_bin)/postgres" -D "$PG_DIR"
    )
}

postgres_await() {
    proc_await postgres 60 pg_ready
    pg_roles
}

# The schema, as the owner of the database.
migrate() {
    local mediactl=$BUILD/bin/mediactl
    [ -x "$mediactl" ] || die "$mediactl is missing (run: make build)"
    (
        clean_env
        pg_env media_owner
        "$mediactl" migrate --dir "$ROOT/sql"
    ) || die "the database schema cannot be brought up to date (make down PURGE=1 starts over, without the data)"
}
