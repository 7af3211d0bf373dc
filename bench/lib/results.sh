# shellcheck shell=bash
# bench/RESULTS.md out of the tables. Sourced by bench/run.sh.

machine() {
    printf '%s x %s, %s MiB RAM, %s, Linux %s, %s\n' "$(nproc)" \
        "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" \
        "$(($(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo) / 1024))" \
        "run directory on $(stat -f -c %T "$RUN/data/")" "$(uname -r)" "$(. /etc/os-release && printf '%s' "$PRETTY_NAME")"
}

versions() {
    printf '%s, %s, %s, %s, MinIO %s\n' "$(nginx -v 2>&1 | sed 's/^nginx version: //')" \
        "$(openssl version | cut -d' ' -f1,2)" "$(ffmpeg -version | sed -n '1s/^\(ffmpeg\) version \([^ ]*\).*/\1 \2/p')" \
        "$(psql --version | sed 's/^psql (\([^)]*\)) \([^ ]*\).*/\1 \2/')" "$MINIO_VERSION"
}

# what others on this machine did: asked before the first figure and after the last
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

commit() {
    git -C "$ROOT" describe --always --dirty --abbrev=12 2>/dev/null || printf 'no git checkout'
}

section() { # NAME TITLE; what the figures mean stands in bench/notes/NAME.md
    printf '\n## %s\n\n' "$2"
    cat "$ROOT/bench/notes/$1.md"
    printf '\nCommand: `bench/run.sh %s`\n\n' "$1"
    sed -e :a -e '/^\n*$/{$d;N;ba' -e '}' "$OUT/$1.md"
}

write_results() {
    local runs=${BENCH_RUNS:-7}
    {
        printf '# Figures\n\nMade by `make bench` (%s s) on %s at commit %s.\n\n' "$SECONDS" "$(date -u +%F)" "$(commit)"
        printf -- '- Machine: %s' "$(machine)"
        printf '\n- Software: %s\n' "$(versions)"
        printf -- '- Load average before: %s; stolen by the hypervisor meanwhile: %s %% of the CPU\n' \
            "$LOAD_BEFORE" "$(stolen)"
        printf -- '- %s counted rounds of all ways in turn. ' "$runs"
        printf 'Figures are median (min..max); ratios are taken round by round.\n'
        section upload 'Upload of 1 GiB'
        section jwt 'JWT check'
        section transcode 'One mp3'
        section conversions '21 conversions'
    } >"$OUT/RESULTS.md"
}
