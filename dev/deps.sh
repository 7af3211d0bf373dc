#!/usr/bin/env bash
# make deps: installs what is missing, and nothing when nothing is missing. Debian, as root or with sudo.
#   dev/deps.sh GROUP...    go: what an S3 is built with; run: build and servers; test, which builds kustomize;
#                           s3: builds $S3 (minio)
# No server that comes with a package is started, and none that runs is restarted.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$ROOT/dev/gotool.sh"
. "$ROOT/dev/pytool.sh"
. "$ROOT/dev/packages.sh"

POLICY=/usr/sbin/policy-rc.d
POLICY_KEPT=$POLICY.before-ngx_media
WORK=''

clean_up() {
    local rc=$?
    trap - EXIT
    trap '' INT TERM HUP
    gotool_build_stop
    policy_restore
    [ -z "$WORK" ] || rm -rf "$WORK"
    exit "$rc"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

as_root() {
    if is_root; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "root or sudo is needed to install: ${MISSING[*]}"
    fi
}

apt_install() { # APT-ARGUMENT...
    command -v apt-get >/dev/null || die "only Debian's apt-get is known here; please install: ${MISSING[*]}"
    policy_forbid
    note "installing ${MISSING[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -q -y \
        -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 --no-install-recommends install "$@" >"$WORK/apt.log" 2>&1 || {
        tail -n 20 "$WORK/apt.log" >&2
        die "apt-get could not install: ${MISSING[*]}"
    }
}

apt_update() { as_root apt-get -q -o DPkg::Lock::Timeout=600 update >"$WORK/apt.log" 2>&1 || cat "$WORK/apt.log" >&2; }

# While packages are set up, their servers are not started (invoke-rc.d asks this program). An own one
# of the system's stays as it is afterwards.
policy_forbid() {
    [ ! -e "$WORK/policy" ] || return 0
    if [ -e "$POLICY" ] && [ ! -e "$POLICY_KEPT" ]; then
        as_root mv "$POLICY" "$POLICY_KEPT"
    fi
    : >"$WORK/policy"
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$POLICY" >/dev/null
    as_root chmod 0755 "$POLICY"
}

policy_restore() {
    [ -n "$WORK" ] && [ -e "$WORK/policy" ] || return 0
    as_root rm -f "$POLICY"
    if [ -e "$POLICY_KEPT" ]; then
        as_root mv "$POLICY_KEPT" "$POLICY"
    fi
}

# Sets MISSING to those of the packages that are not installed.
find_missing() {
    local name have
    have=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p')
    MISSING=()
    for name; do
        grep -qxF "$name" <<<"$have" || MISSING+=("$name")
    done
}

install_packages() {
    find_missing "$@"
    [ ${#MISSING[@]} -eq 0 ] || apt_install "${MISSING[@]}"
}

# ---- Go: Debian 12 has 1.19, its backports have what is needed ----

go_package() { # the newest golang-1.N-go that apt knows
    apt-cache search --names-only '^golang-1\.[0-9]+-go$' | awk '{print $1}' | sort -V | tail -n 1
}

# $ID and $VERSION_CODENAME are those of /etc/os-release
add_backports() {
    local name
    name=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME-}")
    if [ "$name" != bookworm ] || apt-cache policy | grep -q 'bookworm-backports'; then
        return 0
    fi
    # apt gives backports priority 100: nothing comes from there unless it is asked for by name
    printf 'deb [signed-by=%s] %s bookworm-backports main\n' \
        /usr/share/keyrings/debian-archive-keyring.gpg http://deb.debian.org/debian |
        as_root tee /etc/apt/sources.list.d/ngx_media-backports.list >/dev/null
    apt_update
}

install_go() {
    local package
    if go_bin >/dev/null || { gotool_present "$S3" && { [[ $groups != *' test '* ]] || gotool_present kustomize; }; }; then
        return 0
    fi
    MISSING=(golang-go)
    apt_update
    add_backports
    package=$(go_package)
    [ -n "$package" ] || die "apt knows no golang-1.N-go"
    MISSING=("$package" ca-certificates)
    apt_install "${MISSING[@]}"
    go_bin >/dev/null || die "$package is too old to build $S3 with"
}

# pgTAP comes per major version of PostgreSQL
pgtap_package() {
    apt-cache show --no-all-versions postgresql 2>/dev/null |
        sed -n 's/^Depends: .*\(postgresql-[0-9][0-9]*\).*/\1-pgtap/p'
}

# ---- Test::Nginx: sid alone has it (arch all) ----

# Its package is fetched with lists of its own and then installed by name, so that sid never becomes a
# source of this system; what it depends on comes from the system's own sources.
install_test_nginx() {
    local dir=$WORK/sid apt
    find_missing libtest-nginx-perl
    [ ${#MISSING[@]} -gt 0 ] || return 0
    mkdir -p "$dir/lists/partial" "$dir/archives/partial"
    printf 'deb [signed-by=%s] %s sid main\n' \
        /usr/share/keyrings/debian-archive-keyring.gpg http://deb.debian.org/debian >"$dir/sources.list"
    # signed all the same, but a mirror that lags behind will do
    apt=(-q -o Acquire::Check-Valid-Until=false -o "Dir::Etc::SourceList=$dir/sources.list" -o Dir::Etc::SourceParts=-
        -o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir" -o APT::Sandbox::User=)
    note "fetching libtest-nginx-perl from sid"
    (cd "$dir" && apt-get "${apt[@]}" -o Acquire::Languages=none update && apt-get "${apt[@]}" download libtest-nginx-perl) \
        >"$WORK/apt.log" 2>&1 || {
        tail -n 20 "$WORK/apt.log" >&2
        die "libtest-nginx-perl could not be fetched"
    }
    apt_install "$dir"/libtest-nginx-perl_*.deb
}

setting S3 minio
WORK=$(mktemp -d)
chmod 0755 "$WORK"
groups=" $* "
if [[ $groups = *' go '* ]]; then
    install_go
fi
if [[ $groups = *' s3 '* ]]; then
    gotool_build_start "$S3"
fi
packages=()
if [[ $groups = *' run '* ]]; then
    packages+=("${PACKAGES_RUN[@]}")
fi
if [[ $groups = *' test '* ]]; then
    packages+=("${PACKAGES_TEST[@]}" "$(pgtap_package)")
fi
find_missing "${packages[@]}"
if [ ${#MISSING[@]} -gt 0 ]; then
    apt_update
    install_packages "${packages[@]}"
fi
if [[ $groups = *' test '* ]]; then
    install_test_nginx
    gotool_build kustomize
    pytool_install kubernetes-validate
fi
if [[ $groups = *' s3 '* ]]; then
    gotool_build_wait
fi
