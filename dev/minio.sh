# shellcheck shell=bash
# MinIO, built once into the cache. Sourced after lib.sh.

MINIO_VERSION=v0.0.0-20260212201848-7aac2a2c5b7c
MINIO_BIN=$CACHE/bin/minio

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

go_is_new() { # GO: at least 1.21, from which on it fetches the tool chain that MinIO asks for
    local minor
    minor=$(GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
    [ -n "$minor" ] && [ "$minor" -ge 21 ]
}

# The binary carries the version of its module.
minio_present() { [ -x "$MINIO_BIN" ] && grep -qaF "$MINIO_VERSION" "$MINIO_BIN"; }

# Builds it unless it is there; a second caller waits for the first. 4 to 5 minutes on two cores.
minio_build() {
    minio_present && return 0
    mkdir -p "$CACHE/bin"
    (
        flock -n 8 || {
            note "waiting until MinIO is built (log: $CACHE/minio-build.log)"
            flock 8
        }
        minio_present || minio_compile
    ) 8>"$CACHE/minio.lock"
}

minio_compile() {
    local go work=$CACHE/minio-build
    go=$(go_bin) || die "no Go >= 1.21 to build MinIO with (run: make deps)"
    note "building MinIO once into $MINIO_BIN (4 to 5 minutes on two cores; log: $CACHE/minio-build.log)"
    mkdir -p "$work"
    # a module cache of its own, thrown away with what was compiled: it is over 1 GB
    if ! env GOTOOLCHAIN=auto GOFLAGS=-modcacherw GOPATH="$work/path" GOCACHE="$work/cache" \
        GOBIN="$work/bin" CGO_ENABLED=0 "$go" install "github.com/minio/minio@$MINIO_VERSION" \
        >"$CACHE/minio-build.log" 2>&1 8>&-; then
        tail -n 15 "$CACHE/minio-build.log" >&2
        die "MinIO did not build; $CACHE/minio-build.log tells more"
    fi
    mv "$work/bin/minio" "$MINIO_BIN"
    rm -rf "$work"
}

# ---- the same in the background of something else ----

minio_build_start() {
    MINIO_JOB=''
    minio_present && return 0
    setsid env --default-signal=INT,QUIT "$ROOT/dev/minio-build.sh" </dev/null &
    MINIO_JOB=$!
}

minio_build_wait() {
    [ -n "${MINIO_JOB-}" ] || return 0
    wait "$MINIO_JOB" || die "MinIO did not build"
    MINIO_JOB=''
}

minio_build_stop() {
    if [ -n "${MINIO_JOB-}" ]; then
        kill -s TERM -- "-$MINIO_JOB" 2>/dev/null || true
    fi
}
