#!/usr/bin/env bash
# make bench: the figures of bench/RESULTS.md, against a system of its own (.run/bench, free ports) that is
# gone afterwards.
#   bench/run.sh [upload jwt transcode conversions]   some of them, printed only
#   BENCH_RUNS=7                                      counted runs of each way
set -euo pipefail
export MEDIA_RUN
MEDIA_RUN=$(cd "$(dirname "$0")/.." && pwd -P)/.run/bench
# another system's keys and addresses are not for the figures
unset AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3 AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN
. "$(dirname "$0")/../dev/lib.sh"
. "$ROOT/dev/proc.sh"
. "$ROOT/dev/clip.sh"
. "$ROOT/dev/ports.sh"
. "$ROOT/dev/minio.sh"
. "$ROOT/bench/lib/results.sh"

ALL=(upload jwt transcode conversions)
OUT=$ROOT/build/bench

finish() {
    local rc=$?
    trap - EXIT
    trap '' INT TERM HUP
    if [ -d "$RUN/log" ]; then
        rm -rf "$OUT/log"
        cp -r "$RUN/log" "$OUT/log"
    fi
    PURGE=1 STOP_LIMIT=10 "$ROOT/dev/down.sh" >/dev/null
    rmdir "$ROOT/.run" 2>/dev/null || true
    exit "$rc"
}

system_up() { # SERVER...
    "$ROOT/dev/up.sh" "$@" >>"$OUT/up.log" 2>&1 || {
        tail -n 30 "$OUT/up.log" >&2
        die "the system for the figures did not start"
    }
}

measure() { # NAME
    say "$1" >&2
    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$ROOT/bench/lib:$ROOT/e2e \
        /usr/bin/python3 "$ROOT/bench/$1.py" >"$OUT/$1.md.new"
    mv "$OUT/$1.md.new" "$OUT/$1.md"
    cat "$OUT/$1.md"
}

chosen=("$@")
if [ $# = 0 ]; then
    chosen=("${ALL[@]}")
fi
for name in "${chosen[@]}"; do
    [[ " ${ALL[*]} " = *" $name "* ]] || die "no benchmark \"$name\": ${ALL[*]}"
done
mkdir -p "$OUT" "$RUN"
machine_before
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
free_ports
# no worker yet: it would convert what is uploaded while uploads are measured
system_up postgres rabbitmq s3 smtp nginx
# shellcheck disable=SC1091
. "$RUN/env"
clip_fetch
export MEDIA_CLIP=$CLIP MEDIA_MODULE=$BUILD/lib/ngx_http_media_module.so
mkdir -p "$RUN/data/bench"
for name in "${chosen[@]}"; do
    measure "$name"
done
if [ "${chosen[*]}" = "${ALL[*]}" ]; then
    write_results
    # fewer runs are for trying the benchmarks themselves
    if [ "${BENCH_RUNS:-7}" -ge 7 ]; then
        cp "$OUT/RESULTS.md" "$ROOT/bench/RESULTS.md"
    fi
fi
