#!/usr/bin/env bash
# make images: builds the images and keeps each as an archive for `kube load` or `docker load`.
#   images.sh build [NAME...]   ours, by role: gateway transcoder anonymizer notifier janitor ops postgres;
#                               stand-ins for tests: rabbitmq minio smtpd echo. All without a name
#   images.sh sizes             a table of what is there
# VERSION (that of CMakeLists.txt), MEDIA_IMAGES (where the archives go), MEDIA_MODELS (of the anonymizer's image)
set -euo pipefail
. "$(dirname "$0")/../dev/lib.sh"
. "$ROOT/dev/gotool.sh"

ROLES=(gateway transcoder anonymizer notifier janitor ops)
SERVERS=(postgres rabbitmq minio smtpd echo)
VERSION=${VERSION:-$(sed -n 's/^project(ngx_media VERSION \([0-9.]*\).*/\1/p' "$ROOT/CMakeLists.txt")}
ARCHIVES=${MEDIA_IMAGES:-$CACHE/docker/tars}
MINIO_TAG=$(sed -n 's|.*minio/minio:\(RELEASE[^ ]*\).*|\1|p' "$ROOT/k8s/components/s3/statefulset.yaml" | head -n 1)

reference() { # NAME: as manifests say it
    case $1 in
    postgres) printf 'docker.io/ngx-media/postgres:17' ;;
    rabbitmq) printf 'docker.io/library/rabbitmq:4.0' ;;
    minio) printf 'docker.io/minio/minio:%s' "$MINIO_TAG" ;;
    smtpd | echo) printf 'docker.io/ngx-media-test/%s:%s' "$1" "$VERSION" ;;
    *) printf 'docker.io/ngx-media/%s:%s' "$1" "$VERSION" ;;
    esac
}

# Networks that the anonymizer's image brings along: what is there of MEDIA_MODELS.
models() {
    local from=${MEDIA_MODELS:-$(models_home)}
    if [ -d "$from" ]; then
        cp -n "$from"/*.{onnx,cfg,weights,names,txt} "$ROOT/docker/models/" 2>/dev/null || true
    fi
}

build() { # NAME
    local words=() context=.
    case $1 in
    postgres) words=(-f docker/postgres/Dockerfile) ;;
    minio)
        gotool_build minio
        words=(-f docker/test/minio/Dockerfile) context=$(dirname "$(gotool_bin minio)")
        ;;
    rabbitmq | smtpd | echo) words=(-f "docker/test/$1/Dockerfile") ;;
    *) words=(-f docker/Dockerfile --target "$1") ;;
    esac
    note "$(reference "$1")"
    docker build -q --network=host "${words[@]}" -t "$(reference "$1")" "$context" >/dev/null 2>"$CACHE/docker/build.log" || {
        tail -n 20 "$CACHE/docker/build.log" >&2
        die "$1: docker build failed"
    }
    docker save -o "$ARCHIVES/$1.new" "$(reference "$1")"
    mv "$ARCHIVES/$1.new" "$ARCHIVES/$1.tar"
}

sizes() {
    local name
    printf '| image | MB |\n|---|---|\n'
    for name in "${ROLES[@]}" "${SERVERS[@]}"; do
        docker image inspect -f '{{.Size}}' "$(reference "$name")" 2>/dev/null |
            awk -v name="$(reference "$name")" '{ printf "| %s | %.0f |\n", name, $1 / 1e6 }'
    done
}

cd "$ROOT"
command -v docker >/dev/null || die "docker is missing (Debian: docker.io)"
docker info >/dev/null 2>&1 || die "dockerd does not answer"
case ${1-build} in
build)
    [ $# -eq 0 ] || shift
    [ $# -gt 0 ] || set -- "${ROLES[@]}" "${SERVERS[@]}"
    mkdir -p "$ARCHIVES"
    docker image inspect debian:trixie-slim >/dev/null 2>&1 || docker/test/base.sh
    models
    for name; do
        build "$name"
    done
    ;;
sizes) sizes ;;
*) die "no such command: $1" ;;
esac
