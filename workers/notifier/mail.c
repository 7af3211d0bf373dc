/* Composition of the mail, see mail.h. */
#include "mail.h"

#include <stdio.h>
#include <string.h>

#include "media/playtoken.h"
#include "mime.h"
#include "template.h"

#define SUBJECT_MAX 1200
#define LINK_MAX 2048

/* What people call the format of an output. */
static const char *format_name(const note_t *note)
{
    static const struct {
        const char *type;
        const char *name;
    } formats[] = {{"audio/mpeg", "mp3"},  {"audio/mp4", "aac"},   {"audio/aac", "aac"},
                   {"audio/opus", "opus"}, {"audio/flac", "flac"}, {"audio/x-flac", "flac"},
                   {"audio/wav", "wav"},   {"audio/x-wav", "wav"}, {"audio/vnd.wave", "wav"}};
    const char *dot = strrchr(note->output, '.');
    size_t n = strcspn(note->content_type, "; ");

    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        if (strlen(formats[i].type) == n && memcmp(formats[i].type, note->content_type, n) == 0) {
            return formats[i].name;
        }
    }
    return dot != NULL && dot[1] != '\0' ? dot + 1 : "file";
}

/* "3.4 MB", decimal units, without floating point so that it is the same everywhere. */
static void size_text(int64_t bytes, char *dst, size_t cap)
{
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    int64_t unit = 1000;
    size_t u = 0;

    dst[0] = '\0';
    if (bytes < 0) {
        return;
    }
    if (bytes < 1000) {
        (void)snprintf(dst, cap, "%d bytes", (int)bytes);
        return;
    }
    while (u < 5 && bytes / unit >= 1000) {
        unit *= 1000;
        u++;
    }
    (void)snprintf(dst, cap, "%d.%d %s", (int)(bytes / unit), (int)(bytes % unit / (unit / 10)),
                   units[u]);
}

/* "1:05" or "1:02:05". */
static void duration_text(double seconds, char *dst, size_t cap)
{
    int s;

    dst[0] = '\0';
    if (!(seconds >= 0 && seconds < 1e9)) {
        return;
    }
    s = (int)(seconds + 0.5);
    if (s >= 3600) {
        (void)snprintf(dst, cap, "%d:%02d:%02d", s / 3600, s / 60 % 60, s % 60);
    } else {
        (void)snprintf(dst, cap, "%d:%02d", s / 60, s % 60);
    }
}

/* PUBLIC_URL/play/{token}/{output}; "" when the notification has no output. */
static int link_make(const note_t *note, const mail_frame_t *frame, char *dst, size_t cap,
                     media_err_t *ei)
{
    media_playtoken_t t = {.epoch = note->epoch, .exp_s = note->at_s + frame->link_ttl_s};
    char token[MEDIA_PLAY_TOKEN_MAX];
    size_t base = strlen(frame->public_url);
    ssize_t rc;

    dst[0] = '\0';
    if (note->output[0] == '\0') {
        return 0;
    }
    memcpy(t.media_id, note->media_id, MEDIA_UUID_LEN + 1);
    rc = media_playtoken_issue(frame->play_key, &t, token, sizeof(token), ei);
    if (rc < 0) {
        return (int)rc;
    }
    while (base > 0 && frame->public_url[base - 1] == '/') {
        base--;
    }
    if (snprintf(dst, cap, "%.*s/play/%s/%s", (int)base, frame->public_url, token, note->output) >=
        (int)cap) {
        return media_err_set(ei, MEDIA_E_TOOBIG, "MEDIA_PUBLIC_URL is too long");
    }
    return 0;
}

/* RFC 5322 wants a numeric zone where HTTP says GMT. */
static void date_text(int64_t unix_s, char *dst, size_t cap)
{
    char http[40];
    size_t n = media_http_date(unix_s, http, sizeof(http));

    (void)snprintf(dst, cap, "%.*s+0000", (int)(n >= 3 ? n - 3 : 0), http);
}

