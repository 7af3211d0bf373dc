#!/usr/bin/env bash
# The end-to-end tests against the running system (make up; its environment sourced). TAP on stdout.
#   e2e/run.sh [test_FILE.py...]
set -uo pipefail
cd "$(dirname "$0")" || exit 2
[ $# -gt 0 ] || set -- test_*.py
rc=0
for file; do
    printf '# ---- %s\n' "$file"
    PYTHONDONTWRITEBYTECODE=1 timeout 900 /usr/bin/python3 "$file" || rc=1
done
exit $rc
