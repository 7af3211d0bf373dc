# shellcheck shell=bash disable=SC2016
# bench/RESULTS.md out of sections, one per benchmark: each says when, at which commit and on what machine it was
# measured, for it may be made anew alone. Sourced by bench/run.sh.

RESULTS=$ROOT/bench/RESULTS.md

machine() {
    printf '%s x %s, %s MiB RAM, %s, Linux %s, %s' "$(nproc)" \
        "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" \
        "$(($(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo) / 1024))" \
        "run directory on $(stat -f -c %T "$RUN/data/")" "$(uname -r)" "$(. /etc/os-release && printf '%s' "$PRETTY_NAME")"
}

versions() {
    printf '%s, %s, %s, %s, MinIO %s' "$(nginx -v 2>&1 | sed 's/^nginx version: //')" \
        "$(openssl version | cut -d' ' -f1,2)" "$(ffmpeg -version | sed -n '1s/^\(ffmpeg\) version \([^ ]*\).*/\1 \2/p')" \
        "$(psql --version | sed 's/^psql (\([^)]*\)) \([^ ]*\).*/\1 \2/')" "$MINIO_VERSION"
}

# what others on this machine did: asked before a section's first figure and after its last
machine_before() {
    LOAD_BEFORE=$(cut -d' ' -f1 /proc/loadavg)
    read -r -a CPU_BEFORE </proc/stat
}

stolen() { # per cent of the CPU time that the hypervisor gave to others
    local after n sum=0
    read -r -a after </proc/stat
    for n in 1 2 3 4 5 6 7 8; do # user nice system idle iowait irq softirq steal
        sum=$((sum + after[n] - CPU_BEFORE[n]))
    done
    printf '%s' "$((100 * (after[8] - CPU_BEFORE[8]) / sum))"
}

# The figures themselves make nothing dirty.
commit() {
    local name
    if ! name=$(git -C "$ROOT" describe --always --abbrev=12 2>/dev/null); then
        printf 'no git checkout'
        return 0
    fi
    if [ -n "$(git -C "$ROOT" status --porcelain -- . ':!bench/RESULTS.md')" ]; then
        name+=-dirty
    fi
    printf '%s' "$name"
}

title() { # NAME: bench/notes/NAME.md begins with it
    head -n 1 "$ROOT/bench/notes/$1.md"
}

write_section() { # NAME SECONDS
    {
        cat "$ROOT/bench/notes/$1.md"
        printf '\n`bench/run.sh %s`: %s s on %s at commit %s. ' "$1" "$2" "$(date -u +%F)" "$(commit)"
        printf '%s; %s. Load average before: %s; stolen by the hypervisor meanwhile: %s %% of the CPU. Rounds: %s.\n\n' \
            "$(machine)" "$(versions)" "$LOAD_BEFORE" "$(stolen)" "${BENCH_RUNS:-7}"
        sed -e :a -e '/^\n*$/{$d;N;ba' -e '}' "$OUT/$1.tables"
    } >"$OUT/$1.md"
}

old_section() { # NAME
    awk -v title="$(title "$1")" '/^## / { on = $0 == title } on' "$RESULTS" | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}'
}

put_section() { # NAME: $OUT/NAME.md in its place
    local name
    {
        printf '# Figures\n\nMade by `make bench`, each section on its own. Figures are median (min..max) of rounds in '
        printf 'which all ways take turns, each round\nbeginning with another one; ratios are taken round by round.\n'
        for name in "${ALL[@]}"; do
            printf '\n'
            if [ "$name" = "$1" ]; then
                cat "$OUT/$name.md"
            else
                old_section "$name"
            fi
        done
    } | cat -s >"$OUT/RESULTS.md"
    cp "$OUT/RESULTS.md" "$RESULTS"
}
