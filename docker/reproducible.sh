#!/usr/bin/env bash
# Builds images twice from nothing, each time in another copy of the tree, and compares the digests of the layers that
# are ours (all but the base's).
#   docker/reproducible.sh [NAME...]
set -euo pipefail
. "$(dirname "$0")/../dev/lib.sh"

VERSION=reproducible
[ $# -gt 0 ] || set -- gateway transcoder anonymizer notifier janitor ops
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

layers() { docker image inspect -f '{{join .RootFS.Layers "\n"}}' "$1"; } # IMAGE

ours() { # IMAGE: without the layers of the base
    grep -vxF -f <(layers "${BASE:-debian:trixie-slim}") <(layers "$1")
}

# its files are dated now
copy() { # DIR
    mkdir "$1"
    (cd "$ROOT" && git ls-files -co --exclude-standard -z | tar --null -T - -cf -) | tar -xmf - -C "$1"
}

SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$ROOT" log -1 --format=%ct)}
export SOURCE_DATE_EPOCH VERSION MEDIA_IMAGES=$WORK/archives
for round in 1 2; do
    copy "$WORK/$round"
    # as --no-cache, but the compiler's stage once for all images
    BUILD_OPTIONS="${BUILD_OPTIONS-} --build-arg ATTEMPT=$$.$round" "$WORK/$round/docker/images.sh" build "$@"
    for name; do
        ours "ngx-media/$name:$VERSION" >"$WORK/$name.$round"
        docker image rm "ngx-media/$name:$VERSION" >/dev/null
    done
done
failed=0
for name; do
    if cmp -s "$WORK/$name.1" "$WORK/$name.2"; then
        printf 'ok    %-12s %s\n' "$name" "$(cut -c8-19 "$WORK/$name.1" | paste -sd ' ')"
    else
        printf 'FAIL  %-12s %s | %s\n' "$name" "$(cut -c8-19 "$WORK/$name.1" | paste -sd ' ')" \
            "$(cut -c8-19 "$WORK/$name.2" | paste -sd ' ')"
        failed=1
    fi
done
exit "$failed"
