#!/usr/bin/env bash
# The programs' roles, with the passwords of their secrets, and their database. May run again, also to change passwords.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/roles.sh"

# the text goes between quotes of SQL and of no line of psql's own
role_password() { # ROLE
    local password
    password=$(<"$SECRETS/media-pg-${1#media_}/password")
    [[ $password != *[\\$'\n']* ]] || die "the password of $1 holds a backslash or a new line"
    printf '%s' "${password//\'/\'\'}"
}

await_database superuser
roles_sql | pg superuser psql -X -q -v ON_ERROR_STOP=1 -f - >/dev/null
say "roles ${PG_ROLES[*]} and their database are set up"
