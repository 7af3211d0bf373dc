#include "media/jobmsg.h"

#include <string.h>

#include "media/buf.h"
#include "media/json.h"

#define JOBMSG_VERSION 1

static const char *const queue_names[] = {
#define X(name, text) text,
    MEDIA_QUEUES(X)
#undef X
};

const char *media_queue_name(enum media_queue q)
{
    return (size_t)q < MEDIA_QUEUE_COUNT ? queue_names[q] : "unknown";
}

int media_queue_parse(media_str_t name)
{
    for (int i = 0; i < MEDIA_QUEUE_COUNT; i++) {
        if (media_str_eq(name, media_str(queue_names[i]))) {
            return i;
        }
    }
    return MEDIA_E_REJECT;
}

static void write_member(media_buf_t *b, const char *name, const char *value)
{
    if (value[0] != '\0') {
        media_buf_fmt(b, ",\"%s\":", name);
        media_buf_json(b, media_str(value));
    }
}

ssize_t media_jobmsg_write(const media_jobmsg_t *m, char *dst, size_t cap)
{
    media_buf_t b;
    if (!media_uuid_valid(media_str(m->job_id))) {
        return MEDIA_E_REJECT;
    }
    if (cap == 0) {
        return MEDIA_E_TOOBIG;
    }
    media_buf_init(&b, cap - 1);
    media_buf_fmt(&b, "{\"v\":%d", JOBMSG_VERSION);
    write_member(&b, "job_id", m->job_id);
    write_member(&b, "request_id", m->request_id);
    write_member(&b, "traceparent", m->traceparent);
    media_buf_cstr(&b, "}");
    ssize_t rc = b.failed;
    if (rc == 0) {
        memcpy(dst, b.p, b.len + 1);
        rc = (ssize_t)b.len;
    }
    media_buf_free(&b);
    return rc;
}

/* A string member into a fixed field; absent leaves it empty. */
static int read_member(const json_t *obj, const char *name, char *dst, size_t cap, media_err_t *ei)
{
    media_str_t s;
    int rc = media_json_str(obj, name, cap - 1, &s, ei);
    if (rc == MEDIA_E_GONE) {
        return 0;
    }
    if (rc == 0) {
        memcpy(dst, s.p, s.len);
        dst[s.len] = '\0';
    }
    return rc;
}

int media_jobmsg_read(media_str_t body, media_jobmsg_t *out, media_err_t *ei)
{
    static const char *const members[] = {"v", "job_id", "request_id", "traceparent", NULL};
    json_t *obj = NULL;
    int64_t v;
    memset(out, 0, sizeof(*out));
    int rc = media_json_parse(body, &obj, ei);
    if (rc != 0) {
        return rc == MEDIA_E_NOMEM ? rc : MEDIA_E_REJECT;
    }
    if (media_json_int(obj, "v", JOBMSG_VERSION, JOBMSG_VERSION, &v, ei) != 0 ||
        media_json_only(obj, members, ei) != 0 ||
        read_member(obj, "job_id", out->job_id, sizeof(out->job_id), ei) != 0 ||
        read_member(obj, "request_id", out->request_id, sizeof(out->request_id), ei) != 0 ||
        read_member(obj, "traceparent", out->traceparent, sizeof(out->traceparent), ei) != 0) {
        rc = MEDIA_E_REJECT;
    } else if (!media_uuid_valid(media_str(out->job_id))) {
        rc = media_err_set(ei, MEDIA_E_REJECT, "job_id is missing or not a UUID");
    }
    json_decref(obj);
    return rc;
}
