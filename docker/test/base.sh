#!/usr/bin/env bash
# Makes debian:trixie-slim where nothing can be pulled: debootstrap, slimmed as the public image is, imported
# under its name. Root. Kept in the cache; docker/test/base.sh --again makes it anew.
set -euo pipefail
. "$(dirname "$0")/../../dev/lib.sh"

IMAGE=debian:trixie-slim
MIRROR=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
TAR=$CACHE/docker/trixie-slim.tar

# what the public slim image leaves out of packages, now and of those installed later
slim() { # DIR
    local dir=$1
    printf '%s\n' 'path-exclude /usr/share/doc/*' 'path-include /usr/share/doc/*/copyright' \
        'path-exclude /usr/share/'{info,man,locale,groff,lintian,linda}'/*' \
        >"$dir/etc/dpkg/dpkg.cfg.d/docker"
    find "$dir/usr/share/doc" -mindepth 2 ! -type d ! -name copyright -delete
    find "$dir/usr/share/doc" -mindepth 1 -type d -empty -delete
    rm -rf "$dir"/usr/share/{info,man,locale,groff,lintian,linda}/*
    rm -rf "$dir"/var/lib/apt/lists/* "$dir"/var/cache/apt/archives/*.deb "$dir"/var/cache/apt/*.bin \
        "$dir"/var/log/* "$dir"/var/cache/ldconfig/aux-cache "$dir"/etc/resolv.conf "$dir"/etc/hostname
    printf '%s\n' 'APT::Install-Recommends "false";' 'Acquire::Languages "none";' \
        'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };' \
        'Dir::Cache::pkgcache "";' 'Dir::Cache::srcpkgcache "";' >"$dir/etc/apt/apt.conf.d/docker"
    printf '#!/bin/sh\nexit 101\n' >"$dir/usr/sbin/policy-rc.d"
    chmod 0755 "$dir/usr/sbin/policy-rc.d"
    cat >"$dir/etc/apt/sources.list.d/debian.sources" <<'SOURCES'
Types: deb
URIs: http://deb.debian.org/debian
Suites: trixie trixie-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://deb.debian.org/debian-security
Suites: trixie-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES
    rm -f "$dir/etc/apt/sources.list"
}

make_tar() {
    local dir
    dir=$(mktemp -d)
    # shellcheck disable=SC2064 # the directory of now
    trap "rm -rf '$dir'" EXIT
    debootstrap --variant=minbase trixie "$dir" "$MIRROR" >"$CACHE/docker/debootstrap.log" 2>&1 || {
        tail -n 15 "$CACHE/docker/debootstrap.log" >&2
        die "debootstrap failed"
    }
    slim "$dir"
    tar -C "$dir" --sort=name --numeric-owner --one-file-system -cf "$TAR.new" .
    mv "$TAR.new" "$TAR"
}

is_root || die "debootstrap needs root"
mkdir -p "$CACHE/docker"
if [ ! -f "$TAR" ] || [ "${1-}" = --again ]; then
    make_tar
    docker import -c 'CMD ["bash"]' "$TAR" "$IMAGE"
elif ! docker image inspect "$IMAGE" >/dev/null 2>&1; then
    docker import -c 'CMD ["bash"]' "$TAR" "$IMAGE"
fi
