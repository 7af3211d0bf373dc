#!/usr/bin/env bash
# Waits until the role of PGSERVICEFILE may use its database: what comes before `mediactl migrate`.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

role_ready() { PGSERVICE=${PGSERVICE:-media} PGCONNECT_TIMEOUT=5 psql -X -q -c 'SELECT 1' >/dev/null 2>&1; }

await "the database" role_ready
say "the database is there"
