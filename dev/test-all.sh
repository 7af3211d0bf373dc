#!/usr/bin/env bash
# make test-all: everything there is, by hand: the suite on MinIO (units and t/ under ASAN and UBSAN, over reloads,
# with leak check), then t/ and end to end on the second S3. Writes docs/TESTED.md: date, commit, what was run on
# what, what was skipped and why. An hour or two.
#   VENDORS="minio versitygw"   one of them
set -euo pipefail
. "$(dirname "$0")/lib.sh"

VENDORS=${VENDORS:-minio versitygw}
export MEDIA_ALL_CLIPS=1 UNIT_SECONDS=1800 E2E_LONG=1
export MANY=${MANY:-2000}   # uploads at once in e2e/test_many.py
OUT=$ROOT/build/test-all
declare -A SUITES_ON=(
    [minio]="units sql t t-hup t-leak e2e logs fuzz"
    [versitygw]="t e2e logs"
)
declare -A MEANS=(
    [units]="unit tests of libmedia and workers, ASAN and UBSAN"
    [sql]="states, engine, races and privileges of the schema"
    [t]="the module in Debian's nginx"
    [t-hup]="the same, each configuration reached by a reload"
    [t-leak]="the same under ASAN and UBSAN, with leak check"
    [e2e]="the whole system: outages, kills, drains"
    [logs]="no [alert], [crit], [emerg] in its logs but those of processes killed on purpose"
    [fuzz]="each fuzz target"
)

cd "$ROOT"
rm -rf "$OUT"
mkdir -p "$OUT"
rc=0
for vendor in $VENDORS; do
    say "== $vendor: ${SUITES_ON[$vendor]}"
    S3=$vendor SUITES=${SUITES_ON[$vendor]} FUZZ_SECONDS=${FUZZ_SECONDS:-60} dev/test.sh 2>&1 |
        tee "$OUT/$vendor.out" || rc=1
    rm -rf "${OUT:?}/$vendor"
    cp -r build/test "$OUT/$vendor"
done

version() { # COMMAND...
    "$@" 2>&1 | head -n 1
}

# Lines of "| vendor | suite | passed | failed | skipped | seconds |" out of what dev/test.sh said
table() {
    local vendor suite
    for vendor in $VENDORS; do
        while read -r suite line; do
            [ -n "${MEANS[$suite]-}" ] || continue
            [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped\ \(([0-9]+)\ s\)$ ]] || continue
            printf '| %s | `%s` | %s | %s | %s | %s | %s |\n' "$vendor" "$suite" "${MEANS[$suite]}" "${BASH_REMATCH[@]:1:4}"
        done <"$OUT/$vendor.out"
    done
}

skipped() {
    local vendor
    for vendor in $VENDORS; do
        grep -hoE '# *[Ss][Kk][Ii][Pp][A-Za-z]* .*' "$OUT/$vendor"/*.log 2>/dev/null | sed -E 's/^# *[A-Za-z]+ +//' |
            sort | uniq -c | sort -rn | awk -v v="$vendor" '{ n = $1; $1 = ""; printf "| %s |%s | %d |\n", v, $0, n }'
    done
}

{
    printf '# Tested\n\n'
    printf 'What `make test-all` found; every suite was run on the machine and commit named here.\n\n'
    printf '| | |\n|---|---|\n'
    printf '| date | %s |\n' "$(date -u +%Y-%m-%d)"
    printf '| commit | %s%s |\n' "$(git rev-parse --short=12 HEAD)" \
        "$(git diff --quiet HEAD -- . ":!docs/TESTED.md" || printf ' and changes')"
    printf '| machine | %s cores, %s GiB, Linux %s |\n' "$(nproc)" \
        "$(awk '/^MemTotal/ { printf "%d", $2 / 1048576 }' /proc/meminfo)" "$(uname -r)"
    printf '| nginx | %s |\n' "$(version nginx -v)"
    printf '| PostgreSQL, RabbitMQ | %s, %s |\n' "$(dpkg-query -W -f='${Version}' postgresql)" \
        "$(dpkg-query -W -f='${Version}' rabbitmq-server)"
    printf '\n| S3 | suite | what | passed | failed | skipped | seconds |\n|---|---|---|---|---|---|---|\n'
    table
    printf '\nSkipped:\n\n| S3 | reason | tests |\n|---|---|---|\n'
    skipped
} >"$OUT/TESTED.md"
cp "$OUT/TESTED.md" docs/TESTED.md
say "docs/TESTED.md written"
exit "$rc"
