#!/usr/bin/env bash
# In a Dockerfile: installs Debian packages, of the day SNAPSHOT of snapshot.debian.org if that is given.
#   docker/packages.sh build | PACKAGE...
# The lists of packages, logs and caches do not stay in the layer.
set -euo pipefail
. "$(dirname "$0")/../dev/packages.sh"

sources() {
    [ -n "${SNAPSHOT-}" ] || return 0
    printf 'deb [check-valid-until=no] http://snapshot.debian.org/archive/%s\n' \
        "debian/$SNAPSHOT trixie main" "debian-security/$SNAPSHOT trixie-security main" >/etc/apt/sources.list
    rm -f /etc/apt/sources.list.d/debian.sources
}

sources
if [ "${1-}" = build ]; then
    # nginx: the program of the gateway's image
    set -- "${PACKAGES_BUILD[@]}" nginx ca-certificates media-types
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q -y -o Dpkg::Use-Pty=0 --no-install-recommends install "$@"
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/ldconfig/aux-cache /var/log/* /var/lib/dpkg/*-old
