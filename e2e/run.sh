#!/usr/bin/env bash
# The end-to-end tests against the running system (make up; its environment sourced). TAP on stdout.
#   e2e/run.sh [test_FILE.py...]
#   E2E_LONG=1   also those that encode for minutes (make test-all does)
set -uo pipefail
cd "$(dirname "$0")" || exit 2
LONG=(test_anonymize_edit.py test_ladder.py test_operator.py test_video_kill.py test_video_reads.py)
if [ $# -eq 0 ]; then
    for file in test_*.py; do
        if [ -z "${E2E_LONG-}" ] && [[ " ${LONG[*]} " = *" $file "* ]]; then
            printf '# %s: left to make test-all (E2E_LONG=1)\n' "$file"
        else
            set -- "$@" "$file"
        fi
    done
fi
rc=0
for file; do
    printf '# ---- %s\n' "$file"
    PYTHONDONTWRITEBYTECODE=1 timeout 900 /usr/bin/python3 "$file" || rc=1
done
exit $rc
