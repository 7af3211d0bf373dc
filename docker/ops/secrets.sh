#!/usr/bin/env bash
# Makes the secrets that are missing, with random values; those that are there stay as they are, and nothing is read
# back. Each stands alone, so no two can contradict each other, however often or at once this runs.
#   secrets.sh             Secrets of this namespace, by the API server (as a pod that may create them)
#   secrets.sh --dir DIR   directories of files, DIR/NAME/KEY
# Who serves what: PGHOST, PGPORT, AMQP_HOST, MEDIA_SMTP_URL, MEDIA_PUBLIC_URL.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

ACCOUNT=/var/run/secrets/kubernetes.io/serviceaccount
DIR=''
if [ "${1-}" = --dir ]; then
    DIR=${2:?}
    mkdir -p "$DIR"
fi

random() { openssl rand -hex "$1" | tr -d '\n'; }

# ---- what they hold: each function fills the directory it is called in ----

pg_login() { # USER DATABASE
    random 24 >password
    printf '[media]\nhost=%s\nport=%s\ndbname=%s\nuser=%s\npassword=%s\n' \
        "${PGHOST:-postgres}" "${PGPORT:-5432}" "$2" "$1" "$(<password)" >pg_service.conf
}

# KEDA asks from a namespace of its own, so the host is a full name
pg_scaler() {
    local host=${PGHOST:-postgres}
    pg_login media_scaler media
    if [[ $host != *.* && -r $ACCOUNT/namespace ]]; then
        host+=.$(<$ACCOUNT/namespace).svc
    fi
    printf 'host=%s port=%s dbname=media user=media_scaler password=%s sslmode=%s' \
        "$host" "${PGPORT:-5432}" "$(<password)" "${PGSSLMODE:-prefer}" >connection
}

pg_replication() { random 24 >password; }

s3_login() { # USER PROFILE...
    local secret user=$1 profile
    secret=$(random 20)
    for profile in "${@:2}"; do
        printf '[%s]\naws_access_key_id = %s\naws_secret_access_key = %s\n' "$profile" "$user" "$secret"
    done >credentials
}

s3_root() {
    random 10 >user
    random 20 >password
    printf '[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n' "$(<user)" "$(<password)" >credentials
}

# RabbitMQ's own form of a password: base64 of a salt and of SHA-256 over salt and password
amqp_hash() {
    local salt
    salt=$(openssl rand -hex 4 | sed 's/../\\x&/g')
    { printf '%b' "$salt" && { printf '%b' "$salt" && cat password; } | openssl dgst -sha256 -binary; } | openssl base64 -A
}

amqp() {
    random 24 >password
    random 32 >cookie
    printf 'amqp://media:%s@%s:5672/media' "$(<password)" "${AMQP_HOST:-rabbitmq}" >url
    amqp_hash | jq -R '{
        vhosts: [{name: "media", default_queue_type: "quorum"}],
        users: [{name: "media", password_hash: ., hashing_algorithm: "rabbit_password_hashing_sha256", tags: []}],
        permissions: [{user: "media", vhost: "media", configure: ".*", write: ".*", read: ".*"}]}' >definitions.json
}

# as good as any client knows it: a certificate of a CA comes by a Secret of this name
tls() {
    local name=${MEDIA_PUBLIC_URL:-https://localhost} kind=DNS
    name=${name#*://} name=${name%%[:/]*}
    [[ ! $name =~ ^[0-9.]+$ ]] || kind=IP
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 825 -subj "/CN=$name" \
        -addext "subjectAltName=$kind:$name,DNS:gateway,DNS:localhost" -keyout tls.key -out tls.crt 2>/dev/null
}

jwt() { random 32 >"HS256.$(date -u +%Y%m%d)"; }
play() { random 32 >play-key; }
smtp() { printf '%s' "${MEDIA_SMTP_URL:-smtp://mail:1025}" >url; }

# ---- where they go ----

publish() { # NAME
    if [ -n "$DIR" ]; then
        publish_files "$1"
    else
        publish_secret "$1"
    fi
}

# The answer repeats the values, so of it only the API server's complaint is told.
publish_secret() { # NAME
    local file status type=Opaque
    [ "$1" != media-tls ] || type=kubernetes.io/tls
    for file in *; do
        jq -Rs --arg key "$file" '{($key): .}' "$file"
    done | jq -s --arg name "$1" --arg type "$type" '{apiVersion: "v1", kind: "Secret", type: $type, stringData: add,
        metadata: {name: $name, labels: {"app.kubernetes.io/name": "ngx-media"}}}' \
        >"$WORK/body"
    status=$(curl -sS -K <(printf 'header = "Authorization: Bearer %s"\n' "$(<$ACCOUNT/token)") \
        --cacert $ACCOUNT/ca.crt -H 'Content-Type: application/json' --data-binary "@$WORK/body" \
        --retry 10 --retry-connrefused --max-time 20 -o "$WORK/answer" -w '%{http_code}' \
        "https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/api/v1/namespaces/$(<$ACCOUNT/namespace)/secrets") ||
        die "no answer from the API server"
    case $status in
    201) say "$1: made" ;;
    409) say "$1: is there" ;;
    *) die "$1: status $status: $(jq -r .message "$WORK/answer")" ;;
    esac
}

# A directory appears with all its files or not at all.
publish_files() { # NAME
    chmod 0440 ./*
    chmod 0550 .
    if [ "$(id -u)" = 0 ]; then
        chgrp -R "${MEDIA_SECRETS_GROUP:-10001}" .
    fi
    if mv -T "$PWD" "$DIR/$1" 2>/dev/null; then say "$1: made"; else say "$1: is there"; fi
}

make() { # NAME FUNCTION ARG...
    local name=$1
    shift
    if [ -n "$DIR" ] && [ -d "$DIR/$name" ]; then
        say "$name: is there"
        return 0
    fi
    mkdir "$WORK/$name"
    (cd "$WORK/$name" && "$@" && publish "$name")
}

umask 077
# a rename stays within one file system
WORK=$(mktemp -d ${DIR:+-p "$DIR"})
trap 'chmod -R u+w "$WORK"; rm -rf "$WORK"' EXIT
make media-pg-superuser pg_login postgres postgres
make media-pg-replication pg_replication
for role in owner gateway worker notifier janitor ctl; do
    make "media-pg-$role" pg_login "media_$role" media
done
make media-pg-scaler pg_scaler
make media-s3-root s3_root
for role in gateway worker janitor; do
    make "media-s3-$role" s3_login "media-$role" default
done
# what is backed up, and where that is kept: one S3 unless the operator says otherwise
for role in backup restore; do
    make "media-s3-$role" s3_login "media-$role" default backup
done
make media-amqp amqp
make media-smtp smtp
make media-jwt jwt
make media-play play
make media-tls tls
