#!/usr/bin/env bash
# make up: starts the whole system on loopback, or what is missing or changed of it; waits until it is ready.
#   dev/up.sh [SERVER...]   some servers only: postgres rabbitmq s3 smtp nginx workers
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$ROOT/dev/proc.sh"
. "$ROOT/dev/stop.sh"
. "$ROOT/dev/env.sh"
for server in "${SERVERS[@]}"; do
    # shellcheck source=/dev/null
    . "$ROOT/dev/servers/$server.sh"
done

[ $# -gt 0 ] || set -- "${SERVERS[@]}"
for server; do
    [[ " ${SERVERS[*]} " = *" $server "* ]] || die "no server \"$server\": ${SERVERS[*]}"
done

if [[ " $* " = *" nginx "* || " $* " = *" workers "* ]]; then
    "$ROOT/dev/build.sh"
fi
run_dirs
exec 9>"$RUN/lock"
flock -n 9 || die "another make up, down or demo is at work in $RUN"
load_settings

# Before anything is touched: no port twice, and none that is not ours yet in somebody else's hands
check_ports() {
    local name other
    local -A owner=() before=()
    for name in "${SETTINGS[@]}"; do
        other=$(remembered "$name")
        before[${other:-none}]=1
    done
    for name in "${SETTINGS[@]}"; do
        [[ $name = *_PORT && ${!name} -ne 0 ]] || continue
        other=${owner[${!name}]-}
        [ -z "$other" ] || die "$other and $name are both ${!name}"
        owner[${!name}]=$name
        if [ -z "${before[${!name}]-}" ] && port_open "${!name}"; then
            die "port ${!name} is taken by another program (set $name=... to use another one)"
        fi
    done
}

mapfile -t before < <(proc_names)

# An interrupted start leaves no process; a failed one takes back what it started.
undo() {
    local rc=$? name started=()
    trap - EXIT
    trap '' INT TERM HUP
    [ "$rc" -ne 0 ] || exit 0
    STOP_LIMIT=10
    if [ "$rc" -ge 128 ]; then
        stop_all
    else
        while read -r name; do
            [[ " ${before[*]-} " = *" $name "* ]] || started+=("$name")
        done < <(proc_names)
        proc_stop "${started[@]}"
    fi
    exit "$rc"
}
trap undo EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

check_ports
own_s3_keys
chosen() { [[ " $wanted " = *" $1 "* ]]; }
wanted=$*

# the back ends start side by side
for server in postgres rabbitmq smtp s3; do
    if chosen "$server"; then
        "${server}_start"
    fi
done
for server in postgres rabbitmq smtp s3; do
    if chosen "$server"; then
        "${server}_await"
    fi
done
write_env
if chosen nginx || chosen workers; then
    migrate
fi
for server in nginx workers; do
    if chosen "$server"; then
        "${server}_start"
        "${server}_await"
    fi
done
save_settings
save_s3
say "up: $(media_url)  (mails: $RUN/mail, logs: $RUN/log, for a shell: source $RUN/env)"
