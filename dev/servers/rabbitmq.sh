# shellcheck shell=bash
# RabbitMQ: an own node name, cookie, Erlang port mapper and distribution port, all on loopback.
# A system broker's files (/etc/rabbitmq, /var/lib/rabbitmq) and its epmd are never looked at.

RABBIT_DIR=$RUN/data/rabbitmq
RABBIT_NODE=ngx_media_$(printf '%s' "$RUN" | sha256sum | cut -c1-8)@localhost

rabbit_conf() {
    cat <<CONF
listeners.tcp.1 = 127.0.0.1:$MEDIA_AMQP_PORT
default_user = media
default_pass = $(secret amqp-password)
default_vhost = /
default_permissions.configure = .*
default_permissions.read = .*
default_permissions.write = .*
disk_free_limit.absolute = 50MB
raft.wal_max_size_bytes = 67108864
log.file = false
log.console = true
log.console.level = warning
CONF
}

# The environment of every program of this node; call it in a subshell.
rabbit_env() {
    clean_env
    export HOME=$RABBIT_DIR ERL_EPMD_PORT=$MEDIA_EPMD_PORT ERL_EPMD_ADDRESS=127.0.0.1 \
        RABBITMQ_NODENAME=$RABBIT_NODE RABBITMQ_DIST_PORT=$MEDIA_DIST_PORT \
        RABBITMQ_NODE_PORT=$MEDIA_AMQP_PORT RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 \
        RABBITMQ_CONF_ENV_FILE=/dev/null RABBITMQ_CONFIG_FILE=$RUN/secrets/rabbitmq.conf \
        RABBITMQ_CONFIG_FILES=$RABBIT_DIR/none RABBITMQ_ADVANCED_CONFIG_FILE=$RABBIT_DIR/none.config \
        RABBITMQ_ENABLED_PLUGINS_FILE=$RABBIT_DIR/enabled_plugins \
        RABBITMQ_MNESIA_BASE=$RABBIT_DIR RABBITMQ_LOG_BASE=$RUN/log RABBITMQ_LOGS=- \
        RABBITMQ_PID_FILE=$RABBIT_DIR/node.pid RABBITMQ_GENERATED_CONFIG_DIR=$RABBIT_DIR/generated
    # no busy waiting: on a small machine it takes the CPU the transcoders need
    export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1} \
+sbwt none +sbwtdcpu none +sbwtdio none"
}

# The broker sends Connection.Start (frame type 1, channel 0) once it is up, not merely listening.
amqp_ready() {
    local first
    first=$(timeout 3 bash -c '
        exec 3<>"/dev/tcp/127.0.0.1/$1" && printf "AMQP\0\0\11\1" >&3 && head -c 3 <&3 | od -An -tx1' \
        amqp "$MEDIA_AMQP_PORT" 2>/dev/null) && [ "$first" = ' 01 00 00' ]
}

epmd_start() {
    local sig
    sig=$(printf '%s' "$MEDIA_EPMD_PORT" | digest)
    proc_current epmd "$sig" && return 0
    port_free epmd "$MEDIA_EPMD_PORT" MEDIA_EPMD_PORT
    (
        clean_env
        proc_start epmd "$sig" epmd -address 127.0.0.1 -port "$MEDIA_EPMD_PORT"
    )
    proc_await epmd 10 port_open "$MEDIA_EPMD_PORT"
}

rabbitmq_start() {
    local sig
    mkdir -p "$RABBIT_DIR"
    chmod 0700 "$RABBIT_DIR"
    if [ ! -s "$RABBIT_DIR/.erlang.cookie" ]; then
        (umask 077 && random_hex 16 >"$RABBIT_DIR/.erlang.cookie")
        chmod 0400 "$RABBIT_DIR/.erlang.cookie"
    fi
    printf '[].\n' >"$RABBIT_DIR/enabled_plugins"
    rabbit_conf | put_secret rabbitmq.conf
    epmd_start
    sig=$({ cat "$RUN/secrets/rabbitmq.conf" && rabbit_env && export -p; } | digest)
    proc_current rabbitmq "$sig" && return 0
    port_free rabbitmq "$MEDIA_AMQP_PORT" MEDIA_AMQP_PORT
    port_free rabbitmq "$MEDIA_DIST_PORT" MEDIA_DIST_PORT
    (
        rabbit_env
        proc_start rabbitmq "$sig" /usr/lib/rabbitmq/bin/rabbitmq-server
    )
}

rabbitmq_await() { proc_await rabbitmq 90 amqp_ready; }

amqp_url() { printf 'amqp://media:%s@127.0.0.1:%s/%%2F' "$(secret amqp-password)" "$MEDIA_AMQP_PORT"; }
