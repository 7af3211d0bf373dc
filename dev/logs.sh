#!/usr/bin/env bash
# make logs: follows every log of .run/log until Ctrl-C.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

compgen -G "$RUN/log/*.log" >/dev/null || die "no logs in $RUN/log (run: make up)"
exec tail -n 5 -F "$RUN"/log/*.log
