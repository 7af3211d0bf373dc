#!/usr/bin/env bash
# Builds our images twice from nothing, each time in another copy of the tree, and compares the digests of their layers.
#   docker/reproducible.sh [NAME...]
set -euo pipefail
. "$(dirname "$0")/../dev/lib.sh"

[ $# -gt 0 ] || set -- gateway transcoder anonymizer notifier janitor ops postgres
WORK=$(mktemp -d)
REGISTRY=localhost/reproducible-$$

# also what was built on the way
remove_images() {
    local filter
    for filter in "reference=$REGISTRY/*" "label=ngx-media.attempt=$REGISTRY".{1,2}; do
        docker images -aq --filter "$filter" | xargs -r docker image rm -f >/dev/null 2>&1 || true
    done
}

clean_up() {
    remove_images
    rm -rf "$WORK"
}
trap clean_up EXIT

# Its files are dated now. No stage has another's cache: --no-cache, but the compiler's stage once for all images.
copy() { # ROUND
    mkdir "$WORK/$1"
    (cd "$ROOT" && git ls-files -co --exclude-standard -z | tar --null -T - -cf -) | tar -xmf - -C "$WORK/$1"
    sed -i "/^FROM /a LABEL ngx-media.attempt=$REGISTRY.$1" "$WORK/$1"/docker/{,postgres/}Dockerfile
}

SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$ROOT" log -1 --format=%ct)}
export SOURCE_DATE_EPOCH VERSION=0 MEDIA_REGISTRY=$REGISTRY MEDIA_IMAGES=$WORK/archives
for round in 1 2; do
    copy "$round"
    "$WORK/$round/docker/images.sh" build "$@"
    for name; do
        docker image inspect -f '{{join .RootFS.Layers "\n"}}' "$(docker images -q "$REGISTRY/$name")" >"$WORK/$name.$round"
    done
    remove_images
    rm -rf "$WORK/archives"
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
