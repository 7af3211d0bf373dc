#!/usr/bin/env bash
# The tests on Debian 13, whatever this machine runs: units (release build) and t/ in a container.
#   SUITES="units t"   as of dev/test.sh
set -euo pipefail
. "$(dirname "$0")/../../dev/lib.sh"

IMAGE=ngx-media-test/trixie
docker image inspect debian:trixie-slim >/dev/null 2>&1 || "$ROOT/docker/test/base.sh"
(cd "$ROOT" && tar -cf - dev docker/test/trixie) | docker build -q -t "$IMAGE" -f docker/test/trixie/Dockerfile - >/dev/null
# a copy of the tree: build/ is another Debian's. Downloads are shared; root, for servers have users of their own
mounts=(-v "$ROOT:/src:ro" -v "$CACHE:/root/.cache/ngx_media")
[ ! -d "$SHARED" ] || mounts+=(-v "$(realpath "$SHARED"):/work/shared/media:ro")
docker run --rm --init "${mounts[@]}" -e "SUITES=${SUITES:-units t}" -e UNITS=release -e MEDIA_SHARED=/work/shared/media \
    --cap-add SYS_PTRACE "$IMAGE" bash -euc '
        mkdir -p /work/tree
        cd /src
        git -c safe.directory=* ls-files -co --exclude-standard -z | tar --null -T - -cf - | tar -xf - -C /work/tree
        cd /work/tree
        exec dev/test.sh'
