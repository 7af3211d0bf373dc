# shellcheck shell=bash disable=SC2034
# What every script of dev/ shares: paths, settings, secrets, messages. Sourced.
#
# A setting is, in this order: the caller's environment, what the last `make up` was given
# (.run/settings), the default. So `MEDIA_PORT=9090 make up` is remembered until PURGE=1.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
RUN=${MEDIA_RUN:-$ROOT/.run}
CACHE=${MEDIA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ngx_media}
# real media for tests, figures and the demo; need not be there
SHARED=${MEDIA_SHARED:-$ROOT/../shared/media}
PRESET=${PRESET:-release}
BUILD=$ROOT/build/$PRESET
# what a dot-command of Debian's root may lack
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

SERVERS=(postgres rabbitmq s3 smtp nginx workers)

say() { printf '%s\n' "$*"; }
note() { printf '  %s\n' "$*"; }
die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

is_root() { [ "$(id -u)" = 0 ]; }

# Where servers that give up root keep their files. A checkout below a 0700 home is out of reach for
# them, so for root .run/data points to a directory of its own below /var/lib.
data_home() {
    if is_root; then
        printf '/var/lib/ngx_media-%s' "$(printf '%s' "$RUN" | sha256sum | cut -c1-12)"
    else
        printf '%s' "$RUN/data"
    fi
}

run_dirs() {
    if ! mkdir -p "$RUN" 2>/dev/null || [ ! -w "$RUN" ]; then
        die "$RUN is not writable for $(id -un)"
    fi
    chmod 0755 "$RUN"
    mkdir -p "$RUN"/{pid,log,conf,mail,health,tmp,secrets}
    chmod 0700 "$RUN/secrets"
    local home
    home=$(data_home)
    if is_root && [ ! -L "$RUN/data" ]; then
        # left over from a .run/ that was deleted by hand: its passwords are gone with it
        rm -rf "$home"
        ln -s "$home" "$RUN/data"
    fi
    mkdir -p "$home"
    if is_root; then
        chmod 0711 "$home"
    fi
}

# ---- settings ----

SETTINGS=(MEDIA_PORT MEDIA_H2C_PORT MEDIA_PG_PORT MEDIA_AMQP_PORT MEDIA_DIST_PORT MEDIA_EPMD_PORT MEDIA_S3_PORT
    MEDIA_SMTP_PORT MEDIA_S3_BUCKET MEDIA_MODELS S3 S3_OUTPUT WORKERS)

remembered() { # NAME
    if [ -f "$RUN/settings" ]; then
        sed -n "s/^$1=//p" "$RUN/settings"
    fi
}

setting() { # NAME DEFAULT: fixes the global NAME
    local value=${!1-}
    value=${value:-$(remembered "$1")}
    printf -v "$1" '%s' "${value:-$2}"
}

# Of the detectors: those that lie beside the checkout, else what `mediactl models fetch` fetches.
models_home() {
    if [ -d "$SHARED/model" ]; then
        (cd "$SHARED/model" && pwd -P)
    else
        printf '%s' "$CACHE/models"
    fi
}

