#!/usr/bin/env bash
# make build: configures once and compiles build/$PRESET.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

for tool in cmake ninja pkg-config cc; do
    command -v "$tool" >/dev/null || die "$tool is missing (run: make deps)"
done
cd "$ROOT"
if [ "$PRESET" = asan ]; then
    # the module must see the headers of the nginx it is loaded into
    . "$ROOT/dev/nginx-asan.sh"
    nginx_asan_build
    export MEDIA_NGINX_ASAN_SRC=$NGINX_ASAN_SRC
fi
if [ ! -f "$BUILD/build.ninja" ] || [ CMakePresets.json -nt "$BUILD/build.ninja" ]; then
    cmake --preset "$PRESET" >/dev/null
fi
cmake --build --preset "$PRESET" -- --quiet 2>&1 | { grep -vE '^(ninja: no work|-- )' || true; }
