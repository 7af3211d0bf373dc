#!/usr/bin/env bash
# make down: stops everything and keeps the data; PURGE=1 removes the data, too.
#   dev/down.sh [NAME...]   some processes only, by the names `make status` shows
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$ROOT/dev/proc.sh"

[ -d "$RUN" ] || exit 0
exec 9>"$RUN/lock"
flock 9

if [ $# -gt 0 ]; then
    proc_stop "$@"
    exit 0
fi
. "$ROOT/dev/stop.sh"
stop_all
rm -f "$RUN"/health/*

if [ "${PURGE:-0}" = 1 ]; then
    if is_root && [ -L "$RUN/data" ]; then
        rm -rf "$(data_home)"
    fi
    rm -rf "$RUN"
    note "removed $RUN and its data"
fi