load_settings() {
    setting MEDIA_PORT 8080
    setting MEDIA_H2C_PORT 0 # none
    setting MEDIA_PG_PORT 15432
    setting MEDIA_AMQP_PORT 15673
    setting MEDIA_DIST_PORT 15674
    setting MEDIA_EPMD_PORT 15675
    setting MEDIA_S3_PORT 19000
    setting MEDIA_SMTP_PORT 12525
    setting MEDIA_S3_BUCKET media
    setting MEDIA_MODELS "$(models_home)"
    setting S3 minio
    setting S3_OUTPUT shared
    setting WORKERS 2
    local name
    for name in "${SETTINGS[@]}"; do
        case $name in
        MEDIA_S3_BUCKET) [[ ${!name} =~ ^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$ ]] ;;
        MEDIA_MODELS) [[ ${!name} = /* ]] ;;
        S3) [[ ${!name} = minio || ${!name} = versitygw ]] ;;
        S3_OUTPUT) [[ ${!name} = shared || ${!name} = separate ]] ;;
        *) [[ ${!name} =~ ^[0-9]{1,5}$ && ${!name} -le 65535 ]] ;;
        esac || die "$name: bad value \"${!name}\""
    done
    S3_OUTPUT_BUCKET=$MEDIA_S3_BUCKET
    if [ "$S3_OUTPUT" = separate ]; then
        S3_OUTPUT_BUCKET=${MEDIA_S3_BUCKET:0:56}-output
    fi
    load_s3
    if [ "$S3_OWN" = 0 ] && [ "$S3_OUTPUT" = separate ]; then
        die "S3_OUTPUT=separate makes users, which takes an S3 of our own"
    fi
}

save_settings() {
    local name
    for name in "${SETTINGS[@]}"; do
        printf '%s=%s\n' "$name" "${!name}"
    done >"$RUN/settings.new"
    mv "$RUN/settings.new" "$RUN/settings"
}

# ---- secrets: made once, 0600, never an argument of a program ----

random_hex() { head -c "$1" /dev/urandom | od -An -vtx1 | tr -d ' \n'; }

secret() { # NAME [BYTES]: makes .run/secrets/NAME if needed and prints its text
    local file=$RUN/secrets/$1
    if [ ! -s "$file" ]; then
        (umask 077 && random_hex "${2:-24}" >"$file.new" && mv "$file.new" "$file")
    fi
    cat "$file"
}

put_secret() { # NAME: stdin becomes .run/secrets/NAME
    (umask 077 && cat >"$RUN/secrets/$1.new" && mv "$RUN/secrets/$1.new" "$RUN/secrets/$1")
}

# ---- S3: ours, MinIO or versitygw, or the one the caller names ----

# Sets S3_URL, S3_KEY, S3_SECRET, S3_OWN (1: it is ours to start). The caller's AWS_* count only when
# they name another S3 than ours: a shell that sourced .run/env, even an old one, must change nothing.
load_s3() {
    local own=http://127.0.0.1:$MEDIA_S3_PORT url=${AWS_ENDPOINT_URL_S3:-${AWS_ENDPOINT_URL-}} ours
    ours=$(cat "$RUN/secrets/s3-key" 2>/dev/null) || ours=none
    S3_REGION=${AWS_REGION:-us-east-1}
    if [ -n "$url" ] && [ "$url" != "$own" ] && [ "${AWS_ACCESS_KEY_ID-}" != "$ours" ]; then
        if [ -z "${AWS_ACCESS_KEY_ID-}" ] || [ -z "${AWS_SECRET_ACCESS_KEY-}" ]; then
            die "AWS_ENDPOINT_URL is set: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be, too"
        fi
        [[ $url =~ ^https?://[^/?#@]+/?$ ]] || die "AWS_ENDPOINT_URL: not http[s]://host[:port]: \"$url\""
        S3_OWN=0 S3_URL=${url%/} S3_KEY=$AWS_ACCESS_KEY_ID S3_SECRET=$AWS_SECRET_ACCESS_KEY
    elif [ -z "${AWS_ENDPOINT_URL-unset}" ] || [ ! -f "$RUN/secrets/s3-other" ]; then
        S3_OWN=1 S3_URL=$own S3_KEY='' S3_SECRET=''
    else
        { read -r S3_URL && read -r S3_KEY && read -r S3_SECRET && read -r S3_REGION; } <"$RUN/secrets/s3-other"
        S3_OWN=0
    fi
}

own_s3_keys() {
    if [ "$S3_OWN" = 1 ]; then
        S3_KEY=$(secret s3-key 10) S3_SECRET=$(secret s3-secret 20)
    fi
}

save_s3() {
    if [ "$S3_OWN" = 1 ]; then
        rm -f "$RUN/secrets/s3-other"
    else
        printf '%s\n' "$S3_URL" "$S3_KEY" "$S3_SECRET" "$S3_REGION" | put_secret s3-other
    fi
}
