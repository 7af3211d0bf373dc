# shellcheck shell=bash
# The workers: WORKERS transcoders for short jobs and as many encoders (the same program) for long ones, as many
# anonymizers and renderers (the same program, too), one notifier, one janitor; each with its own database role.

workers_wanted() { # lines of NAME PROGRAM ROLE [QUEUE]
    local n
    for ((n = 1; n <= WORKERS; n++)); do
        printf 'transcoder-%d media-transcoder media_worker short\n' "$n"
        printf 'encoder-%d media-transcoder media_worker long\n' "$n"
        printf 'anonymizer-%d media-anonymizer media_worker short\n' "$n"
        printf 'renderer-%d media-anonymizer media_worker long\n' "$n"
    done
    printf 'notifier-1 media-notifier media_notifier\njanitor-1 media-janitor media_janitor\n'
}

# What a tester may turn without editing anything; unset means the program's default.
WORKER_KNOBS=(MEDIA_LOG_LEVEL MEDIA_LEASE_S MEDIA_POLL_S MEDIA_DRAIN_S MEDIA_SWEEP_S MEDIA_UPLOAD_STALE_S
    MEDIA_OUTBOX_AGE_S MEDIA_LINK_TTL_S MEDIA_MAIL_FROM MEDIA_S3_OUTPUT_PREFIX)

worker_env() { # NAME ROLE [QUEUE]; call it in a subshell
    local knob line knobs=()
    for knob in "${WORKER_KNOBS[@]}"; do
        if [ -n "${!knob-}" ]; then
            knobs+=("$knob=${!knob}")
        fi
    done
    clean_env
    for line in "${knobs[@]}"; do
        export "${line?}"
    done
    pg_env "$2"
    worker_endpoints
    s3_env "$(if [ "$2" = media_janitor ]; then printf janitor; else printf worker; fi)"
    export MEDIA_HEALTH_FILE=$RUN/health/$1 MEDIA_TMPDIR=$RUN/tmp
    if [ -n "${3-}" ]; then
        export MEDIA_QUEUE=$3
    fi
    case $1 in
    anonymizer-* | renderer-*) export MEDIA_MODELS ;;
    esac
}

# where programs other than the gateway find S3, RabbitMQ, SMTP and the links they send
worker_endpoints() {
    export AWS_ENDPOINT_URL=$S3_URL AWS_REGION=$S3_REGION MEDIA_S3_BUCKET AMQP_URL \
        MEDIA_SMTP_URL=smtp://127.0.0.1:$MEDIA_SMTP_PORT MEDIA_PUBLIC_URL MEDIA_PLAY_KEY_FILE=$RUN/secrets/play-key
    AMQP_URL=$(amqp_url)
    MEDIA_PUBLIC_URL=$(media_url)
    if [ "$S3_OUTPUT" = separate ]; then
        export MEDIA_S3_OUTPUT_BUCKET=$S3_OUTPUT_BUCKET
    fi
}

worker_start() { # NAME PROGRAM ROLE [QUEUE]
    local sig bin=$BUILD/bin/$2
    [ -x "$bin" ] || die "$bin is missing (run: make build)"
    sig=$({ cat "$bin" && worker_env "$1" "$3" "${4-}" && export -p; } | digest)
    proc_current "$1" "$sig" && return 0
    rm -f "$RUN/health/$1"
    (
        worker_env "$1" "$3" "${4-}"
        proc_start "$1" "$sig" "$bin"
    )
}

worker_ready() { # NAME
    local addr
    addr=$(cat "$RUN/health/$1" 2>/dev/null) && [ -n "$addr" ] &&
        curl -fsS -o /dev/null --max-time 5 "http://$addr/readyz" 2>/dev/null
}

workers_start() {
    local name program role queue
    secret play-key 32 >/dev/null
    for name in $(proc_names); do
        case $name in
        transcoder-* | encoder-* | anonymizer-* | renderer-*)
            if [ "${name##*-}" -gt "$WORKERS" ]; then
                proc_stop "$name"
            fi
            ;;
        esac
    done
    while read -r name program role queue; do
        worker_start "$name" "$program" "$role" "$queue"
    done < <(workers_wanted)
}

workers_await() {
    local name _
    while read -r name _; do
        proc_await "$name" 30 worker_ready "$name"
    done < <(workers_wanted)
}
