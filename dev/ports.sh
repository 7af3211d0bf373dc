# shellcheck shell=bash
# Ports for a system beside the one of `make up`. Sourced after proc.sh.

# A block of ports is ours as long as this process lives: most of them are listened on only now and then.
take_block() { # BASE
    local mark=$CACHE/ports-$1
    mkdir -p "$CACHE"
    if (set -C && printf '%d\n' $$ >"$mark") 2>/dev/null; then
        return 0
    fi
    if kill -0 "$(cat "$mark")" 2>/dev/null; then
        return 1
    fi
    printf '%d\n' $$ >"$mark"
}

# Ports that nobody listens on, below those the kernel hands out; from TEST_NGINX_PORT on there are 60
# for the files of t/ that run side by side (dev/prove1.sh), and one more
free_ports() {
    local base n
    while :; do
        base=$((20000 + 80 * (RANDOM % 125)))
        take_block $base || continue
        for ((n = 0; n < 69; n++)); do
            if port_open $((base + n)); then
                continue 2
            fi
        done
        break
    done
    export MEDIA_PORT=$base MEDIA_PG_PORT=$((base + 1)) MEDIA_AMQP_PORT=$((base + 2)) \
        MEDIA_DIST_PORT=$((base + 3)) MEDIA_EPMD_PORT=$((base + 4)) MEDIA_S3_PORT=$((base + 5)) \
        MEDIA_SMTP_PORT=$((base + 6)) TEST_NGINX_PORT=$((base + 7))
}
