# shellcheck shell=bash
# .run/env: what a shell needs to talk to the running system. It holds keys, so it is 0600.

write_env() {
    local line
    {
        printf '# source this file\n'
        for line in \
            "MEDIA_URL=$(media_url)" "MEDIA_H2C_URL=$(h2c_url)" \
            "MEDIA_MAIL_DIR=$RUN/mail" \
            "MEDIA_PUBLIC_URL=$(media_url)" \
            "PGHOST=127.0.0.1" "PGPORT=$MEDIA_PG_PORT" "PGDATABASE=media" "PGUSER=media_ctl" \
            "PGPASSFILE=$RUN/secrets/pgpass" \
            "AMQP_URL=$(amqp_url)" \
            "AWS_ENDPOINT_URL=$S3_URL" "AWS_ACCESS_KEY_ID=$S3_KEY" "AWS_SECRET_ACCESS_KEY=$S3_SECRET" \
            "AWS_REGION=$S3_REGION" "AWS_DEFAULT_REGION=$S3_REGION" "MEDIA_S3_BUCKET=$MEDIA_S3_BUCKET" \
            "MEDIA_S3_OUTPUT_BUCKET=$S3_OUTPUT_BUCKET" "MEDIA_S3_VENDOR=$(s3_vendor)" "MEDIA_MODELS=$MEDIA_MODELS"; do
            printf 'export %s=%q\n' "${line%%=*}" "${line#*=}"
        done
        printf 'unset PGPASSWORD PGSERVICE PGHOSTADDR AWS_SESSION_TOKEN AWS_PROFILE AWS_ENDPOINT_URL_S3\n'
        # once, however often it is sourced
        printf 'case :$PATH: in *:%q:*) ;; *) export PATH=%q:$PATH ;; esac\n' "$BUILD/bin" "$BUILD/bin"
    } | (umask 077 && cat >"$RUN/env.new" && mv "$RUN/env.new" "$RUN/env")
}

h2c_url() { # nothing without such a port
    if [ "$MEDIA_H2C_PORT" != 0 ]; then
        printf 'http://127.0.0.1:%s' "$MEDIA_H2C_PORT"
    fi
}

s3_vendor() { if [ "$S3_OWN" = 1 ]; then printf '%s' "$S3"; else printf other; fi; }

media_url() { printf 'http://127.0.0.1:%s' "$MEDIA_PORT"; }
