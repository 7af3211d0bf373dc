# shellcheck shell=bash
# The gateway: Debian's nginx with our module, configured by conf/nginx.conf.in.

NGINX_MODULE=$BUILD/lib/ngx_http_media_module.so
NGINX_HOME=$(data_home)/nginx

nginx_bin() {
    if [ "$PRESET" = asan ]; then
        # shellcheck source=dev/nginx-asan.sh
        (. "$ROOT/dev/nginx-asan.sh" && printf '%s' "$NGINX_ASAN_BIN")
    else
        command -v nginx
    fi
}

# conf/nginx.conf.in as a container has it, save where things lie
nginx_render() {
    # the directory of keys has files of that kind only
    mkdir -p "$RUN/conf/jwt"
    ln -sfn "$RUN/secrets/jwt-key" "$RUN/conf/jwt/jwt-key"
    (
        nginx_env
        # shellcheck disable=SC2153 # of lib.sh
        export PGHOST=127.0.0.1 PGPORT=$MEDIA_PG_PORT AWS_ENDPOINT_URL=$S3_URL AWS_REGION=$S3_REGION MEDIA_S3_BUCKET
        export MEDIA_JWT_DIR=$RUN/conf/jwt MEDIA_PLAY_KEY_FILE=$RUN/secrets/play-key
        export MEDIA_LISTEN=127.0.0.1 MEDIA_HTTP_PORT=$MEDIA_PORT MEDIA_H2C_PORT MEDIA_OPS_PORT=0
        export MEDIA_MODULE=$NGINX_MODULE MEDIA_CONF_DIR=$ROOT/conf MEDIA_RUN_DIR=$NGINX_HOME
        export MEDIA_CACHE_DIR=$NGINX_HOME/cache MEDIA_LOG_DIR=$RUN/log MEDIA_ROUTES_DIR=$RUN/conf/routes.d MEDIA_NGINX
        MEDIA_NGINX=$(nginx_bin)
        if is_root; then
            export MEDIA_USER=www-data
        fi
        if [ "$S3_OUTPUT" = separate ]; then
            # the endpoint is the same
            export MEDIA_S3_OUTPUT_BUCKET=$S3_OUTPUT_BUCKET
        fi
        "$BUILD/bin/media-gateway" --render
    ) >"$RUN/conf/nginx.conf" || die "nginx.conf: see above"
}

nginx_env() { # call it in a subshell
    clean_env
    s3_env gateway
    export PGPASSFILE=$NGINX_HOME/pgpass AMQP_URL
    AMQP_URL=$(amqp_url)
}

# libpq reads the password file in the worker processes, so it lies where their user can reach it
nginx_home() {
    mkdir -p "$NGINX_HOME"
    (umask 077 && cat "$RUN/secrets/pgpass-media_gateway" >"$NGINX_HOME/pgpass")
    if is_root; then
        chown www-data:www-data "$NGINX_HOME" "$NGINX_HOME/pgpass"
    fi
}

nginx_start() {
    local bin sig command
    [ -f "$NGINX_MODULE" ] || die "$NGINX_MODULE is missing (run: make build)"
    secret jwt-key 32 >/dev/null
    secret play-key 32 >/dev/null
    nginx_home
    nginx_render
    bin=$(nginx_bin)
    command=("$bin" -p "$NGINX_HOME" -e "$RUN/log/error.log" -c "$RUN/conf/nginx.conf")
    sig=$({ cat "$bin" "$NGINX_MODULE" "$RUN/conf/nginx.conf" "$ROOT"/conf/*.conf "$RUN"/secrets/{jwt,play}-key &&
        nginx_env && export -p; } | digest)
    proc_current nginx "$sig" && return 0
    (nginx_env && "${command[@]}" -q -t) || die "nginx does not accept its configuration"
    port_free nginx "$MEDIA_PORT" MEDIA_PORT
    (
        nginx_env
        proc_start nginx "$sig" "${command[@]}"
    )
}

gateway_ready() { curl -fsS -o /dev/null --max-time 5 "$(media_url)/readyz" 2>/dev/null; }

nginx_await() { proc_await nginx 30 gateway_ready; }
