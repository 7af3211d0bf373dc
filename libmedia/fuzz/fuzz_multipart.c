/* multipart: a form read whole and in pieces gives the same events; and any bytes sent as a file
 * come out as they went in. Byte 0 seeds the cuts, bit 7 of it chooses which of the two is tried.
 */
#include "media/multipart.h"
#include "fuzz.h"

typedef struct {
    char *log; /* the events one after another, file data joined */
    size_t len;
    size_t cap;
    size_t file_at; /* where the file's bytes begin and end in it */
    size_t file_end;
    media_err_t ei;
    int rc;
    int eof;
} run_t;

static void put(run_t *r, const void *p, size_t n)
{
    if (r->len + n > r->cap) {
        r->cap = 2 * (r->len + n);
        r->log = realloc(r->log, r->cap);
    }
    if (n != 0) {
        memcpy(r->log + r->len, p, n);
    }
    r->len += n;
}

static void put_str(run_t *r, media_str_t s)
{
    put(r, &s.len, sizeof(s.len));
    put(r, s.p, s.len);
}

static void note(run_t *r, const media_mp_event_t *ev)
{
    if (ev->type == MEDIA_MP_NEED) {
        return;
    }
    if (ev->type == MEDIA_MP_FILE_DATA) {
        MUST(ev->data.len != 0);
        put(r, ev->data.p, ev->data.len);
        return;
    }
    if (ev->type == MEDIA_MP_FILE_END) {
        r->file_end = r->len;
    }
    put(r, &ev->type, sizeof(ev->type));
    put_str(r, ev->name);
    put_str(r, ev->value);
    put_str(r, ev->filename);
    put_str(r, ev->content_type);
    put_str(r, ev->sha256);
    if (ev->type == MEDIA_MP_FILE_BEGIN) {
        r->file_at = r->len;
    }
}

static void feed_piece(run_t *r, media_multipart_t *m, const char *p, size_t n)
{
    media_mp_event_t ev;
    size_t at = 0, used;
    int idle = 0;

    do {
        r->rc = media_multipart_next(m, p + at, n - at, &used, &ev, &r->ei);
        if (r->rc != 0) {
            return;
        }
        idle = used == 0 ? idle + 1 : 0;
        MUST(used <= n - at && idle <= 3);
        at += used;
        note(r, &ev);
    } while (ev.type != MEDIA_MP_NEED);
    MUST(at == n);
}

/* seed 0: one piece. */
static run_t run(media_str_t boundary, const char *p, size_t n, unsigned seed)
{
    run_t r = {0};
    media_multipart_t *m;

    MUST(media_multipart_new(boundary, &m) == 0);
    for (size_t at = 0; at < n && r.rc == 0;) {
        size_t piece = n - at;
        char *own;

        if (seed != 0) {
            seed = seed * 1103515245u + 12345u;
            piece = 1 + (seed >> 16) % (seed & 0x100 ? 4 : 64);
            piece = piece < n - at ? piece : n - at;
        }
        own = malloc(piece);
        memcpy(own, p + at, piece);
        feed_piece(&r, m, own, piece);
        free(own);
        at += piece;
    }
    r.eof = media_multipart_eof(m, NULL);
    media_multipart_free(m);
    return r;
}

static void compare(run_t *a, run_t *b)
{
    MUST(a->rc == b->rc && a->eof == b->eof && strcmp(a->ei.text, b->ei.text) == 0);
    MUST(a->len == b->len && (a->len == 0 || memcmp(a->log, b->log, a->len) == 0));
    free(a->log);
    free(b->log);
}

static void try_form(const char *p, size_t n, unsigned seed)
{
    run_t whole = run(MEDIA_STR("B"), p, n, 0), cut = run(MEDIA_STR("B"), p, n, seed);

    compare(&whole, &cut);
}

static void try_file(const char *p, size_t n, unsigned seed)
{
    static const char head[] = "--Bo\r\nContent-Disposition: form-data; name=f; filename=x\r\n\r\n";
    static const char tail[] = "\r\n--Bo--\r\n";
    size_t h = sizeof(head) - 1, t = sizeof(tail) - 1;
    char *form = malloc(h + n + t);
    run_t r;

    memcpy(form, head, h);
    memcpy(form + h, p, n);
    memcpy(form + h + n, tail, t);
    /* a sender must choose a boundary that the file does not hold */
    for (size_t i = h - 2; i + 6 <= h + n + 6; i++) {
        if (i != h + n && memcmp(form + i, tail, 6) == 0) {
            free(form);
            return;
        }
    }
    r = run(MEDIA_STR("Bo"), form, h + n + t, seed);
    MUST(r.rc == 0 && r.eof == 0 && r.file_end - r.file_at == n);
    MUST(memcmp(r.log + r.file_at, p, n) == 0);
    free(r.log);
    free(form);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char boundary[MEDIA_MP_BOUNDARY_MAX + 1];

    if (size < 1 || size > 1 << 17) {
        return 0;
    }
    if (data[0] & 0x80) {
        try_file((const char *)data + 1, size - 1, data[0] & 0x7f);
    } else {
        try_form((const char *)data + 1, size - 1, data[0] + 1u);
    }
    if (media_multipart_boundary((media_str_t){(const char *)data + 1, size - 1}, boundary,
                                 sizeof(boundary), NULL) == 0) {
        media_multipart_t *m;

        MUST(media_multipart_new(media_str(boundary), &m) == 0);
        media_multipart_free(m);
    }
    return 0;
}
