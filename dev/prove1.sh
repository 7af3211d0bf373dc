#!/usr/bin/env bash
# One file of t/, with a port and a server root of its own, so that several can run side by side; its output
# comes in one piece. PROVE_SLOT is set by xargs.
set -uo pipefail
export TEST_NGINX_PORT=$((TEST_NGINX_PORT + 10 * PROVE_SLOT))
export TEST_NGINX_SERVROOT=$TEST_NGINX_SERVROOT-$PROVE_SLOT
rc=0
out=$(prove -v -I t/lib "$1" 2>&1) || rc=1
printf '%s\n' "$out"
exit "$rc"
