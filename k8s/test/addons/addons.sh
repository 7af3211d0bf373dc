#!/usr/bin/env bash
# What a real cluster brings along and the test cluster does not: metrics-server and KEDA, built from their Go
# modules at exact versions, in images of the names that their publishers use.
#   addons.sh build       programs and images into the cache (once; some ten minutes on two cores)
#   addons.sh manifests   KEDA's own manifests, as they come with its module, to stdout
#   addons.sh up          loads the images into every node, applies both, waits until they answer
# KUBE_TOOL: the program that runs the test cluster (`kube load ARCHIVE`).
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/ngx_media/k8s
KUBE=${KUBE_TOOL:-$HERE/../../../../shared/k8s/kube}

KEDA=github.com/kedacore/keda/v2@v2.17.2
METRICS_SERVER=sigs.k8s.io/metrics-server@v0.7.2

export PATH=$PATH:/usr/local/go/bin GOFLAGS=-buildvcs=false CGO_ENABLED=0

module_dir() { # MODULE@VERSION
    go mod download -json "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["Dir"])'
}

# A program with the versions that its module pins; go.mod is a copy, since the module cache is read-only.
compile() { # MODULE@VERSION PACKAGE NAME
    local dir work=$CACHE/$3-build
    dir=$(module_dir "$1")
    mkdir -p "$work" "$CACHE/bin"
    install -m 0644 "$dir/go.mod" "$dir/go.sum" "$work"
    nice -n 15 go build -C "$dir" -mod=mod -modfile="$work/go.mod" -p 2 -trimpath -ldflags '-s -w' \
        -o "$CACHE/bin/$3" "$2"
    rm -rf "$work"
}

image() { # MODULE@VERSION PACKAGE NAME REFERENCE ENTRYPOINT
    local archive=$CACHE/$3-${1##*@}.tar
    [ ! -e "$archive" ] || return 0
    [ -x "$CACHE/bin/$3" ] || compile "$1" "$2" "$3"
    "$HERE/image.py" "$CACHE/bin/$3" "$4" "$5" "$archive.part"
    mv "$archive.part" "$archive"
}

build() {
    mkdir -p "$CACHE"
    image "$METRICS_SERVER" ./cmd/metrics-server metrics-server \
        registry.k8s.io/metrics-server/metrics-server:v0.7.2 /metrics-server
    image "$KEDA" ./cmd/adapter keda-adapter ghcr.io/kedacore/keda-metrics-apiserver:2.17.2 /usr/local/bin/keda-adapter
    image "$KEDA" ./cmd/operator keda-operator ghcr.io/kedacore/keda:2.17.2 /keda
}

# The module's own config/, with the release's tags and without the admission webhooks, which are not built.
manifests() {
    local work
    work=$(mktemp -d)
    cp -r --no-preserve=mode "$(module_dir "$KEDA")/config" "$work/config"
    cp "$HERE/keda.yaml" "$work/kustomization.yaml"
    kubectl kustomize "$work"
    rm -rf "$work"
}

up() {
    local archive
    build
    for archive in "$CACHE"/{metrics-server,keda-adapter,keda-operator}-v*.tar; do
        "$KUBE" load "$archive"
    done
    manifests | kubectl apply --server-side -f -
    kubectl apply -k "$HERE/../../components/metrics-server"
    kubectl wait --for=condition=established --timeout=60s crd/scaledobjects.keda.sh crd/triggerauthentications.keda.sh
    kubectl -n keda rollout status --timeout=180s deploy/keda-operator
    kubectl -n keda rollout status --timeout=180s deploy/keda-metrics-apiserver
    kubectl -n kube-system rollout status --timeout=180s deploy/metrics-server
    kubectl wait --for=condition=available --timeout=120s \
        apiservice/v1beta1.external.metrics.k8s.io apiservice/v1beta1.metrics.k8s.io
}

case "${1:-}" in
    build | manifests | up) "$1" ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
