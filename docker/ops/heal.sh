#!/usr/bin/env bash
# Beside a member of MinIO, whose pod is ready when this says so: the member has what it missed. One that comes back
# lacks what was written meanwhile, and MinIO itself sees to that late: with another one away next, objects were gone.
# It heals, watches, and heals again after it was away: did not answer, or was without the quorum that writing takes.
#   TMPDIR                /ready is there while the member may be relied on, /alive is touched by what keeps watch
#   AWS_ENDPOINT_URL      the member
#   MEDIA_S3_MEMBER       its name among MinIO's members, host:port
#   MEDIA_S3_SERVICE      where clients find those that are ready: if nobody is, this one serves before it is healed
#   MEDIA_HEAL_SETTLE_S   from its return until the others surely write to it again: they look for it every 30 s
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/stores.sh"

MEMBER=${MEDIA_S3_MEMBER:?}
SERVICE=${MEDIA_S3_SERVICE-}
SETTLE_S=${MEDIA_HEAL_SETTLE_S:-30}
AWS_ENDPOINT_URL=${AWS_ENDPOINT_URL:-http://127.0.0.1:9000}
READY=${TMPDIR:-/tmp}/ready ALIVE=${TMPDIR:-/tmp}/alive
HEAL=/minio/admin/v3/heal/
# MinIO waits 10 s for other members before it says what it has
ANSWER_S=15
# not looked at for so long, the member may have been away, too: the host stood still
LAPSE_S=20
# longest pause between two attempts
REPEAT_S=60

# Results of a heal: the summary, how many buckets and objects, how many got what they lacked here, how many did not, of
# how many too little was found anywhere; then why it stopped, and one that is not healed. What is gone lacks nothing.
# shellcheck disable=SC2016
RESULTS='def ours: [.drives[]? | select(.endpoint | contains("://\($member)/")) | .state];
    [.Items[]? | select(.detail | test("^(Object|Version|Bucket) not found") | not)
        | . + {was: (.before | ours), is: (.after | ours)}] as $all
    | [$all[] | select(.detail | startswith("Storage resources are insufficient for the read"))] as $lost
    | [($all - $lost)[] | select(.detail != "" or .is == [] or any(.is[]; . != "ok"))] as $left
    | [($all - $lost - $left)[] | select(any(.was[]; . != "ok"))] as $mended
    | "\(.Summary) \($all | length) \($mended | length) \($left | length) \($lost | length)", .Detail // "",
        "\($left + $lost | .[0] // {} | [.bucket, .object, .detail, .is] | map(tostring) | join(" "))"'

# ---- the member ----

# Whether it answers and has its quorum
present() {
    touch "$ALIVE"
    curl -fsS -o /dev/null --max-time "$ANSWER_S" "$AWS_ENDPOINT_URL/minio/health/cluster" 2>/dev/null
}

seen() { SEEN=$(uptime_s); }

# Whether it has been present since it was seen
stays() {
    local before=$SEEN
    present && seen && [ $((SEEN - before)) -lt "$LAPSE_S" ]
}

uptime_s() {
    local up
    read -r up _ </proc/uptime
    printf '%s' "${up%.*}"
}

# A moment of one that is not healed; fails when it is away
pass() { # SECONDS
    sleep "$1"
    [ "$(uptime_s)" != "$SEEN" ] || return 0
    stays && help_out
}

# One that still heals is better than nobody; when all were lost, nobody wrote what others missed.
help_out() {
    if [ -z "$SERVICE" ] || [ -e "$READY" ] ||
        curl -fsS -o /dev/null --max-time 2 "$SERVICE/minio/health/live" 2>/dev/null; then
        ALONE=0
    elif [ $((ALONE += 1)) -ge 5 ]; then
        say "nobody is ready: serving before all is healed"
        touch "$READY"
    fi
}

# ---- healing ----

# Until all is healed; fails when the member is away
heal() {
    local began=$SEEN delay=1
    MENDED=0
    ! empty || return 0
    while [ $((SEEN - began)) -lt "$SETTLE_S" ]; do
        pass 1 || return 1
    done
    until heal_once; do
        stays || return 1
        if [ -z "$WHY" ] && [ "$LEFT" = 0 ] && [ "$delay" = "$REPEAT_S" ]; then
            say "too little is left of $LOST, such as $UNHEALED: nothing that this member could wait for"
            break
        fi
        say "not healed: ${WHY:-$((LEFT + LOST)) of $ITEMS, such as $UNHEALED}; again in $delay s"
        wait_s "$delay" || return 1
        delay=$((delay * 2 < REPEAT_S ? delay * 2 : REPEAT_S))
    done
    say "healed: $ITEMS objects and buckets, $MENDED of them had been missed; $(($(uptime_s) - began)) s after it came"
}

wait_s() { # SECONDS
    local i
    for ((i = 0; i < $1; i++)); do
        pass 1 || return 1
    done
}

# An installation begins: there is no bucket yet.
empty() { s3_as_root && [ "$(s3_request GET /)" = 200 ] && ! grep -q '<Bucket>' "$S3_TMP/s3-answer"; }

# Every bucket and object, and what MinIO keeps of users; counts them, or says WHY not
heal_once() {
    local token
    ITEMS=0 LEFT=0 LOST=0 WHY=''
    s3_as_root
    printf '{"recursive":true,"scanMode":1}' >"$WORK/heal"
    ask "?forceStart=true" "$WORK/heal" || return 1
    token=$(jq -r '.clientToken | @uri' "$S3_TMP/s3-answer")
    until results "$token"; do
        # MinIO waits when it has a thousand results for us
        if [ -n "$WHY" ] || ! pass 0.2; then
            return 1
        fi
    done
    [ $((LEFT + LOST)) = 0 ]
}

ask() { # QUERY [FILE]
    local status
    : >"$S3_TMP/s3-answer"
    status=$(s3_request POST "$HEAL$1" "${@:2}") || status='no answer'
    [ "$status" = 200 ] && return 0
    WHY="$status: $(s3_answer)"
    return 1
}

# Adds what has come in; fails until that was all
results() { # TOKEN
    local summary items mended left lost detail name
    ask "?clientToken=$1" || return 1
    # to MinIO, a heal that it does not know has finished, and began in the year 1
    if jq -e '.StartTime | startswith("0001-")' "$S3_TMP/s3-answer" >/dev/null; then
        WHY='MinIO has forgotten it'
        return 1
    fi
    {
        read -r summary items mended left lost
        IFS= read -r detail
        IFS= read -r name
    } < <(jq -r --arg member "$MEMBER" "$RESULTS" "$S3_TMP/s3-answer")
    : $((ITEMS += items)) $((MENDED += mended)) $((LEFT += left)) $((LOST += lost))
    [ $((left + lost)) = 0 ] || UNHEALED=$name
    [ "$summary" != stopped ] || WHY=$detail
    [ "$summary" = finished ]
}

watch() {
    while :; do
        until present; do
            sleep 0.5
        done
        seen
        ALONE=0
        if heal; then
            touch "$READY"
            while stays; do
                sleep 1
            done
        fi
        rm -f "$READY"
        say "away: no answer, or no quorum"
    done
}

work_dir
S3_TMP=$WORK
rm -f "$READY"
watch &
trap 'kill $!; exit 0' TERM INT
wait $!
