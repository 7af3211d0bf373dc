# shellcheck shell=bash
# A system for tests: at MEDIA_RUN, on free ports, gone when the shell ends that asked for it. Sourced before all else
# of dev/, as the first thing it does is to forget other systems.

# another system's keys and addresses are not for the tests
unset AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3 AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$ROOT/dev/proc.sh"
. "$ROOT/dev/ports.sh"
. "$ROOT/dev/clip.sh"

TEST_LOG=$ROOT/build/test

# Its logs stay in build/test, by the name of its directory.
testsystem_down() {
    local rc=$? logs=$TEST_LOG/log-${RUN##*/}
    trap - EXIT
    trap '' INT TERM HUP
    if [ -d "$RUN/log" ]; then
        rm -rf "$logs"
        cp -r "$RUN/log" "$logs"
    fi
    PURGE=1 STOP_LIMIT=10 "$ROOT/dev/down.sh" >/dev/null
    rmdir "$ROOT/.run" 2>/dev/null || true
    exit "$rc"
}

testsystem_up() {
    trap testsystem_down EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
    # of a run that was killed
    [ ! -d "$RUN" ] || PURGE=1 STOP_LIMIT=10 "$ROOT/dev/down.sh" >/dev/null
    free_ports
    export MEDIA_H2C_PORT=$((TEST_NGINX_PORT + 60))
    mkdir -p "$RUN" "$TEST_LOG"
    WORKERS=4 "$ROOT/dev/up.sh" >"$TEST_LOG/up-${RUN##*/}.log" 2>&1 || {
        tail -n 30 "$TEST_LOG/up-${RUN##*/}.log" >&2
        die "the system for the tests did not start"
    }
    # shellcheck disable=SC1091
    . "$RUN/env"
    clip_fetch
    export MEDIA_CLIP=$CLIP MEDIA_SECRETS=$RUN/secrets MEDIA_CACHE=$CACHE
}

# What the system's own programs wrote while they were tested: no [alert], [crit], [emerg] of nginx, no process
# that died of a signal nobody sent it, nothing of a sanitizer. SIGKILL is what the tests of outages send.
testsystem_logs() {
    local found
    found=$(grep -nE '\[(alert|crit|emerg)\]|Sanitizer|runtime error:' "$RUN"/log/*.log |
        grep -vE '\[alert\].* exited on signal 9' || true)
    if [ -n "$found" ]; then
        printf 'not ok 1 - the logs of the system are clean\n%s\n' "$found"
        return 1
    fi
    printf 'ok 1 - the logs of the system are clean\n'
}
