#!/usr/bin/env bash
# `docker compose up --wait` in an empty place, then what a user does: login, upload, mp3, mail and its link, a masked
# photo; a second `up` changes nothing; what a container may not do. Stops and deletes it all at the end (KEEP=1: not).
# Images must be there: docker/images.sh build.
set -euo pipefail
. "$(dirname "$0")/../../dev/lib.sh"
. "$ROOT/dev/ports.sh"
. "$ROOT/dev/gotool.sh"
. "$ROOT/dev/clip.sh"

export COMPOSE_PROJECT_NAME=ngx-media-test MEDIA_PORT=${MEDIA_PORT:-38080} MEDIA_MAIL_PORT=${MEDIA_MAIL_PORT:-38025}
MEDIA_MODELS=${MEDIA_MODELS:-$(models_home)}
export MEDIA_MODELS
URL=http://127.0.0.1:$MEDIA_PORT
EMAIL=me@example.com
WORK=$(mktemp -d)

compose() { docker compose --project-directory "$ROOT" "$@"; }

clean_up() {
    local rc=$?
    trap - EXIT
    if [ "$rc" -ne 0 ]; then
        compose ps -a >&2
        compose logs --no-color --tail 5 >&2
    fi
    [ -n "${KEEP-}" ] || compose down -v >/dev/null 2>&1
    rm -rf "$WORK"
    exit "$rc"
}
trap clean_up EXIT

ok() { printf 'ok  %s\n' "$*"; }

await() { # SECONDS WHAT COMMAND...
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || die "no $what"
        sleep 0.2
    done
}

api() { curl -fsS -H "Authorization: Bearer $TOKEN" "$@"; }
state_is() { [ "$(api "$URL/media/$1" | jq -r .state)" = "$2" ]; }
mails() { curl -fsS "http://127.0.0.1:$MEDIA_MAIL_PORT/mails" | jq -c --arg to "$EMAIL" '[.[] | select(.to | index($to))]'; }
mail_of() { [ "$(mails | jq --arg id "$1" '[.[] | select(.body | contains($id))] | length')" -ge 1 ]; }

up() {
    local began=$SECONDS
    compose up --wait --no-build >"$WORK/up.log" 2>&1 || {
        tail -n 20 "$WORK/up.log" >&2
        die "docker compose up"
    }
    ok "docker compose up --wait: $((SECONDS - began)) s"
}

login() {
    local password
    password=$(random_hex 8)
    printf '%s\n' "$password" | compose run --rm -T ctl user add "$EMAIL" --password-stdin >/dev/null 2>"$WORK/ctl.log" ||
        die "ctl: $(cat "$WORK/ctl.log")"
    printf 'machine 127.0.0.1 login %s password %s\n' "$EMAIL" "$password" >"$WORK/netrc"
    TOKEN=$(curl -fsS --netrc-file "$WORK/netrc" -X POST "$URL/login" | jq -r .access_token)
    ok "login"
}

audio() {
    local id link
    id=$(api -T "$CLIP" "$URL/upload/" | jq -r .id)
    await 120 "mp3" state_is "$id" ready
    await 60 "mail" mail_of "$id"
    link=$(mails | jq -r '.[0].body' | grep -o 'http[^ ]*' | head -n 1)
    curl -fsS -o "$WORK/mp3" "$link"
    head -c 3 "$WORK/mp3" | grep -q ID3 || die "what the mail's link leads to is no mp3"
    [ "$(mails | jq length)" = 1 ] || die "more than one mail"
    api -o "$WORK/original" "$URL/media/$id/original"
    cmp -s "$CLIP" "$WORK/original" || die "the original is another"
    ok "upload, mp3, one mail, its link, the original"
}

photo() {
    local id
    if [ ! -f "$SHARED/image/face_az_cafe.jpg" ] || [ ! -f "$MEDIA_MODELS/yunet_n_640_640.onnx" ]; then
        ok "no photo to mask, or no network: skipped"
        return 0
    fi
    id=$(api -F pipeline=anonymize -F "file=@$SHARED/image/face_az_cafe.jpg" "$URL/upload" | jq -r .id)
    await 120 "masked photo" state_is "$id" ready
    api -o "$WORK/masked.jpg" "$URL/media/$id/masked.jpg"
    [ "$(api "$URL/media/$id/report.json" | jq .counts.face)" -ge 1 ] || die "nobody was masked"
    ok "masked photo"
}

# passwords stand in nobody's environment, and each service sees its own secrets alone
confined() {
    local id name env
    for id in $(compose ps -aq); do
        name=$(docker inspect -f '{{.Name}}' "$id")
        env=$(docker inspect -f '{{json .Config.Env}} {{json .Args}}' "$id")
        [[ ! $env =~ (PASSWORD|SECRET_ACCESS_KEY|AMQP_URL)= ]] || die "$name: a secret in its environment"
        docker inspect "$id" | jq -e '.[0].HostConfig | .ReadonlyRootfs and (.CapDrop | index("ALL")) != null and
            (.SecurityOpt | index("no-new-privileges:true")) != null' >/dev/null || die "$name may do too much"
    done
    [ "$(docker exec "$(compose ps -q postgres)" ls /run/secrets)" = media-pg-superuser ] ||
        die "postgres sees others' secrets"
    ok "read-only, no capabilities, no secret in any environment"
}

again() {
    local before
    before=$(compose ps -q gateway postgres | sort)
    up
    [ "$(compose ps -q gateway postgres | sort)" = "$before" ] || die "a second up made other containers"
    [ "$(api "$URL/me" | jq -r .email)" = "$EMAIL" ] || die "the token is refused"
    ok "a second up changes nothing"
}

compose version >/dev/null
clip_fetch
up
login
audio
photo
confined
again
