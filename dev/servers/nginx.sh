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

h2c_listen() {
    if [ "$MEDIA_H2C_PORT" != 0 ]; then
        printf 'listen 127.0.0.1:%s http2;' "$MEDIA_H2C_PORT"
    fi
}

# outputs in a bucket of their own: the endpoint is the same
s3_output_lines() {
    if [ "$S3_OUTPUT" = separate ]; then
        printf 'media_s3_output_bucket %s;' "$S3_OUTPUT_BUCKET"
    fi
}

# Fills @NAME@ of the template in; a name without a value is an error of this script.
nginx_render() {
    local text host name value
    host=${S3_URL#*://}
    case $S3_URL in
    https://*) [[ $host = *:* ]] || host=$host:443 ;;
    esac
    text=$(<"$ROOT/conf/nginx.conf.in")
    local -A values=(
        [USER_LINE]="$(is_root && printf 'user www-data;')"
        [MODULE]=$NGINX_MODULE [CONF]=$ROOT/conf [LOG]=$RUN/log [TMP]=$RUN/tmp [TEMP]=$NGINX_HOME
        [PORT]=$MEDIA_PORT [H2C_LISTEN]="$(h2c_listen)" [PG_PORT]=$MEDIA_PG_PORT
        [S3_URL]=$S3_URL [S3_HOST]=$host
        [S3_BUCKET]=$MEDIA_S3_BUCKET [S3_OUTPUT]="$(s3_output_lines)" [S3_REGION]=$S3_REGION
        [JWT_KEY]=$RUN/secrets/jwt-key [PLAY_KEY]=$RUN/secrets/play-key
    )
    for name in "${!values[@]}"; do
        value=${values[$name]}
        text=${text//"@$name@"/"$value"}
    done
    [[ ! $text =~ @[A-Z0-9_]+@ ]] || die "conf/nginx.conf.in: no value for ${BASH_REMATCH[0]}"
    printf '%s\n' "$text" >"$RUN/conf/nginx.conf"
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
