# shellcheck shell=bash
# Counting tests. A suite is a command; its output goes to a log, what it proved is read from there: TAP
# ("ok 1 - ...", "not ok 2 - ...", "ok 3 # skip ...") or the "N passed, N failed" lines of the unit tests.
# A suite that fails without naming a failed test counts as one failure, a suite without tests as none.

TOTAL_PASSED=0 TOTAL_FAILED=0 TOTAL_SKIPPED=0

tally_tap() { # LOG: prints "passed failed skipped"
    awk '
        # with a number or a name: the bare "ok" of prove is about a file
        /^[ ]*not ok [0-9-]/ { failed++; next }
        /^[ ]*ok [0-9-]/ { if ($0 ~ /# *([Ss][Kk][Ii][Pp])/) skipped++; else passed++; next }
        /^1\.\.0/ && /[Ss][Kk][Ii][Pp]/ { skipped++ }
        END { print passed + 0, failed + 0, skipped + 0 }' "$1"
}

tally_units() { # LOG of ctest -V
    awk '
        match($0, /[0-9]+ passed, [0-9]+ failed$/) {
            split(substr($0, RSTART), w, " "); passed += w[1]; failed += w[3] }
        END { print passed + 0, failed + 0, 0 }' "$1"
}

suite() { # NAME tally_tap|tally_units COMMAND...
    local name=$1 tally=$2 log=$TEST_LOG/$1.log started=$SECONDS rc=0 passed failed skipped
    shift 2
    "$@" >"$log" 2>&1 9>&- || rc=$?
    [ "$rc" -lt 128 ] || [ "$rc" -gt 130 ] || exit "$rc"
    read -r passed failed skipped < <("$tally" "$log")
    if [ "$rc" -ne 0 ] && [ "$failed" -eq 0 ]; then
        failed=1
    fi
    printf '%-12s %5d passed, %d failed, %d skipped (%d s)\n' \
        "$name" "$passed" "$failed" "$skipped" $((SECONDS - started))
    if [ "$failed" -gt 0 ]; then
        grep -E '^[ ]*not ok [0-9-]|: failed: |, expected |ERROR: AddressSanitizer|runtime error:' "$log" |
            cut -c1-300 | head -n 40 || tail -n 25 "$log"
        say "-- all of it: $log"
    fi
    TOTAL_PASSED=$((TOTAL_PASSED + passed))
    TOTAL_FAILED=$((TOTAL_FAILED + failed))
    TOTAL_SKIPPED=$((TOTAL_SKIPPED + skipped))
}

tally_close() { # the last line of make test; its exit code
    printf '%d passed, %d failed, %d skipped\n' "$TOTAL_PASSED" "$TOTAL_FAILED" "$TOTAL_SKIPPED"
    [ "$TOTAL_FAILED" -eq 0 ]
}
