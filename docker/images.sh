#!/usr/bin/env bash
# make images: builds the images as they are released, keeps each as an archive for `kube load` or `docker load`, and
# says what is in it.
#   images.sh build [--pinned] [NAME...]
#                               ours, by role: gateway transcoder anonymizer notifier janitor ops postgres;
#                               stand-ins for tests: rabbitmq minio pg smtpd echo. All without a name.
#                               --pinned, a release: of the base and the packages that are pinned, or not at all
#   images.sh save DIR [NAME...]   archives of what is there
#   images.sh sbom [NAME...]    build/images/NAME.spdx.json of what is there
#   images.sh lock              docker/packages.lock: Debian's packages in ours that are there, with their versions
#   images.sh sizes             a table of what is there
# VERSION (that of CMakeLists.txt), MEDIA_REGISTRY (before our names), MEDIA_IMAGES (where the archives go),
# MEDIA_MODELS (of the anonymizer's image), BASE and SNAPSHOT (those of docker/Dockerfile, which pins them),
# BUILD_OPTIONS (more of `docker build`'s)
# Where BASE cannot be pulled docker/test/base.sh makes one of Debian's mirror, and the packages are those of today.
set -euo pipefail
. "$(dirname "$0")/../dev/lib.sh"
. "$ROOT/dev/gotool.sh"

ROLES=(gateway transcoder anonymizer notifier janitor ops)
OURS=("${ROLES[@]}" postgres)
STANDINS=(rabbitmq minio pg smtpd echo)
VERSION=${VERSION:-$(sed -n 's/^project(ngx_media VERSION \([0-9.]*\).*/\1/p' "$ROOT/CMakeLists.txt")}
REGISTRY=${MEDIA_REGISTRY:-docker.io/ngx-media}
LOCK=docker/packages.lock
ARCHIVES=${MEDIA_IMAGES:-$CACHE/docker/tars}
SBOMS=$ROOT/build/images
MINIO_TAG=$(sed -n 's|.*minio/minio:\(RELEASE[^ ]*\).*|\1|p' "$ROOT/k8s/components/s3/statefulset.yaml" | head -n 1)

reference() { # NAME: as manifests and compose.yaml say it
    case $1 in
    postgres) printf '%s/postgres:17' "$REGISTRY" ;;
    rabbitmq) printf 'docker.io/library/rabbitmq:4.0' ;;
    pg) printf 'docker.io/library/postgres:17' ;;
    minio) printf 'docker.io/minio/minio:%s' "$MINIO_TAG" ;;
    smtpd | echo) printf 'docker.io/ngx-media-test/%s:0.1.0' "$1" ;;
    *) printf '%s/%s:%s' "$REGISTRY" "$1" "$VERSION" ;;
    esac
}

pinned() { sed -n "s/^ARG $1=//p" docker/Dockerfile | head -n 1; } # NAME

# Sets BASE and SNAPSHOT
base() {
    local must=$PINNED${BASE-}
    if [ -n "$PINNED" ]; then
        unset BASE SNAPSHOT
    fi
    BASE=${BASE:-$(pinned BASE)}
    SNAPSHOT=${SNAPSHOT-$(pinned SNAPSHOT)}
    if docker image inspect "$BASE" >/dev/null 2>&1; then
        return 0
    fi
    # one that was made says that nothing can be pulled here
    if [ -n "$must" ] || [ ! -f "$CACHE/docker/trixie-slim.tar" ]; then
        if docker pull -q "$BASE" >/dev/null; then
            return 0
        fi
        [ -z "$must" ] || die "$BASE cannot be pulled"
    fi
    docker/test/base.sh
    BASE=debian:trixie-slim SNAPSHOT=
    note "no release: of $BASE as docker/test/base.sh made it and the packages of today"
}

# of the last commit: labels and documents have its date, files have none
epoch() { printf '%s' "${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || printf 0)}"; }

labels() {
    local digest
    digest=$(docker image inspect -f '{{if .RepoDigests}}{{index .RepoDigests 0}}{{else}}{{.Id}}{{end}}' \
        "$BASE" 2>/dev/null || true)
    printf 'org.opencontainers.image.%s\n' "version=$VERSION" \
        "revision=$(git describe --always --dirty --abbrev=40 2>/dev/null || true)" \
        "created=$(date -u -d "@$(epoch)" +%FT%TZ)" "base.name=$BASE" "base.digest=${digest##*@}"
}

# Networks that the anonymizer's image brings along: what is there of MEDIA_MODELS.
models() {
    local from=${MEDIA_MODELS:-$(models_home)} file
    for file in "$from"/*.{onnx,cfg,weights,names,txt}; do
        if [ -f "$file" ] && [ ! -e "docker/models/${file##*/}" ]; then
            install -m 0644 "$file" docker/models/
        fi
    done
}

