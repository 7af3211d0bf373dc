#!/usr/bin/env bash
# make fuzz: every fuzz target, as many at once as there are cores. TAP on stdout.
#   SECONDS_EACH=60   for so long, or RUNS=n: so many inputs
#   TARGETS="jwt http1"   some of them
# What a run learns is kept in build/fuzz/corpus; a finding is left in build/fuzz/findings.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

LIMIT=-max_total_time=${SECONDS_EACH:-60}
if [ -n "${RUNS-}" ]; then
    LIMIT=-runs=$RUNS
fi
cd "$ROOT"
PRESET=fuzz "$ROOT/dev/build.sh"
OUT=$ROOT/build/fuzz
WANTED=${TARGETS:-.*}
mapfile -t targets < <(find "$OUT" -maxdepth 3 -type f -name 'fuzz_*' -perm -u+x | sort |
    grep -E "/fuzz_(${WANTED// /|})\$")
printf '1..%d\n' "${#targets[@]}"

fuzz_one() { # PATH
    local name=${1##*/} corpus findings seeds=()
    corpus=$OUT/corpus/$name findings=$OUT/findings/$name
    mkdir -p "$corpus" "$findings"
    if [ -d "$ROOT/libmedia/fuzz/corpus/$name" ]; then
        seeds=("$ROOT/libmedia/fuzz/corpus/$name")
    fi
    if "$1" "$LIMIT" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$findings/" "$corpus" "${seeds[@]}" >"$OUT/$name.log" 2>&1; then
        printf 'ok - %s: %s\n' "$name" "$(sed -n 's/^stat::number_of_executed_units: */runs /p' "$OUT/$name.log")"
    else
        printf 'not ok - %s: see %s and %s\n' "$name" "$OUT/$name.log" "$findings"
        return 1
    fi
}
export -f fuzz_one
export OUT ROOT LIMIT
if [ ${#targets[@]} -gt 0 ]; then
    printf '%s\0' "${targets[@]}" | xargs -0 -n 1 -P "$(nproc)" bash -c 'fuzz_one "$1"' fuzz
fi
