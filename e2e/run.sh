#!/usr/bin/env bash
# The end-to-end tests against the running system (make up; its environment sourced). TAP on stdout.
#   e2e/run.sh [test_FILE.py...]
#   e2e/run.sh --list        names of the files
#   e2e/run.sh --from LIST   takes files from a list, as others may do at the same time, until it is empty
#   E2E_LONG=1               also those that encode for minutes (make test-all does)
set -uo pipefail
LONG=(test_anonymize_edit.py test_ladder.py test_operator.py test_video_kill.py test_video_reads.py)
# what looks at all that is there, then those that take longest
FIRST=(test_backup.py test_anonymize_kill.py test_outages.py test_hostile.py test_demo_door.py test_workers.py test_edit.py)
HERE=$(cd "$(dirname "$0")" && pwd -P)

list() {
    local file
    printf '%s\n' "${FIRST[@]}"
    for file in "$HERE"/test_*.py; do
        file=${file##*/}
        if [[ " ${FIRST[*]} " != *" $file "* && (-n "${E2E_LONG-}" || " ${LONG[*]} " != *" $file "*) ]]; then
            printf '%s\n' "$file"
        fi
    done
}

next() { # LIST: prints and removes its first line
    flock "$1.lock" sh -c 'head -n 1 "$0" && sed -i 1d "$0"' "$1"
}

run() { # FILE
    printf '# ---- %s\n' "$1"
    PYTHONDONTWRITEBYTECODE=1 timeout 900 /usr/bin/python3 "$HERE/$1" || {
        printf '# %s: exit status %d\n' "$1" $?
        rc=1
    }
}

rc=0
case ${1-} in
--list) list ;;
--from)
    while file=$(next "$2") && [ -n "$file" ]; do
        run "$file"
    done
    ;;
*)
    [ $# -gt 0 ] || mapfile -t files < <(list)
    for file in "${@:-${files[@]}}"; do
        run "$file"
    done
    ;;
esac
exit $rc
