#!/usr/bin/env bash
# Runs a command with a test system of its own, beside others; its logs are judged at the end.
#   dev/beside.sh DIR COMMAND...
set -euo pipefail
if [ -z "${BESIDE-}" ]; then
    # of another system nothing is passed on
    keep=(PATH="$PATH" HOME="$HOME" BESIDE=1 MEDIA_RUN="$1")
    for name in LANG PRESET S3 S3_OUTPUT MEDIA_CACHE MEDIA_SHARED XDG_CACHE_HOME E2E_LONG MEDIA_ALL_CLIPS MANY; do
        [ -z "${!name-}" ] || keep+=("$name=${!name}")
    done
    exec env -i "${keep[@]}" "$0" "${@:2}"
fi
. "$(dirname "$0")/testsystem.sh"
testsystem_up
rc=0
"$@" || rc=1
testsystem_logs || rc=1
exit "$rc"
