# shellcheck shell=bash disable=SC2034
# Programs in Python that Debian does not have, each in a directory of its own in the cache. Sourced after lib.sh.

KUBERNETES_VALIDATE_VERSION=1.37.0

pytool_version() { # NAME
    local field=${1^^}
    field=${field//-/_}_VERSION
    printf '%s' "${!field}"
}

# what PYTHONPATH has to name
pytool_home() { printf '%s/python/%s-%s' "$CACHE" "$1" "$(pytool_version "$1")"; } # NAME

# Debian's Python, not one of the caller's: compiled parts fit one version alone
pytool_install() { # NAME
    local home work
    home=$(pytool_home "$1")
    [ ! -d "$home" ] || return 0
    mkdir -p "$CACHE/python"
    work=$(mktemp -d "$CACHE/python/new.XXXXXX")
    /usr/bin/python3 -m pip install -q --disable-pip-version-check --root-user-action=ignore --target "$work" \
        "$1==$(pytool_version "$1")" >&2 || {
        rm -rf "$work"
        die "$1 could not be installed"
    }
    chmod 0755 "$work"
    mv -T "$work" "$home" 2>/dev/null || rm -rf "$work" # another one was faster
}
