# shellcheck shell=bash
# SMTP sink: a real server that keeps each mail as one file of .run/mail.

smtp_ready() {
    local banner
    banner=$(timeout 3 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1" && head -c 4 <&3' smtp "$MEDIA_SMTP_PORT" \
        2>/dev/null) && [ "$banner" = '220 ' ]
}

smtp_start() {
    local sig
    sig=$({ printf '%s\n' "$MEDIA_SMTP_PORT" && cat "$ROOT/dev/smtpd.py"; } | digest)
    proc_current smtp "$sig" && return 0
    port_free smtp "$MEDIA_SMTP_PORT" MEDIA_SMTP_PORT
    (
        clean_env
        # Debian's interpreter: that is where python3-aiosmtpd is
        proc_start smtp "$sig" /usr/bin/python3 "$ROOT/dev/smtpd.py" \
            --port "$MEDIA_SMTP_PORT" --hold "$RUN/mail.hold" "$RUN/mail"
    )
}

smtp_await() { proc_await smtp 20 smtp_ready; }
