#!/usr/bin/env bash
# As the public image's: root owns nothing of the broker, the cookie may come by the environment.
set -euo pipefail
if [ "$(id -u)" = 0 ] && [[ ${1-} = rabbitmq* ]]; then
    find /var/lib/rabbitmq ! -user rabbitmq -exec chown rabbitmq {} +
    exec setpriv --reuid=999 --regid=999 --init-groups "$0" "$@"
fi
if [ -n "${RABBITMQ_ERLANG_COOKIE-}" ]; then
    (umask 077 && printf '%s' "$RABBITMQ_ERLANG_COOKIE" >"$HOME/.erlang.cookie")
    unset RABBITMQ_ERLANG_COOKIE
fi
exec "$@"
