#!/usr/bin/env bash
# Prints where promtool is; takes it out of Debian's package `prometheus` into the cache if it is not installed, since
# that package would bring a server along.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

if command -v promtool; then
    exit 0
fi
bin=$CACHE/bin/promtool
if [ ! -x "$bin" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mkdir -p "$CACHE/bin"
    (cd "$work" && apt-get -q -o APT::Sandbox::User= download prometheus) >"$work/log" 2>&1 || {
        cat "$work/log" >&2
        die "promtool: Debian's package prometheus could not be fetched"
    }
    dpkg-deb --fsys-tarfile "$work"/prometheus_*.deb | tar -xO ./usr/bin/promtool >"$work/promtool"
    install -m 0755 "$work/promtool" "$bin.$$"
    mv "$bin.$$" "$bin"
fi
printf '%s\n' "$bin"
