#!/usr/bin/env bash
# shellcheck disable=SC2034 # what a role is of is read by name
# In the Dockerfile: makes the root file system of a role, programs and what they link and nothing else.
#   docker/rootfs.sh gateway|transcoder|anonymizer|notifier|janitor|ops
# in:  /out (the installed tree), Debian packages; out: /rootfs/libs (Debian's part), /rootfs/own (ours)
# Two layers: Debian's does not change with our programs. All dates are 0: a builder's cache looks at contents alone.
# /var/lib/dpkg/status.d tells scanners which packages the files of a role are from.
set -euo pipefail

OUT=/out
LIBS=/rootfs/libs
OWN=/rootfs/own
LIBDIR=/usr/lib/x86_64-linux-gnu

# What a role is of ours (below /out) ...
gateway_own=(usr/bin/media-gateway usr/lib/nginx/modules/ngx_http_media_module.so usr/share/ngx_media/conf)
transcoder_own=(usr/bin/media-transcoder)
anonymizer_own=(usr/bin/media-anonymizer usr/bin/media-picture usr/bin/media-detector usr/share/ngx_media/models)
notifier_own=(usr/bin/media-notifier)
janitor_own=(usr/bin/media-janitor usr/bin/mediactl usr/share/ngx_media/sql)
ops_own=(usr/bin/mediactl usr/bin/media-objects usr/share/ngx_media/{sql,ops})
# ... and of Debian's, besides the libraries that these link. glibc opens libgcc_s by itself, libheif its plugins.
common_debian=(/etc/ssl/openssl.cnf /etc/ssl/certs/ca-certificates.crt /usr/lib/ssl/{cert.pem,certs,openssl.cnf}
    "$LIBDIR/libgcc_s.so.1")
gateway_debian=(/usr/sbin/nginx)
transcoder_debian=()
anonymizer_debian=("$LIBDIR"/libheif/plugins/*.so /usr/share/opencv4/haarcascades)
notifier_debian=()
janitor_debian=()
ops_debian=()

die() {
    printf 'rootfs.sh: %s\n' "$*" >&2
    exit 1
}

declare -A packages=()

# Debian's own name of a path: after the merge of /lib into /usr some packages still say /lib
package_of() { # PATH: sets package
    package=$(dpkg-query -S "$1" 2>/dev/null || dpkg-query -S "${1#/usr}" 2>/dev/null) || package=''
    package=${package%%: *}
    package=${package%%,*}
}

# A file, a directory or a link with what it leads to, at its place below $LIBS
take() { # PATH
    local path target
    path=$(realpath "$(dirname "$1")")/${1##*/}
    [ -e "$path" ] || die "$1 is not there"
    if [ ! -e "$LIBS$path" ] && [ ! -L "$LIBS$path" ]; then
        mkdir -p "$LIBS${path%/*}"
        if [ -L "$path" ]; then
            target=$(realpath "$path")
            ln -s "$(realpath --relative-to="${path%/*}" "$target")" "$LIBS$path"
            # of a directory that is linked to, only what is taken by name
            [ -d "$target" ] || take "$target"
        elif [ -d "$path" ]; then
            cp -r "$path" "$LIBS$path"
        else
            cp "$path" "$LIBS$path"
        fi
        package_of "$path"
        if [ -n "$package" ]; then
            packages[$package]=1
        elif [ -f "$path" ] && [ ! -L "$path" ] && [ "$path" != /etc/ssl/certs/ca-certificates.crt ]; then
            die "$path is of no package"
        fi
    fi
}

# The libraries that programs and libraries ask for; the loader comes by its absolute path
take_linked() { # FILE...
    local lib missing
    missing=$(ldd "$@" | grep 'not found' || true)
    [ -z "$missing" ] || die "$missing"
    while read -r lib; do
        take "$lib"
    done < <(ldd "$@" | awk '$2 == "=>" && $3 ~ /^\// {print $3} $1 ~ /^\// && $2 ~ /^\(/ {print $1}' | sort -u)
}

elf_files() { # PATH...
    local path
    find "$@" -type f \( -perm /111 -o -name '*.so*' \) | while read -r path; do
        [ "$(head -c 4 "$path" | tail -c 3)" != ELF ] || printf '%s\n' "$path"
    done
}

# as in images made from packages without dpkg: one file for each
write_packages() {
    local name base
    mkdir -p "$LIBS/var/lib/dpkg/status.d"
    packages[ca-certificates]=1
    for name in "${!packages[@]}"; do
        base=${name%%:*}
        dpkg-query -s "$name" >"$LIBS/var/lib/dpkg/status.d/$base"
        mkdir -p "$LIBS/usr/share/doc/$base"
        cp -L "/usr/share/doc/$base/copyright" "$LIBS/usr/share/doc/$base/copyright"
    done
}

write_etc() {
    printf '%s\n' root:x:0:0:root:/:/sbin/nologin media:x:10001:10001:ngx_media:/:/sbin/nologin >"$LIBS/etc/passwd"
    printf '%s\n' root:x:0: media:x:10001: >"$LIBS/etc/group"
    printf '%s\n' 'passwd: files' 'group: files' 'hosts: files dns' >"$LIBS/etc/nsswitch.conf"
    cp /etc/os-release "$LIBS/etc/os-release"
    cp /etc/debian_version "$LIBS/etc/debian_version"
}

dated() { # DIR: what is in it, and it
    chmod -R u=rwX,go=rX "$1"
    find "$1" -exec touch -h -d @0 {} +
}

role=$1
[ -v "${role}_own" ] || die "no role \"$role\""
declare -n own=${role}_own debian=${role}_debian
rm -rf /rootfs
mkdir -p "$LIBS"/{etc,usr/lib,usr/lib64,tmp,run} "$OWN/usr/share/doc/ngx_media"
ln -s usr/lib "$LIBS/lib"
ln -s usr/lib64 "$LIBS/lib64"

for path in "${own[@]}"; do
    [ -e "$OUT/$path" ] || die "$path was not built"
    mkdir -p "$OWN/${path%/*}"
    cp -r "$OUT/$path" "$OWN/$path"
done
cp /src/LICENSE "$OWN/usr/share/doc/ngx_media/copyright"
if [ "$role" != ops ]; then # which has Debian below it
    for path in "${common_debian[@]}" "${debian[@]}"; do
        take "$path"
    done
    mapfile -t elf < <(elf_files "$OWN" "$LIBS")
    take_linked "${elf[@]}"
    write_packages
    write_etc
    dated "$LIBS"
    chmod 1777 "$LIBS/tmp"
fi
dated "$OWN"
