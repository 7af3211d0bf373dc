#!/usr/bin/env bash
# The tests on Debian 13, whatever this machine runs: units (release build) and t/ in a container, which is kept for
# the next time with what `make deps` installed. Logs: build/trixie.
#   SUITES="units t"   as of dev/test.sh
set -euo pipefail
. "$(dirname "$0")/../../dev/lib.sh"

IMAGE=ngx-media-test/trixie
docker image inspect debian:trixie-slim >/dev/null 2>&1 || "$ROOT/docker/test/base.sh"
# downloads are shared; root, for servers have users of their own
mounts=(-v "$ROOT:/src:ro" -v "$CACHE:/root/.cache/ngx_media")
[ ! -d "$SHARED" ] || mounts+=(-v "$(realpath "$SHARED"):/work/shared/media:ro")

if ! docker image inspect "$IMAGE" >/dev/null 2>&1; then
    container=$(docker create "${mounts[@]}" debian:trixie-slim bash -euc '
        apt-get -q update
        apt-get -q -y --no-install-recommends install ca-certificates git
        /src/dev/deps.sh go s3 run test')
    docker start -a "$container"
    docker commit "$container" "$IMAGE" >/dev/null
    docker rm "$container" >/dev/null
fi

# a copy of the tree: build/ is another Debian's
mkdir -p "$ROOT/build/trixie"
cd "$ROOT"
git ls-files -co --exclude-standard -z | tar --null -T - -cf - |
    docker run --rm -i --init "${mounts[@]}" -v "$ROOT/build/trixie:/work/tree/build/test" \
        -e "SUITES=${SUITES:-units t}" -e UNITS=release -e MEDIA_SHARED=/work/shared/media \
        --cap-add SYS_PTRACE "$IMAGE" bash -euc '
            cd /work/tree
            tar -xf -
            exec dev/test.sh'
