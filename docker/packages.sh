#!/usr/bin/env bash
# In a Dockerfile: installs Debian packages, of the day SNAPSHOT of snapshot.debian.org if that is given.
#   docker/packages.sh build|ops
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
case $1 in
# nginx: the program of the gateway's image
build) set -- "${PACKAGES_BUILD[@]}" nginx ca-certificates ;;
# the libraries of mediactl besides
ops) set -- postgresql-client-17 curl openssl jq ca-certificates python3 python3-cryptography libjansson4 librabbitmq4 \
    libcurl4t64 ;;
*) exit 64 ;;
esac
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q -y -o Dpkg::Use-Pty=0 --no-install-recommends install "$@"
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/ldconfig/aux-cache /var/log/* /var/lib/dpkg/*-old
