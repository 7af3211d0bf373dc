/* http1: one response read whole and in pieces must give the same result. Byte 0: 1 = HEAD request;
 * byte 1 seeds the cuts. */
#include "media/http1.h"
#include "fuzz.h"

typedef struct {
    media_http1_t h;
    media_err_t ei;
    char *body;
    size_t body_len;
    size_t used;
    int rc;
    int eof;
} run_t;

static void feed_piece(run_t *r, const char *p, size_t n)
{
    media_str_t body;
    size_t at = 0;

    while (at < n && !r->h.done && r->rc == 0) {
        ssize_t k = media_http1_feed(&r->h, p + at, n - at, &body, &r->ei);

        if (k < 0) {
            r->rc = (int)k;
            return;
        }
        MUST(k > 0 && (size_t)k <= n - at);
        if (body.len != 0) {
            MUST(body.p >= p + at && body.p + body.len <= p + at + k);
            memcpy(r->body + r->body_len, body.p, body.len);
            r->body_len += body.len;
        }
        at += (size_t)k;
        r->used += (size_t)k;
    }
}

/* seed 0: one piece. */
static run_t *run(const char *p, size_t n, int head_request, unsigned seed)
{
    run_t *r = calloc(1, sizeof(*r));

    r->body = malloc(n + 1);
    media_http1_init(&r->h, head_request);
    for (size_t at = 0; at < n;) {
        size_t piece = n - at;
        char *own;

        if (seed != 0) {
            seed = seed * 1103515245u + 12345u;
            piece = 1 + (seed >> 16) % (seed & 0x100 ? 4 : 64);
            piece = piece < n - at ? piece : n - at;
        }
        own = malloc(piece);
        memcpy(own, p + at, piece);
        feed_piece(r, own, piece);
        free(own);
        at += piece;
    }
    r->eof = media_http1_eof(&r->h, NULL);
    return r;
}

static int same_header(const media_http1_header_t *a, const media_http1_header_t *b)
{
    return media_str_eq(a->name, b->name) && media_str_eq(a->value, b->value);
}

static void compare(const run_t *a, const run_t *b)
{
    MUST(a->rc == b->rc && a->eof == b->eof && strcmp(a->ei.text, b->ei.text) == 0);
    MUST(a->body_len == b->body_len && memcmp(a->body, b->body, a->body_len) == 0);
    MUST(a->h.done == b->h.done && a->h.head_done == b->h.head_done);
    MUST(a->h.status == b->h.status && a->h.nheaders == b->h.nheaders);
    MUST(a->h.content_length == b->h.content_length);
    MUST(a->rc != 0 || a->used == b->used);
    for (size_t i = 0; a->h.head_done && i < a->h.nheaders; i++) {
        MUST(same_header(&a->h.headers[i], &b->h.headers[i]));
    }
    /* what the headers say must agree with what was read */
    MUST(a->rc != 0 || a->eof != 0 || a->body_len == 0 || a->h.content_length < 0 ||
         (int64_t)a->body_len == a->h.content_length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    run_t *whole, *cut;

    if (size < 2 || size > 1 << 17) {
        return 0;
    }
    whole = run((const char *)data + 2, size - 2, data[0] & 1, 0);
    cut = run((const char *)data + 2, size - 2, data[0] & 1, data[1] + 1u);
    compare(whole, cut);
    free(whole->body);
    free(whole);
    free(cut->body);
    free(cut);
    return 0;
}
