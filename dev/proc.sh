# shellcheck shell=bash
# Processes of .run/: start detached, know again, await, stop. Sourced after lib.sh.
#
# .run/pid/NAME holds "pid start-time signature". Every process leads a session of its own, so its pid is also
# its process group. The start time tells it from a stranger who got the same pid; the signature is a
# digest of what it was started with, so `make up` restarts exactly what has changed.

POLL=0.1

proc_field() { # NAME N
    local words
    read -r -a words 2>/dev/null <"$RUN/pid/$1" || return 1
    printf '%s' "${words[$2]-}"
}

proc_start_time() { # PID; fails if there is none, or only its corpse
    local words
    proc_stat "/proc/$1/stat" && [ "${words[0]}" != Z ] && printf '%s' "${words[19]}"
}

# The fields of a /proc/PID/stat from the state on, into the caller's `words`; fails if it is gone. No
# $(<file): bash itself ends when the process vanishes between open and read.
proc_stat() { # FILE
    local line
    read -r line 2>/dev/null <"$1" || return 1
    read -r -a words <<<"${line##*) }"
    [ ${#words[@]} -gt 19 ]
}

proc_alive() { # NAME
    local pid
    pid=$(proc_field "$1" 0) && [ -n "$pid" ] || return 1
    [ "$(proc_start_time "$pid")" = "$(proc_field "$1" 1)" ]
}

digest() { sha256sum | cut -c1-16; }

# Programs shall inherit nothing of the caller's environment; call it in a subshell, then export what this
# one needs. The variables stay readable for the script itself.
clean_env() {
    local name
    for name in $(compgen -e); do
        case $name in
        HOME | ASAN_OPTIONS | UBSAN_OPTIONS | LSAN_OPTIONS | TSAN_OPTIONS) ;;
        *) export -n "${name?}" ;;
        esac
    done
    export LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
}

# Runs COMMAND in the background as NAME, output to .run/log/NAME.log. Call it in a subshell: an
# interrupt must not come between the start and the pid file.
proc_start() { # NAME SIGNATURE COMMAND...
    local name=$1 sig=$2 pid
    shift 2
    note "starting $name"
    trap '' INT TERM HUP
    # env: the program must not inherit them ignored
    setsid env --default-signal=INT,QUIT,TERM,HUP "$@" </dev/null >>"$RUN/log/$name.log" 2>&1 9>&- &
    pid=$!
    printf '%s %s %s\n' "$pid" "$(proc_start_time "$pid")" "$sig" >"$RUN/pid/$name"
}

# True if NAME runs as SIGNATURE describes; stops it first if it runs otherwise.
proc_current() { # NAME SIGNATURE
    proc_alive "$1" || return 1
    [ "$(proc_field "$1" 2)" = "$2" ] && return 0
    proc_stop "$1"
    return 1
}

# Waits until CHECK succeeds, at most SECONDS, as long as NAME lives.
proc_await() { # NAME SECONDS CHECK...
    local name=$1 end=$((SECONDS + $2)) limit=$2
    shift 2
    until "$@"; do
        proc_alive "$name" || proc_fail "$name" "ended while it started"
        [ "$SECONDS" -lt "$end" ] || proc_fail "$name" "is not ready after $limit s"
        sleep "$POLL"
    done
}

proc_fail() { # NAME TEXT
    printf '%s %s; the end of %s:\n' "$1" "$2" "$RUN/log/$1.log" >&2
    tail -n 15 "$RUN/log/$1.log" >&2
    exit 1
}

stop_signal() { # NAME: the signal that ends it in order
    case $1 in
    postgres) printf INT ;; # fast: clients are cut, data is written
    nginx) printf QUIT ;;   # running requests finish
    *) printf TERM ;;
    esac
}

STOP_LIMIT=${STOP_LIMIT:-30}

# Asks all of them to end, waits at most STOP_LIMIT seconds, then ends their groups by force.
proc_stop() { # NAME...
    local name pid end soft_end=$((SECONDS + STOP_LIMIT))
    for name; do
        if proc_alive "$name"; then
            kill -s "$(stop_signal "$name")" "$(proc_field "$name" 0)" 2>/dev/null || true
        fi
    done
    for name; do
        while proc_alive "$name" && [ "$SECONDS" -lt "$soft_end" ]; do
            sleep "$POLL"
        done
        pid=$(proc_field "$name" 0) || continue
        if group_is_ours "$pid" "$name"; then
            kill -s KILL -- "-$pid" 2>/dev/null || true
            end=$((SECONDS + 10))
            while group_alive "$pid"; do
                [ "$SECONDS" -lt "$end" ] || die "$name (pid $pid) cannot be stopped by $(id -un)"
                sleep "$POLL"
            done
        fi
        rm -f "$RUN/pid/$name"
    done
}

# What is left of the group of a process that has ended: still its own, as long as the group lives no
# other process can get its number.
group_is_ours() { # PID NAME
    group_alive "$1" && { proc_alive "$2" || ! proc_start_time "$1" >/dev/null; }
}

# Has the group a member that is not a corpse? In a container nobody may collect those.
group_alive() { # PGID
    local file words
    for file in /proc/[0-9]*/stat; do
        proc_stat "$file" || continue
        if [ "${words[2]}" = "$1" ] && [ "${words[0]}" != Z ]; then
            return 0
        fi
    done
    return 1
}

proc_names() { # those that have a pid file
    local file
    for file in "$RUN"/pid/*; do
        if [ -f "$file" ]; then
            printf '%s\n' "${file##*/}"
        fi
    done
}

# ---- ports ----

port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Before NAME is started on PORT: somebody else's server must not be mistaken for ours.
port_free() { # NAME PORT SETTING
    if port_open "$2"; then
        die "$1: port $2 is taken by another program (set $3=... to use another one)"
    fi
}