build() { # NAME
    local words=() context=. line
    case $1 in
    postgres) words=(-f docker/postgres/Dockerfile) ;;
    minio)
        gotool_build minio
        words=(-f docker/test/minio/Dockerfile) context=$(dirname "$(gotool_bin minio)")
        ;;
    pg) words=(-f docker/test/postgres/Dockerfile) ;;
    rabbitmq | smtpd | echo) words=(-f "docker/test/$1/Dockerfile") ;;
    *) words=(-f docker/Dockerfile --target "$1") ;;
    esac
    while read -r line; do
        words+=(--label "$line")
    done < <(labels)
    read -r -a line <<<"${BUILD_OPTIONS-}"
    words+=(--build-arg "BASE=$BASE" --build-arg "SNAPSHOT=$SNAPSHOT" "${line[@]}")
    note "$(reference "$1")"
    docker build "${words[@]}" -t "$(reference "$1")" "$context" >"$ARCHIVES/$1.log" 2>&1 || {
        tail -n 20 "$ARCHIVES/$1.log" >&2
        die "$1: docker build failed ($ARCHIVES/$1.log tells more)"
    }
}

save() { # DIR NAME...
    local name
    mkdir -p "$1"
    for name in "${@:2}"; do
        docker save -o "$1/$name.new" "$(reference "$name")"
        mv "$1/$name.new" "$1/$name.tar"
    done
}

sbom() { # NAME...
    local name
    mkdir -p "$SBOMS"
    for name; do
        docker save "$(reference "$name")" | docker/sbom.py "$(reference "$name")" "$(epoch)" >"$SBOMS/$name.new"
        mv "$SBOMS/$name.new" "$SBOMS/$name.spdx.json"
    done
}

# Debian's packages of images as their documents say: "name version", sorted
packages_of() { # NAME...
    jq -r '.packages[] | select(.SPDXID != "SPDXRef-image") | .name + " " + .versionInfo' \
        "${@/%/.spdx.json}" | LC_ALL=C sort -u
}

# What is in an image in another version than a release has it, or not at all in one
locked() { # NAME
    local differ
    differ=$(LC_ALL=C comm -13 "$LOCK" <(packages_of "$SBOMS/$1") |
        awk 'NR == FNR { lock[$1] = $2; next } { print "    " $0 " (" ($1 in lock ? lock[$1] : "none") ")" }' "$LOCK" -)
    [ -n "$differ" ] || return 0
    note "$1: not the packages of $LOCK"
    printf '%s\n' "$differ"
    [ -z "$PINNED" ] || die "$1 is not what is pinned"
}

# what an upgrade of our programs brings to a machine: the layers above Debian's
own_bytes() { # NAME
    docker history --no-trunc --human=false --format '{{.Size}} {{.CreatedBy}}' "$(reference "$1")" |
        awk '/COPY/ { n += $1; lowest = $1 } END { print n - lowest }'
}

sizes() {
    local name
    printf '| image | MB | of these our own | packed | packages |\n|---|---|---|---|---|\n'
    for name in "${OURS[@]}"; do
        printf '%s %s %s %s %s\n' "$(reference "$name")" "$(docker image inspect -f '{{.Size}}' "$(reference "$name")")" \
            "$(own_bytes "$name")" "$(docker save "$(reference "$name")" | gzip -6 | wc -c)" \
            "$(jq '[.packages[] | select(.SPDXID != "SPDXRef-image")] | length' "$SBOMS/$name.spdx.json")"
    done | awk '{ printf "| `%s` | %.1f | %.1f | %.1f | %d |\n", $1, $2 / 1e6, $3 / 1e6, $4 / 1e6, $5 }'
}

known() { # NAME...
    local name
    for name; do
        [[ " ${OURS[*]} ${STANDINS[*]} " = *" $name "* ]] || die "no image \"$name\": ${OURS[*]} ${STANDINS[*]}"
    done
}

cd "$ROOT"
command -v docker >/dev/null || die "docker is missing (Debian: docker.io)"
docker info >/dev/null 2>&1 || die "dockerd does not answer"
command=${1-build}
[ $# -eq 0 ] || shift
dir=$ARCHIVES PINNED=
if [ "$command" = save ]; then
    dir=${1:?where to}
    shift
elif [ "$command" = build ] && [ "${1-}" = --pinned ]; then
    PINNED=1
    shift
fi
known "$@"
case $command in
build)
    [ $# -gt 0 ] || set -- "${OURS[@]}" "${STANDINS[@]}"
    mkdir -p "$ARCHIVES"
    base
    models
    for name; do
        build "$name"
        save "$dir" "$name"
        sbom "$name"
        [[ " ${OURS[*]} " != *" $name "* ]] || locked "$name"
    done
    ;;
save)
    [ $# -gt 0 ] || set -- "${OURS[@]}"
    save "$dir" "$@"
    ;;
sbom)
    [ $# -gt 0 ] || set -- "${OURS[@]}"
    sbom "$@"
    ;;
lock)
    sbom "${OURS[@]}"
    packages_of "${OURS[@]/#/$SBOMS/}" >"$LOCK.new"
    mv "$LOCK.new" "$LOCK"
    ;;
sizes) sizes ;;
*) die "no such command: $command" ;;
esac
