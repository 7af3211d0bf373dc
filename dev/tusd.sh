# shellcheck shell=bash
# tusd, which bench/ compares us with, built once into the cache. Sourced after minio.sh, for its Go.

TUSD_VERSION=v2.8.0
TUSD_BIN=$CACHE/bin/tusd

# The binary carries the version of its module.
tusd_present() { [ -x "$TUSD_BIN" ] && grep -qaF "github.com/tus/tusd/v2	$TUSD_VERSION" "$TUSD_BIN"; }

# Builds it unless it is there; a second caller waits for the first.
tusd_build() {
    tusd_present && return 0
    mkdir -p "$CACHE/bin"
    (
        flock 8
        tusd_present || tusd_compile
    ) 8>"$CACHE/tusd.lock"
}

# The proxy serves this version, but no list of versions, which `go install PACKAGE@VERSION` asks for: a module that
# requires it needs none.
tusd_compile() {
    local go work=$CACHE/tusd-build
    go=$(go_bin) || die "no Go >= 1.21 to build tusd with (run: make deps)"
    note "building tusd once into $TUSD_BIN (log: $CACHE/tusd-build.log)"
    mkdir -p "$work/module"
    printf 'module tusd\n\ngo 1.21\n\nrequire github.com/tus/tusd/v2 %s\n' "$TUSD_VERSION" >"$work/module/go.mod"
    if ! (cd "$work/module" && env GOTOOLCHAIN=auto GOFLAGS='-mod=mod -modcacherw' GOPATH="$work/path" \
        GOCACHE="$work/cache" GOBIN="$work/bin" CGO_ENABLED=0 "$go" install github.com/tus/tusd/v2/cmd/tusd) \
        >"$CACHE/tusd-build.log" 2>&1 8>&-; then
        tail -n 15 "$CACHE/tusd-build.log" >&2
        die "tusd did not build; $CACHE/tusd-build.log tells more"
    fi
    mv "$work/bin/tusd" "$TUSD_BIN"
    rm -rf "$work"
}
