#!/usr/bin/env bash
# Builds the pinned programs named (dev/gotool.sh) into the cache, unless they are there.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$ROOT/dev/gotool.sh"
for name; do
    [[ " ${GOTOOLS[*]} " = *" $name "* ]] || die "not known: \"$name\" (${GOTOOLS[*]})"
    gotool_build "$name"
done
