#!/usr/bin/env bash
# make status: what runs, since when, and what /readyz says.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$ROOT/dev/proc.sh"
. "$ROOT/dev/env.sh"

names=$(proc_names)
[ -n "$names" ] || die "nothing is up in $RUN (run: make up)"
load_settings
down=0
for name in $names; do
    if proc_alive "$name"; then
        pid=$(proc_field "$name" 0)
        printf '%-16s up    pid %-8s for %s\n' "$name" "$pid" "$(ps -o etime= -p "$pid" | tr -d ' ')"
    else
        printf '%-16s DEAD  (see %s)\n' "$name" "$RUN/log/$name.log"
        down=1
    fi
done
if proc_alive nginx; then
    say "$(media_url)/readyz:"
    curl -sS --max-time 10 "$(media_url)/readyz" || down=1
fi
exit "$down"
