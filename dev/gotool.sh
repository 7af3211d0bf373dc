# shellcheck shell=bash disable=SC2034
# Programs written in Go that Debian does not have, built once into the cache. Sourced after lib.sh.
# NAME_MODULE, NAME_VERSION and NAME_PACKAGE (within the module) say what NAME is.

GOTOOLS=(minio versitygw tusd kustomize)

MINIO_MODULE=github.com/minio/minio
MINIO_VERSION=v0.0.0-20260212201848-7aac2a2c5b7c
MINIO_PACKAGE=''
VERSITYGW_MODULE=github.com/versity/versitygw
VERSITYGW_VERSION=v1.8.0
VERSITYGW_PACKAGE=/cmd/versitygw
# which bench/ compares us with
TUSD_MODULE=github.com/tus/tusd/v2
TUSD_VERSION=v2.8.0
TUSD_PACKAGE=/cmd/tusd
# of kubectl 1.34, whose `kubectl apply -k` is the same program; .ci/k8s.sh renders with it
KUSTOMIZE_MODULE=sigs.k8s.io/kustomize/kustomize/v5
KUSTOMIZE_VERSION=v5.7.1
KUSTOMIZE_PACKAGE=''

# the Go of the caller, else what `make deps` installed
go_bin() {
    local go
    for go in "$(command -v go)" /usr/lib/go-*/bin/go /usr/local/go/bin/go; do
        if [ -n "$go" ] && [ -x "$go" ] && go_is_new "$go"; then
            printf '%s' "$go"
            return 0
        fi
    done
    return 1
}

go_is_new() { # GO: at least 1.21, from which on it fetches the tool chain that a module asks for
    local minor
    minor=$(GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
    [ -n "$minor" ] && [ "$minor" -ge 21 ]
}

gotool_bin() { printf '%s/bin/%s' "$CACHE" "$1"; }

gotool_field() { # NAME MODULE|VERSION|PACKAGE
    local field=${1^^}_$2
    printf '%s' "${!field}"
}

# The binary carries the version of its module.
gotool_present() { # NAME
    local bin
    bin=$(gotool_bin "$1")
    [ -x "$bin" ] && grep -qaF "$(gotool_field "$1" MODULE)"$'\t'"$(gotool_field "$1" VERSION)" "$bin"
}

# Builds it unless it is there; a second caller waits for the first. Minutes on two cores.
gotool_build() { # NAME
    gotool_present "$1" && return 0
    mkdir -p "$CACHE/bin"
    (
        flock -n 8 || {
            note "waiting until $1 is built (log: $CACHE/$1-build.log)"
            flock 8
        }
        gotool_present "$1" || gotool_compile "$1"
    ) 8>"$CACHE/$1.lock"
}

# The proxy serves each of these versions, but not always a list of versions, which `go install
# PACKAGE@VERSION` asks for: a module that requires it needs none.
gotool_compile() { # NAME
    local go module work=$CACHE/$1-build log=$CACHE/$1-build.log
    go=$(go_bin) || die "no Go >= 1.21 to build $1 with (run: make deps)"
    note "building $1 once into $(gotool_bin "$1") (some minutes; log: $log)"
    module=$(gotool_field "$1" MODULE)
    mkdir -p "$work/module"
    printf 'module build\n\ngo 1.21\n\nrequire %s %s\n' "$module" "$(gotool_field "$1" VERSION)" >"$work/module/go.mod"
    # a module cache of its own, thrown away with what was compiled: it may be over 1 GB
    if ! (cd "$work/module" && env GOTOOLCHAIN=auto GOFLAGS='-mod=mod -modcacherw' GOPATH="$work/path" \
        GOCACHE="$work/cache" GOBIN="$work/bin" CGO_ENABLED=0 "$go" install "$module$(gotool_field "$1" PACKAGE)") \
        >"$log" 2>&1 8>&-; then
        tail -n 15 "$log" >&2
        die "$1 did not build; $log tells more"
    fi
    mv "$work/bin/$1" "$(gotool_bin "$1")"
    rm -rf "$work"
}

# ---- the same in the background of something else ----

gotool_build_start() { # NAME
    GOTOOL_JOB=''
    gotool_present "$1" && return 0
    setsid env --default-signal=INT,QUIT "$ROOT/dev/gotool-build.sh" "$1" </dev/null &
    GOTOOL_JOB=$!
}

gotool_build_wait() {
    [ -n "${GOTOOL_JOB-}" ] || return 0
    wait "$GOTOOL_JOB" || die "the build in the background failed"
    GOTOOL_JOB=''
}

gotool_build_stop() {
    if [ -n "${GOTOOL_JOB-}" ]; then
        kill -s TERM -- "-$GOTOOL_JOB" 2>/dev/null || true
    fi
}
