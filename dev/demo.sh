#!/usr/bin/env bash
# make demo: from a bare Debian to the mp3 of a video and to photos in which nobody can be recognised, each step with the
# line a user would type.
#   FILE=path      this video instead of the sample clip
#   DEMO_WAIT=600  seconds to wait for the mail
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$ROOT/dev/gotool.sh"
. "$ROOT/dev/clip.sh"

EMAIL=demo@example.com
DEMO=$RUN/demo

# Ctrl-C leaves no process; a step that fails leaves the system up for a look at its logs.
finish() {
    local rc=$?
    trap - EXIT
    trap '' INT TERM HUP
    gotool_build_stop
    if [ "$rc" -ge 128 ]; then
        STOP_LIMIT=10 "$ROOT/dev/down.sh"
    fi
    exit "$rc"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

title() {
    if [ -t 1 ]; then
        printf '\n\033[1m%s\033[0m\n' "$1"
    else
        printf '\n%s\n' "$1"
    fi
}

step() { # TITLE COMMAND: shows the line and runs just that line
    title "$1"
    printf '$ %s\n' "$2"
    eval "$2"
}

quoted() { printf '%q' "$1"; }

prepare() {
    "$ROOT/dev/deps.sh" go
    setting S3 minio
    gotool_build_start "$S3"
    "$ROOT/dev/deps.sh" run
    if [ -z "${FILE-}" ]; then
        clip_fetch
        FILE=$CLIP
    fi
    if [ ! -f "$FILE" ] || [ ! -r "$FILE" ]; then
        die "FILE=$FILE: no such file"
    fi
    FILE=$(realpath "$FILE")
    "$ROOT/dev/up.sh"
    gotool_build_wait
    # shellcheck disable=SC1091
    . "$RUN/env"
    mkdir -p "$DEMO"
}

# curl reads the password from a netrc file, so that it is no argument of a program
account() {
    local password
    password=$(secret demo-password 12)
    printf 'machine 127.0.0.1 login %s password %s\n' "$EMAIL" "$password" | put_secret demo-netrc
    if mediactl user list --json | jq -e --arg email "$EMAIL" 'any(.[]; .email == $email)' >/dev/null; then
        return 0
    fi
    step "An account" "mediactl user add $EMAIL --password-stdin <$(quoted "$RUN/secrets/demo-password")"
}

wait_for_mail() { # ID: prints progress; sets MAIL
    local id=$1 end=$((SECONDS + ${DEMO_WAIT:-600})) seen='' now
    until MAIL=$("$ROOT/dev/mail.py" find "$MEDIA_MAIL_DIR" "$id"); do
        now=$(curl -sS -H "Authorization: Bearer $TOKEN" "$MEDIA_URL/media/$id" |
            jq -r '"\(.state) \((.progress // 0) * 100 | floor) %"')
        if [ "$now" != "$seen" ]; then
            note "$now"
            seen=$now
        fi
        [ "$SECONDS" -lt "$end" ] || die "no mail after ${DEMO_WAIT:-600} s; make status and $RUN/log tell more"
        sleep 0.2
    done
}

# The photos lie beside the checkout, if anywhere: none of people come with it.
STREET=none_ax_tokyo.jpg
PHOTOS=(face_az_cafe.jpg face_az_group6.jpg)

photo() { # FILE PARAMS: $DEMO/photos/NAME.before.EXT and NAME.after.EXT
    local file=$SHARED/image/$1 name=${1%.*} ext=${1##*.} id state end=$((SECONDS + ${DEMO_WAIT:-600}))
    cp "$file" "$DEMO/photos/$name.before.$ext"
    step "Mask who is in $1: its owner gets the masked copy and a report, nobody the original" \
        "curl -fsS -H \"Authorization: Bearer \$TOKEN\" -F pipeline=anonymize -F params='$2' \\
      -F file=@$(quoted "$file") \$MEDIA_URL/upload >$(quoted "$DEMO/upload.json")"
    id=$(jq -r .id "$DEMO/upload.json")
    until state=$(curl -sS -H "Authorization: Bearer $TOKEN" "$MEDIA_URL/media/$id" | jq -r .state) &&
        [ "$state" != processing ]; do
        [ "$SECONDS" -lt "$end" ] || die "$1 is not masked after ${DEMO_WAIT:-600} s; make status and $RUN/log tell more"
        sleep 0.1
    done
    [ "$state" = ready ] || die "$1: $state; $RUN/log tells more"
    step "Fetch it" "curl -fsS -o $(quoted "$DEMO/photos/$name.after.$ext") -H \"Authorization: Bearer \$TOKEN\" \\
      \$MEDIA_URL/media/$id/masked.$ext"
    curl -fsS -H "Authorization: Bearer $TOKEN" "$MEDIA_URL/media/$id/report.json" |
        jq -r '"  masked: \(.counts | to_entries | map("\(.value) \(.key)") | join(", "))"'
}

photos() {
    local file
    if [ ! -d "$SHARED/image" ] || [ ! -f "$MEDIA_MODELS/yunet_n_640_640.onnx" ]; then
        say ""
        say "No photos: there are none in $SHARED/image, or no network in $MEDIA_MODELS (mediactl models fetch)."
        return 0
    fi
    mkdir -p "$DEMO/photos"
    photo "$STREET" '{"classes":["face","person","vehicle"]}'
    for file in "${PHOTOS[@]}"; do
        photo "$file" '{"mask":"mosaic"}'
    done
}

prepare
account
step "Log in" \
    "TOKEN=\$(curl -fsS -X POST --netrc-file $(quoted "$RUN/secrets/demo-netrc") \$MEDIA_URL/login | jq -r .access_token)"
# curl expands brackets in a file's name unless told not to
globoff=''
case $FILE in
*[][{}]*) globoff=1 ;;
esac
step "Upload the video: nginx streams it to S3 while it arrives" \
    "curl -fsS${globoff:+ -g} -T $(quoted "$FILE") -H \"Authorization: Bearer \$TOKEN\" \$MEDIA_URL/upload/ |
      tee $(quoted "$DEMO/upload.json") | jq ."
ID=$(jq -r .id "$DEMO/upload.json")

title "Wait for the mail in $MEDIA_MAIL_DIR"
wait_for_mail "$ID"
"$ROOT/dev/mail.py" show "$MAIL" | sed 's/^/    /'
LINK=$("$ROOT/dev/mail.py" link "$MAIL") || die "the mail holds no link: the video could not be converted"

MP3=$DEMO/$(basename "${FILE%.*}").mp3
step "Fetch the mp3 by the mail's link (it needs no header, a browser will do)" \
    "curl -fsS -o $(quoted "$MP3") $(quoted "$LINK")"
[ -s "$MP3" ] || die "the mp3 is empty"
photos

say ""
say "The mp3:    $MP3 ($(stat -c %s "$MP3") bytes)"
say "The mail:   $MAIL"
for file in "$DEMO"/photos/*; do
    [ ! -f "$file" ] || say "A photo:    $file"
done
say "The system: $MEDIA_URL stays up; make status, make logs, make down"
