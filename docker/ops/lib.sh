# shellcheck shell=bash
# What the scripts of the ops image share. Sourced. A secret is read from its file, reaches a program by stdin or by
# a file, and is never an argument or a line of the log.

SECRETS=${MEDIA_SECRETS_DIR:-/run/secrets}

say() { printf '%s: %s\n' "${0##*/}" "$*"; }
die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# A directory of this run's own, gone with it
work_dir() {
    umask 077
    WORK=$(mktemp -d)
    trap 'rm -rf "$WORK"' EXIT
}

# Until COMMAND says yes, at most MEDIA_AWAIT_S seconds
await() { # WHAT COMMAND...
    local what=$1 end=$((SECONDS + ${MEDIA_AWAIT_S:-300}))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || die "waited ${MEDIA_AWAIT_S:-300} s for $what"
        sleep 0.5
    done
}

# As a role, by its secret's pg_service.conf; the database may be another one than that says
pg() { # ROLE PROGRAM ARG...
    local role=$1
    shift
    PGSERVICEFILE=$SECRETS/media-pg-$role/pg_service.conf PGSERVICE=media PGCONNECT_TIMEOUT=5 "$@"
}

await_database() { await "PostgreSQL" database_ready "$1"; } # ROLE
database_ready() { pg "$1" psql -X -q -c 'SELECT 1' >/dev/null 2>&1; }
