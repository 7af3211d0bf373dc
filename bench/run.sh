#!/usr/bin/env bash
# make bench: the figures of bench/RESULTS.md. Each benchmark has a system of its own (.run/bench, free ports) that is
# gone afterwards, and a section of its own, which replaces the one that was there.
#   bench/run.sh [NAME...]   some of them; the other sections stay as they are
#   BENCH_RUNS=7             counted rounds of all ways; with fewer RESULTS.md is left alone
#   BENCH_TRY=1              one round with little data, to try the benchmarks themselves
set -euo pipefail
export MEDIA_RUN
MEDIA_RUN=$(cd "$(dirname "$0")/.." && pwd -P)/.run/bench
# another system's keys and addresses are not for the figures
unset AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3 AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN
. "$(dirname "$0")/../dev/lib.sh"
. "$ROOT/dev/proc.sh"
. "$ROOT/dev/clip.sh"
. "$ROOT/dev/ports.sh"
. "$ROOT/dev/gotool.sh"
. "$ROOT/bench/lib/results.sh"

# in the order of RESULTS.md
ALL=(upload form tusd small memory download auth backup transcode conversions ladder scaling firstplay moviepy video-quality
    faces
    anonymize deface reidentify)
OUT=$ROOT/build/bench

system_down() {
    if [ -d "$RUN/log" ]; then
        rm -rf "$OUT/log"
        cp -r "$RUN/log" "$OUT/log"
    fi
    PURGE=1 STOP_LIMIT=10 "$ROOT/dev/down.sh" >/dev/null
}

finish() {
    local rc=$?
    trap - EXIT
    trap '' INT TERM HUP
    system_down
    rmdir "$ROOT/.run" 2>/dev/null || true
    exit "$rc"
}

# No worker yet: it would convert what is uploaded while uploads are measured.
system_up() {
    mkdir -p "$RUN"
    "$ROOT/dev/up.sh" postgres rabbitmq s3 smtp nginx >"$OUT/up.log" 2>&1 || {
        tail -n 30 "$OUT/up.log" >&2
        die "the system for the figures did not start"
    }
    mkdir -p "$RUN/data/bench"
}

measure() { # NAME; in a subshell, for its system's environment
    # shellcheck disable=SC1091
    . "$RUN/env"
    export MEDIA_CACHE=$CACHE MEDIA_CLIP=$CLIP MEDIA_MODULE=$BUILD/lib/ngx_http_media_module.so MEDIA_TUSD
    MEDIA_TUSD=$(gotool_bin tusd)
    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$ROOT/bench/lib:$ROOT/e2e \
        /usr/bin/python3 "$ROOT/bench/$1.py" >"$OUT/$1.tables"
}

section() { # NAME: a new one in $OUT/NAME.md
    local began=$SECONDS
    say "$1" >&2
    system_up
    machine_before
    (measure "$1") || return 1
    write_section "$1" "$((SECONDS - began))"
    if [ "${BENCH_RUNS:-7}" -ge 7 ] && [ "${BENCH_TRY:-0}" != 1 ]; then
        put_section "$1"
    fi
    system_down
    cat "$OUT/$1.tables"
}

chosen=("$@")
if [ $# = 0 ]; then
    chosen=("${ALL[@]}")
fi
for name in "${chosen[@]}"; do
    [[ " ${ALL[*]} " = *" $name "* ]] || die "no benchmark \"$name\": ${ALL[*]}"
done
mkdir -p "$OUT"
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
free_ports
clip_fetch
if [[ " ${chosen[*]} " = *" tusd "* ]]; then
    gotool_build tusd >&2
fi
failed=()
for name in "${chosen[@]}"; do
    section "$name" || {
        failed+=("$name")
        system_down
    }
done
[ ${#failed[@]} = 0 ] || die "no figures of: ${failed[*]}"
