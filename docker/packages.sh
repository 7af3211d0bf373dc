#!/usr/bin/env bash
# In a Dockerfile: installs Debian packages, of the day SNAPSHOT of snapshot.debian.org if that is given.
#   docker/packages.sh PACKAGE...   --build: what this tree is compiled with
# Its layer is the same whenever it is made of the same packages: no lists, logs and caches, no date of today.
set -euo pipefail

sources() {
    [ -n "${SNAPSHOT-}" ] || return 0
    printf 'deb [check-valid-until=no] http://snapshot.debian.org/archive/%s\n' \
        "debian/$SNAPSHOT trixie main" "debian-security/$SNAPSHOT trixie-security main" >/etc/apt/sources.list
    rm -f /etc/apt/sources.list.d/debian.sources
}

if [ "$1" = --build ]; then
    shift
    . "$(dirname "$0")/../dev/packages.sh"
    set -- "${PACKAGES_BUILD[@]}" "$@"
fi
began=$(mktemp)
sources
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q -y -o Dpkg::Use-Pty=0 --no-install-recommends install "$@"
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/ldconfig/aux-cache /var/cache/debconf/*-old /var/log/* \
    /var/lib/dpkg/*-old /tmp/[!t]* /etc/*-
find / -xdev -newer "$began" ! -path '/proc/*' ! -path '/sys/*' ! -path "$began" -print0 | xargs -0r touch -h -d @0
rm -f "$began"
touch -d @0 /tmp
