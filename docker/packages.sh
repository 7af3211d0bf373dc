#!/usr/bin/env bash
# In a Dockerfile: installs Debian packages and brings those of the base to the same day: SNAPSHOT of
# snapshot.debian.org, if that is given, else today.
#   docker/packages.sh PACKAGE...   --build: what this tree is compiled with
# What it leaves is the same whenever it is made of the same packages: no lists, logs and caches, no date of today; nor
# does it leave itself.
set -euo pipefail

work=$(mktemp -d)
apt=(apt-get -q -y -o Dpkg::Use-Pty=0 -o APT::Install-Recommends=false)
if [ -n "${SNAPSHOT-}" ]; then
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://snapshot.debian.org/archive/%s main\n' \
        "debian/$SNAPSHOT trixie" "debian/$SNAPSHOT trixie-updates" "debian-security/$SNAPSHOT trixie-security" \
        >"$work/snapshot.list"
    # old lists are expired ones
    apt+=(-o Acquire::Check-Valid-Until=false -o "Dir::Etc::SourceList=$work/snapshot.list"
        -o Dir::Etc::SourceParts=/dev/null)
fi
if [ "$1" = --build ]; then
    shift
    . "$(dirname "$0")/../dev/packages.sh"
    set -- "${PACKAGES_BUILD[@]}" "$@"
fi
export DEBIAN_FRONTEND=noninteractive
"${apt[@]}" update
"${apt[@]}" dist-upgrade
"${apt[@]}" install "$@"
# what the installation leaves that is of this day, or of this machine alone
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/ldconfig/aux-cache /var/cache/debconf/* /var/log/* \
    /var/lib/dpkg/*-old /etc/*- /etc/ssl/private/ssl-cert-snakeoil.key
find /etc -xdev \( -name ssl-cert-snakeoil.pem -o -lname ssl-cert-snakeoil.pem \) -delete
# the day of a password that nobody has
sed -i -E 's/^([^:]*:[^:]*:)[0-9]+/\1/' /etc/shadow
find / -xdev -newer "$work" ! -path '/proc/*' ! -path '/sys/*' ! -path "$work" -print0 | xargs -0r touch -h -d @0
rm -rf "$work" "$(dirname "$0")"
rmdir --ignore-fail-on-non-empty /src
touch -d @0 / /tmp
