# shellcheck shell=bash disable=SC2034
# The programs' roles and their database: the SQL of `make up` and of the setup job. Sourced.

PG_ROLES=(media_owner media_gateway media_worker media_notifier media_janitor media_scaler media_ctl)

# For psql, as somebody who may make roles; role_password ROLE is the caller's. Harmless when it was run before;
# passwords become those of now. The roles may log in and nothing else: what they may do is granted by sql/.
roles_sql() {
    local role
    for role in "${PG_ROLES[@]}"; do
        printf "SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '%s') AS new \\\\gset\n" "$role"
        printf '\\if :new\nCREATE ROLE %s;\n\\endif\n' "$role"
        printf "ALTER ROLE %s LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD '%s';\n" "$role" "$(role_password "$role")"
    done
    # who is no superuser, as in a managed PostgreSQL, must be a member of a database's owner to make it
    printf '%s\n' "SELECT NOT pg_has_role('media_owner', 'MEMBER') AS new \\gset" \
        '\if :new' 'GRANT media_owner TO CURRENT_USER;' '\endif'
    printf '%s\n' "SELECT NOT EXISTS (SELECT FROM pg_database WHERE datname = 'media') AS new \\gset" \
        '\if :new' 'CREATE DATABASE media OWNER media_owner;' '\endif'
    database_sql media
}

database_sql() { # DATABASE: who may connect
    local role
    printf 'REVOKE ALL ON DATABASE %s FROM PUBLIC;\n' "$1"
    for role in "${PG_ROLES[@]}"; do
        printf 'GRANT CONNECT ON DATABASE %s TO %s;\n' "$1" "$role"
    done
}
