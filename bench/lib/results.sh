# shellcheck shell=bash
# bench/RESULTS.md out of what the benchmarks printed. Sourced by bench/run.sh.

machine() {
    local model cores memory
    model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
    cores=$(nproc)
    memory=$(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)
    printf '%s, %s cores, %s, %s' "$model" "$cores" "$memory" "$(. /etc/os-release && printf '%s' "$PRETTY_NAME")"
}

section() { # TITLE NAME
    printf '\n## %s\n\n`bench/run.sh %s`\n\n' "$1" "$2"
    cat "$OUT/$2.md"
}

write_results() {
    {
        printf '# Results\n\nMade by `make bench`. Medians of %s interleaved runs (fewer where said), with (min..max).\n' \
            "${BENCH_RUNS:-7}"
        printf 'Ratios are taken round by round. Both sides, MinIO and the client share one machine.\n\n'
        printf -- '- machine: %s\n- date: %s\n- commit: %s\n- load average at the end: %s\n' "$(machine)" "$(date -u +%F)" \
            "$(git -C "$ROOT" rev-parse --short HEAD)" "$(cut -d' ' -f1-3 /proc/loadavg)"
        section "1 GiB raw PUT" upload
        section "JWT check" jwt
        section "mp3 of 210 s" transcode
        section "21 conversions" conversions
    } >"$ROOT/bench/RESULTS.md"
    say "bench/RESULTS.md"
}
