#!/usr/bin/env bash
# make test: every suite, against a system of its own (.run/test, free ports) that is gone afterwards.
#   SUITES="units sql t t-asan e2e logs fuzz"   some of them, also t-hup, t-leak; logs in build/test
#   S3=minio|versitygw                          the S3 of that system
#   UNITS=asan|release                          the build whose units are run
set -euo pipefail
export MEDIA_RUN
MEDIA_RUN=$(cd "$(dirname "$0")/.." && pwd -P)/.run/test
. "$(dirname "$0")/testsystem.sh"
. "$ROOT/dev/nginx-asan.sh"
. "$ROOT/dev/tally.sh"

UNITS=${UNITS:-asan}
SUITES=${SUITES:-units sql t t-asan e2e logs fuzz}
FUZZ_SECONDS=${FUZZ_SECONDS:-10}
wanted() { [[ " $SUITES " = *" $1 "* ]]; }

# ---- suites ----

export LSAN_OPTIONS=suppressions=$ROOT/dev/lsan.supp
units() { ctest --test-dir "$ROOT/build/$UNITS" -V --timeout "${UNIT_SECONDS:-240}" -j"$(nproc)" --no-tests=ignore; }

sql() { [ ! -x sql/test/run.sh ] || sql/test/run.sh; }

# t/ against one nginx; what a sanitizer reports makes the suite fail even where every answer was right
test_nginx() ( # release|asan [hup|leaks]
    local mode=$1 how=${2-} rc=0 tests=() reports
    reports=$RUN/tmp/sanitizer-${how:-$mode}
    mapfile -t tests < <(find t -name '*.t' | sort)
    [ ${#tests[@]} -gt 0 ] || exit 0
    mkdir -p "$RUN/tmp/$mode"
    export TEST_NGINX_LOAD_MODULES=$ROOT/build/$mode/lib/ngx_http_media_module.so
    export TEST_NGINX_SERVROOT=$RUN/tmp/$mode/servroot TEST_NGINX_BINARY
    TEST_NGINX_BINARY=$(command -v nginx)
    mkdir -p "$reports"
    if [ "$mode" = asan ]; then
        TEST_NGINX_BINARY=$NGINX_ASAN_BIN
        export ASAN_OPTIONS=detect_leaks=0:log_path=$reports/report \
            UBSAN_OPTIONS=print_stacktrace=1:log_path=$reports/report
    fi
    case $how in
    hup) export TEST_NGINX_USE_HUP=1 ;;
    leaks)
        # as deep as the suppressions need: to unwind every allocation whole takes longer than the tests wait
        export ASAN_OPTIONS=${ASAN_OPTIONS/detect_leaks=0/detect_leaks=1:fast_unwind_on_malloc=0:malloc_context_size=12}
        LSAN_OPTIONS+=:print_suppressions=0
        ;;
    esac
    # one prove each: they wait more than they work, and one that bails out must not end the others
    printf '%s\0' "${tests[@]}" | xargs -0 -n 1 -P 6 --process-slot-var=PROVE_SLOT dev/prove1.sh || rc=1
    if compgen -G "$reports/report*" >/dev/null; then
        printf 'not ok - sanitizers found nothing\n'
        cat "$reports"/report*
        rc=1
    fi
    exit "$rc"
)

# Its files wait more than they work: two systems of their own, without what other suites leave, take them from one list.
e2e() (
    list=$TEST_LOG/e2e.files
    rc=0
    e2e/run.sh --list >"$list"
    trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT
    for lane in 1 2; do
        dev/beside.sh "$RUN-e2e-$lane" e2e/run.sh --from "$list" >"$TEST_LOG/e2e-$lane.log" 2>&1 &
        lanes[lane]=$!
    done
    for lane in 1 2; do
        wait "${lanes[lane]}" || rc=1
        cat "$TEST_LOG/e2e-$lane.log"
    done
    exit "$rc"
)

fuzz() { SECONDS_EACH=$FUZZ_SECONDS "$ROOT/dev/fuzz.sh"; }

cd "$ROOT"
mkdir -p "$TEST_LOG"
"$ROOT/dev/deps.sh" go s3 run test
"$ROOT/dev/build.sh"
if { wanted units && [ "$UNITS" = asan ]; } || wanted t-asan || wanted t-leak; then
    PRESET=asan "$ROOT/dev/build.sh"
fi
if wanted units; then
    suite units tally_units units
fi
if wanted sql || wanted t || wanted t-asan || wanted t-hup || wanted t-leak; then
    testsystem_up
fi
if wanted sql; then
    suite sql tally_tap sql
fi
if wanted t; then
    suite t tally_tap test_nginx release
fi
if wanted t-asan; then
    suite t-asan tally_tap test_nginx asan
fi
if wanted t-hup; then
    suite t-hup tally_tap test_nginx release hup
fi
if wanted t-leak; then
    suite t-leak tally_tap test_nginx asan leaks
fi
if wanted e2e; then
    suite e2e tally_tap e2e
fi
# the lanes of e2e judge their own
if wanted logs && [ -d "$RUN/log" ]; then
    suite logs tally_tap testsystem_logs
fi
if wanted fuzz; then
    suite fuzz tally_tap fuzz
fi
tally_close
