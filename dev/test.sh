#!/usr/bin/env bash
# make test: every suite, against a system of its own (.run/test, free ports) that is gone afterwards.
#   SUITES="units sql t t-asan e2e fuzz"   some of them; logs in build/test
set -euo pipefail
export MEDIA_RUN
MEDIA_RUN=$(cd "$(dirname "$0")/.." && pwd -P)/.run/test
# another system's keys and addresses are not for the tests
unset AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3 AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN
. "$(dirname "$0")/lib.sh"
. "$ROOT/dev/proc.sh"
. "$ROOT/dev/ports.sh"
. "$ROOT/dev/clip.sh"
. "$ROOT/dev/nginx-asan.sh"
. "$ROOT/dev/tally.sh"

SUITES=${SUITES:-units sql t t-asan e2e fuzz}
TEST_LOG=$ROOT/build/test
FUZZ_SECONDS=${FUZZ_SECONDS:-30}
wanted() { [[ " $SUITES " = *" $1 "* ]]; }

finish() {
    local rc=$?
    trap - EXIT
    trap '' INT TERM HUP
    if [ -d "$RUN/log" ]; then
        rm -rf "$TEST_LOG/log"
        cp -r "$RUN/log" "$TEST_LOG/log"
    fi
    PURGE=1 STOP_LIMIT=10 "$ROOT/dev/down.sh" >/dev/null
    rmdir "$ROOT/.run" 2>/dev/null || true
    exit "$rc"
}

system_up() {
    mkdir -p "$RUN"
    WORKERS=4 "$ROOT/dev/up.sh" >"$TEST_LOG/up.log" 2>&1 || {
        tail -n 30 "$TEST_LOG/up.log" >&2
        die "the system for the tests did not start"
    }
    # shellcheck disable=SC1091
    . "$RUN/env"
    clip_fetch
    export MEDIA_CLIP=$CLIP MEDIA_SECRETS=$RUN/secrets
}

# ---- suites ----

units() { ctest --test-dir "$ROOT/build/asan" -V --timeout 120 -j"$(nproc)" --no-tests=ignore; }

sql() { [ ! -x sql/test/run.sh ] || sql/test/run.sh; }

# t/ against one nginx; what a sanitizer reports makes the suite fail even where every answer was right
test_nginx() { # release|asan
    local mode=$1 rc=0 tests=()
    mapfile -t tests < <(find t -name '*.t' | sort)
    [ ${#tests[@]} -gt 0 ] || return 0
    mkdir -p "$RUN/tmp/$mode"
    export TEST_NGINX_LOAD_MODULES=$ROOT/build/$mode/lib/ngx_http_media_module.so
    export TEST_NGINX_SERVROOT=$RUN/tmp/$mode/servroot TEST_NGINX_BINARY
    TEST_NGINX_BINARY=$(command -v nginx)
    if [ "$mode" = asan ]; then
        TEST_NGINX_BINARY=$NGINX_ASAN_BIN
        export ASAN_OPTIONS=detect_leaks=0:log_path=$RUN/tmp/asan/report \
            UBSAN_OPTIONS=print_stacktrace=1:log_path=$RUN/tmp/asan/report
    fi
    # one prove each: they wait more than they work, and one that bails out must not end the others
    printf '%s\0' "${tests[@]}" | xargs -0 -n 1 -P 4 --process-slot-var=PROVE_SLOT dev/prove1.sh || rc=1
    if compgen -G "$RUN/tmp/asan/report*" >/dev/null; then
        printf 'not ok - sanitizers found nothing\n'
        cat "$RUN"/tmp/asan/report*
        rc=1
    fi
    return "$rc"
}

e2e() { [ ! -x e2e/run.sh ] || e2e/run.sh; }

fuzz() { SECONDS_EACH=$FUZZ_SECONDS "$ROOT/dev/fuzz.sh"; }

cd "$ROOT"
mkdir -p "$TEST_LOG"
"$ROOT/dev/deps.sh" go minio run test
"$ROOT/dev/build.sh"
if wanted units || wanted t-asan; then
    PRESET=asan "$ROOT/dev/build.sh"
fi
if wanted units; then
    suite units tally_units units
fi
if wanted sql || wanted t || wanted t-asan || wanted e2e; then
    trap finish EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
    free_ports
    system_up
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
if wanted e2e; then
    suite e2e tally_tap e2e
fi
if wanted fuzz; then
    suite fuzz tally_tap fuzz
fi
tally_close