static void subject_text(const note_t *note, char *dst, size_t cap)
{
    if (note->event == NOTE_READY) {
        (void)snprintf(dst, cap, "Your %s is ready: %s", format_name(note), note->name);
    } else {
        (void)snprintf(dst, cap, "%s could not be converted", note->name);
    }
}

void mail_message_id(const mail_frame_t *frame, char dst[MAIL_ID_MAX])
{
    const char *at = strrchr(frame->from, '@');

    (void)snprintf(dst, MAIL_ID_MAX, "<%s@%.254s>", frame->job_id,
                   at != NULL ? at + 1 : "localhost");
}

static void add_headers(const note_t *note, const mail_frame_t *frame, media_buf_t *out)
{
    char subject[SUBJECT_MAX], date[64], id[MAIL_ID_MAX];

    subject_text(note, subject, sizeof(subject));
    date_text(frame->created_s, date, sizeof(date));
    mail_message_id(frame, id);
    /* addresses hold nothing that needs encoding (mime_address_valid) and must not be encoded */
    (void)media_buf_fmt(out, "From: %s\r\nTo: %s\r\n", frame->from, note->to);
    mime_header(out, "Subject", subject);
    (void)media_buf_fmt(out,
                        "Date: %s\r\nMessage-ID: %s\r\nAuto-Submitted: auto-generated\r\n"
                        "X-Media-Id: %s\r\nMIME-Version: 1.0\r\n"
                        "Content-Type: multipart/alternative; boundary=\"=_%s\"\r\n\r\n",
                        date, id, note->media_id, frame->job_id);
}

/* One alternative of the body. */
static int add_part(media_buf_t *out, const mail_frame_t *frame, const char *subtype,
                    const char *text, const template_var_t *vars, enum template_kind kind)
{
    media_buf_t body;
    int rc;

    media_buf_init(&body, MAIL_MAX);
    rc = template_render(&body, text, vars, kind);
    if (rc == 0) {
        /* "=_" in the boundary: quoted-printable text cannot contain it (RFC 2045 6.7) */
        (void)media_buf_fmt(out, "--=_%s\r\n", frame->job_id);
        mime_text_part(out, subtype, media_buf_view(&body));
        rc = media_buf_cstr(out, "\r\n");
    }
    media_buf_free(&body);
    return rc;
}

int mail_build(const note_t *note, const mail_frame_t *frame, media_buf_t *out, media_err_t *ei)
{
    char link[LINK_MAX], size[32], duration[32], expires[40];
    int ready = note->event == NOTE_READY;
    const template_var_t vars[] = {
        {"format", format_name(note)},
        {"name", note->name},
        {"title", note->title},
        {"fid", note->media_id},
        {"size", size},
        {"duration", duration},
        {"link", link},
        {"expires", expires},
        {"code", note->code},
        {"cause", note->detail[0] != '\0' ? note->detail : "the cause is not known"},
        {NULL, NULL}};
    int rc = link_make(note, frame, link, sizeof(link), ei);

    if (rc != 0) {
        return rc;
    }
    size_text(note->size, size, sizeof(size));
    duration_text(note->duration, duration, sizeof(duration));
    (void)media_http_date(note->at_s + frame->link_ttl_s, expires, sizeof(expires));
    add_headers(note, frame, out);
    rc = add_part(out, frame, "plain", ready ? template_ready_txt : template_failed_txt, vars,
                  TEMPLATE_TEXT);
    if (rc == 0) {
        rc = add_part(out, frame, "html", ready ? template_ready_html : template_failed_html, vars,
                      TEMPLATE_HTML);
    }
    if (rc == 0) {
        rc = media_buf_fmt(out, "--=_%s--\r\n", frame->job_id);
    }
    return rc != 0 ? media_err_set(ei, rc, "the mail could not be composed") : 0;
}
