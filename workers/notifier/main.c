/* media-notifier: turns notify jobs into mails. The job's params say everything; the engine of
 * wk_run claims, retries and commits. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "mail.h"
#include "mime.h"
#include "smtp.h"
#include "wk_log.h"
#include "wk_run.h"

#define NOTIFIER "media-notifier"
#define KEY_FILE_MAX 4096

/* Read for every mail, so that an exchanged key needs no restart. Owned key in *out. */
static int load_key(const char *path, media_jwt_key_t **out, media_err_t *ei)
{
    char text[KEY_FILE_MAX];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text)) : -1;
    int rc;

    if (n < 0) {
        rc = media_err_set(ei, MEDIA_E_RETRY, "MEDIA_PLAY_KEY_FILE: %s", strerror(errno));
    } else {
        rc = media_jwt_key_new(MEDIA_JWT_HS256, MEDIA_STR_NULL, (media_str_t){text, (size_t)n}, out,
                               ei);
    }
    if (fd >= 0) {
        close(fd);
    }
    OPENSSL_cleanse(text, sizeof(text));
    return rc;
}

typedef struct {
    wk_ctx_t *ctx;
    const wk_job_t *job;
    int rc; /* why the beat ended the delivery */
} beat_t;

static int on_tick(void *data)
{
    beat_t *b = data;

    b->rc = wk_job_beat(b->ctx, b->job, -1, -1);
    return b->rc;
}

static enum wk_end deliver(wk_ctx_t *ctx, const wk_job_t *job, const note_t *note,
                           const mail_frame_t *frame, media_str_t message, wk_outcome_t *out)
{
    beat_t beat = {ctx, job, 0};
    char url[WK_SECRET_MAX];
    smtp_mail_t mail = {.url = url,
                        .from = frame->from,
                        .to = note->to,
                        .message = message,
                        .tick = on_tick,
                        .data = &beat};
    char reply[200], id[MAIL_ID_MAX];
    media_err_t ei = {""};
    int rc;

    mail_message_id(frame, id);
    rc = wk_secret_read(&ctx->conf->smtp_url, url, &ei);
    if (rc == 0) {
        rc = smtp_send(&mail, reply, sizeof(reply), &ei);
    }
    OPENSSL_cleanse(url, sizeof(url));
    switch (rc) {
    case 0:
        wk_health_count(ctx->health, WK_C_MAILS_SENT, 1);
        out->result = json_pack("{s:s,s:s}", "message_id", id, "reply", reply);
        return WK_DONE;
    case MEDIA_E_AGAIN:
        return beat.rc == MEDIA_E_AGAIN ? WK_RELEASE : WK_LOST;
    case MEDIA_E_REJECT:
        return wk_outcome(out, WK_REJECT, "mail_refused", "%s", ei.text);
    default:
        return wk_outcome(out, WK_RETRY, "mail_not_sent", "%s", ei.text);
    }
}

static enum wk_end notify_run(wk_ctx_t *ctx, const wk_job_t *job, wk_outcome_t *out)
{
    mail_frame_t frame = {.job_id = job->id,
                          .created_s = job->created_s,
                          .from = ctx->conf->mail_from,
                          .public_url = ctx->conf->public_url,
                          .link_ttl_s = ctx->conf->link_ttl_s};
    media_jwt_key_t *key = NULL;
    enum wk_end end;
    media_err_t ei = {""};
    media_buf_t message;
    note_t note;

    media_buf_init(&message, MAIL_MAX);
    if (note_read(job->params, &note, &ei) != 0) {
        end = wk_outcome(out, WK_REJECT, "bad_params", "%s", ei.text);
        goto done;
    }
    if (load_key(ctx->conf->play_key_file, &key, &ei) != 0) {
        end = wk_outcome(out, WK_RETRY, "no_play_key", "%s", ei.text);
        goto done;
    }
    frame.play_key = key;
    if (mail_build(&note, &frame, &message, &ei) != 0) {
        end = wk_outcome(out, WK_RETRY, "mail_not_composed", "%s", ei.text);
        goto done;
    }
    end = deliver(ctx, job, &note, &frame, media_buf_view(&message), out);

done:
    media_buf_free(&message);
    media_jwt_key_free(key);
    return end;
}

/* What would make every mail fail is told before the first. */
static int check_conf(const wk_conf_t *conf)
{
    media_jwt_key_t *key = NULL;
    media_err_t ei = {""};
    char url[WK_SECRET_MAX];

    if (!wk_secret_given(&conf->smtp_url) || conf->play_key_file == NULL) {
        fputs(NOTIFIER ": MEDIA_SMTP_URL or MEDIA_SMTP_URL_FILE, and MEDIA_PLAY_KEY_FILE are "
                       "needed\n",
              stderr);
        return -1;
    }
    if (wk_secret_read(&conf->smtp_url, url, &ei) != 0) {
        fprintf(stderr, NOTIFIER ": %s\n", ei.text);
        return -1;
    }
    OPENSSL_cleanse(url, sizeof(url));
    if (!mime_address_valid(conf->mail_from)) {
        fputs(NOTIFIER ": MEDIA_MAIL_FROM is no plain address\n", stderr);
        return -1;
    }
    if (load_key(conf->play_key_file, &key, &ei) != 0) {
        fprintf(stderr, NOTIFIER ": %s\n", ei.text);
        return -1;
    }
    media_jwt_key_free(key);
    return 0;
}

int main(int argc, char **argv)
{
    static const wk_engine_t engine = {NOTIFIER, MEDIA_QUEUE_NOTIFY, "{notify}", notify_run};
    wk_conf_t conf;

    wk_conf_load(&conf, NOTIFIER, argc, argv);
    if (check_conf(&conf) != 0) {
        return 2;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    return wk_run(&engine, &conf);
}
