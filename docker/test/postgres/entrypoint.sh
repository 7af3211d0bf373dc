#!/usr/bin/env bash
# As the public image's, as far as this project uses it: POSTGRES_USER, POSTGRES_DB, POSTGRES_PASSWORD[_FILE],
# POSTGRES_INITDB_ARGS, /docker-entrypoint-initdb.d/*.sh and *.sql.
set -euo pipefail

initialise() {
    local user=${POSTGRES_USER:-postgres} file password=${POSTGRES_PASSWORD-}
    [ -z "${POSTGRES_PASSWORD_FILE-}" ] || password=$(<"$POSTGRES_PASSWORD_FILE")
    [ -n "$password" ] || {
        echo "POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE is needed" >&2
        exit 1
    }
    # shellcheck disable=SC2086 # words
    initdb -U "$user" --pwfile=<(printf '%s\n' "$password") ${POSTGRES_INITDB_ARGS-}
    printf '\nhost all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
    pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start
    if [ -n "${POSTGRES_DB-}" ] && [ "$POSTGRES_DB" != postgres ]; then
        createdb -U "$user" "$POSTGRES_DB"
    fi
    for file in /docker-entrypoint-initdb.d/*; do
        case $file in
        *.sh) bash "$file" ;;
        *.sql) psql -X -v ON_ERROR_STOP=1 -U "$user" -d "${POSTGRES_DB:-postgres}" -f "$file" ;;
        esac
    done
    pg_ctl -D "$PGDATA" -m fast -w stop
}

if [ "${1-}" = postgres ]; then
    if [ "$(id -u)" = 0 ]; then
        mkdir -p "$PGDATA"
        chown postgres "$PGDATA"
        exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
    fi
    mkdir -p "$PGDATA"
    chmod 0700 "$PGDATA" || true
    [ -s "$PGDATA/PG_VERSION" ] || initialise
    set -- "$@" -c listen_addresses='*'
fi
exec "$@"
