# shellcheck shell=bash disable=SC2034
# An nginx of exactly the installed version with AddressSanitizer. Every pool allocation is one malloc of
# its own (NGX_DEBUG_PALLOC), so that an overrun inside a pool shows. Built once per version into the
# cache; the configured tree stays, the asan preset compiles the module against it. Sourced after lib.sh.

NGINX_ASAN_VERSION=$(dpkg-query -W -f='${Version}' nginx 2>/dev/null || true)
NGINX_ASAN_SRC=$CACHE/nginx-asan-$NGINX_ASAN_VERSION
NGINX_ASAN_BIN=$NGINX_ASAN_SRC/objs/nginx

nginx_asan_build() {
    [ -n "$NGINX_ASAN_VERSION" ] || die "nginx is not installed (run: make deps)"
    [ ! -f "$NGINX_ASAN_SRC/built" ] || return 0
    mkdir -p "$CACHE"
    (
        flock 8
        [ -f "$NGINX_ASAN_SRC/built" ] || nginx_asan_compile
    ) 8>"$CACHE/nginx-asan.lock"
}

nginx_asan_compile() {
    local work=$CACHE/nginx-asan.work log=$CACHE/nginx-asan.log
    note "building nginx $NGINX_ASAN_VERSION with AddressSanitizer once into $NGINX_ASAN_SRC (log: $log)"
    rm -rf "$work" "$NGINX_ASAN_SRC"
    mkdir -p "$work"
    if ! { nginx_asan_fetch "$work" && nginx_asan_make "$work"; } >"$log" 2>&1; then
        tail -n 15 "$log" >&2
        die "the ASAN nginx did not build; $log tells more"
    fi
    touch "$NGINX_ASAN_SRC/built"
    rm -rf "$work"
}

# The source package, with lists of its own: the system's sources need no deb-src and stay as they are.
# The installed version itself; where a mirror lacks it, a neighbour of the same upstream version, so the
# same nginx with other Debian patches.
nginx_asan_fetch() { # DIR
    local dir=$1 codename apt version
    codename=$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")
    mkdir -p "$dir/lists/partial" "$dir/archives/partial"
    {
        printf 'deb-src [signed-by=%s] %s\n' \
            /usr/share/keyrings/debian-archive-keyring.gpg "http://deb.debian.org/debian $codename main" \
            /usr/share/keyrings/debian-archive-keyring.gpg "http://deb.debian.org/debian $codename-updates main" \
            /usr/share/keyrings/debian-archive-keyring.gpg \
            "http://deb.debian.org/debian-security $codename-security main"
    } >"$dir/sources.list"
    # signed all the same, but a mirror that lags behind will do
    apt=(-q -o Acquire::Check-Valid-Until=false -o "Dir::Etc::SourceList=$dir/sources.list" -o Dir::Etc::SourceParts=-
        -o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir" -o APT::Sandbox::User=)
    apt-get "${apt[@]}" update || return 1
    for version in "$NGINX_ASAN_VERSION" $(
        apt-cache "${apt[@]}" showsrc nginx | sed -n "s/^Version: \(${NGINX_ASAN_VERSION%%-*}-.*\)/\1/p" | sort -Vr
    ); do
        if (cd "$dir" && apt-get "${apt[@]}" source "nginx=$version"); then
            printf 'built from the source of %s\n' "$version"
            return 0
        fi
    done
    return 1
}

# The options of the installed nginx, without its paths, its compiler flags and its dynamic modules
nginx_asan_options() {
    nginx -V 2>&1 | sed -n 's/^configure arguments: //p' | grep -oE -- '--with-[a-z0-9_-]+(=[^ ]*)?' |
        grep -vE -- '=dynamic$|^--with-(cc|ld)-opt'
}

nginx_asan_make() { # DIR
    local tree options
    tree=$(find "$1" -mindepth 1 -maxdepth 1 -type d -name 'nginx-*')
    mapfile -t options < <(nginx_asan_options)
    mv "$tree" "$NGINX_ASAN_SRC" || return 1
    # nginx's own code is checked for memory errors; undefined behaviour is checked in ours only
    (
        cd "$NGINX_ASAN_SRC" && ./configure --prefix="$NGINX_ASAN_SRC" --error-log-path=stderr "${options[@]}" \
            --with-cc-opt='-g -O1 -fno-omit-frame-pointer -fsanitize=address -DNGX_DEBUG_PALLOC=1' \
            --with-ld-opt='-fsanitize=address,undefined' &&
            make -j"$(nproc)" -f objs/Makefile objs/nginx
    )
}
