/* Incremental reader of one HTTP/1.1 response (RFC 9112).
 *
 *   HEAD --> BODY_LENGTH ----------------------------------------> DONE
 *        --> BODY_CLOSE ------------------ eof ------------------> DONE
 *        --> SIZE -> SIZE_LF -> CHUNK -> CHUNK_CR -> CHUNK_LF -> SIZE ...
 *              last chunk: TRAILER (line by line) ---------------> DONE
 *   any  --> FAILED: sticky, every later call says MEDIA_E_REJECT
 *
 * The head is copied, since its bytes may arrive in pieces and its values must outlive them; body
 * bytes are never copied. */
#include <stdint.h>
#include <string.h>

#include "media/http1.h"

#define CHUNK_LINE_MAX 256 /* a chunk's size line with its extensions */
#define CHUNK_DIGITS_MAX 15
#define INTERIM_MAX 8 /* 1xx heads before the final one */
#define VERSION "HTTP/1."

enum state {
    HEAD,
    BODY_LENGTH,
    BODY_CLOSE,
    SIZE,     /* digits of a chunk's size */
    SIZE_EXT, /* the rest of its line */
    SIZE_LF,
    CHUNK,
    CHUNK_CR,
    CHUNK_LF,
    TRAILER, /* at the start of a line */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    TRAILER_END, /* at the LF of the empty line */
    DONE,
    FAILED
};

/* What the framing headers said. */
typedef struct {
    int has_length;
    int has_coding;
    int close;
    int minor;
} framing_t;

void media_http1_init(media_http1_t *h, int head_request)
{
    /* the head's 16 KiB need no clearing: this runs once per request on the event loop */
    memset(h, 0, offsetof(media_http1_t, head));
    h->head_request = head_request;
    h->content_length = -1;
    h->state = HEAD;
}

int media_http1_begun(const media_http1_t *h)
{
    return h->head_done || h->head_len != 0;
}

static int is_token(media_str_t s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c <= 0x20 || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c) != NULL) {
            return 0;
        }
    }
    return s.len != 0;
}

/* No control characters but the tab; bytes above 0x7f pass (obs-text). */
static int is_field_value(media_str_t s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return 0;
        }
    }
    return 1;
}

/* A list header's members, case-insensitively. */
static int list_has(media_str_t list, const char *member)
{
    while (list.len != 0) {
        const char *comma = memchr(list.p, ',', list.len);
        size_t n = comma == NULL ? list.len : (size_t)(comma - list.p);

        if (media_str_ieq(media_str_trim((media_str_t){list.p, n}), media_str(member))) {
            return 1;
        }
        n += comma != NULL;
        list.p += n;
        list.len -= n;
    }
    return 0;
}

static int parse_status(media_http1_t *h, media_str_t line, framing_t *f, media_err_t *ei)
{
    int status = 0;

    /* "HTTP/1.1 200" and, if anything follows, a space and the reason */
    if (line.len < 12 || memcmp(line.p, VERSION, 7) != 0 ||
        (line.p[7] != '0' && line.p[7] != '1') || line.p[8] != ' ' ||
        (line.len > 12 && line.p[12] != ' ') || !is_field_value(line)) {
        return media_err_set(ei, MEDIA_E_REJECT, "bad status line");
    }
    for (int i = 9; i < 12; i++) {
        if (line.p[i] < '0' || line.p[i] > '9') {
            return media_err_set(ei, MEDIA_E_REJECT, "bad status line");
        }
        status = status * 10 + line.p[i] - '0';
    }
    if (status < 100 || status > 599 || status == 101) {
        return media_err_set(ei, MEDIA_E_REJECT, "status %d is not possible here", status);
    }
    h->status = status;
    f->minor = line.p[7] - '0';
    return 0;
}

static int note_framing(media_http1_t *h, const media_http1_header_t *hd, framing_t *f,
                        media_err_t *ei)
{
    int64_t n;

    if (media_str_ieq(hd->name, MEDIA_STR("content-length"))) {
        if (media_str_to_i64(hd->value, &n) != 0) {
            return media_err_set(ei, MEDIA_E_REJECT, "bad Content-Length");
        }
        if (f->has_length && n != h->content_length) {
            return media_err_set(ei, MEDIA_E_REJECT, "two different Content-Length headers");
        }
        f->has_length = 1;
        h->content_length = n;
    } else if (media_str_ieq(hd->name, MEDIA_STR("transfer-encoding"))) {
        if (f->has_coding || !media_str_ieq(hd->value, MEDIA_STR("chunked"))) {
            return media_err_set(ei, MEDIA_E_REJECT, "a Transfer-Encoding other than chunked");
        }
        f->has_coding = 1;
    } else if (media_str_ieq(hd->name, MEDIA_STR("connection"))) {
        f->close |= list_has(hd->value, "close");
    }
    return 0;
}

static int parse_header(media_http1_t *h, media_str_t line, framing_t *f, media_err_t *ei)
{
    const char *colon = memchr(line.p, ':', line.len);
    media_http1_header_t *hd;

    if (line.p[0] == ' ' || line.p[0] == '\t') {
        return media_err_set(ei, MEDIA_E_REJECT, "a folded header line");
    }
    if (h->nheaders == MEDIA_HTTP1_HEADERS_MAX) {
        return media_err_set(ei, MEDIA_E_TOOBIG, "more than %d headers", MEDIA_HTTP1_HEADERS_MAX);
    }
    if (colon == NULL) {
        return media_err_set(ei, MEDIA_E_REJECT, "a header line without a colon");
    }
    hd = &h->headers[h->nheaders];
    hd->name = (media_str_t){line.p, (size_t)(colon - line.p)};
    hd->value = media_str_trim((media_str_t){colon + 1, line.len - hd->name.len - 1});
    if (!is_token(hd->name) || !is_field_value(hd->value)) {
        return media_err_set(ei, MEDIA_E_REJECT, "a bad character in a header");
    }
    h->nheaders++;
    return note_framing(h, hd, f, ei);
}

/* Decides where the body ends (RFC 9112 6.3). */
static int frame_body(media_http1_t *h, const framing_t *f, media_err_t *ei)
{
    int no_body = h->head_request || h->status == 204 || h->status == 304;

    if (f->has_coding && f->has_length) {
        return media_err_set(ei, MEDIA_E_REJECT, "both Content-Length and Transfer-Encoding");
    }
    if (f->has_coding && f->minor == 0) {
        return media_err_set(ei, MEDIA_E_REJECT, "Transfer-Encoding in HTTP/1.0");
    }
    h->keepalive = f->minor == 1 && !f->close;
    if (no_body) {
        /* a peer that announces a body for a 204 may send it, too: do not reuse its connection */
        if (h->status == 204 && !h->head_request) {
            h->keepalive &= !f->has_coding && h->content_length <= 0;
            h->content_length = 0;
        }
        h->state = DONE;
    } else if (f->has_coding) {
        h->state = SIZE;
    } else if (f->has_length) {
        h->left = h->content_length;
        h->state = h->left == 0 ? DONE : BODY_LENGTH;
    } else {
        h->keepalive = 0;
        h->state = BODY_CLOSE;
    }
    h->head_done = 1;
    h->done = h->state == DONE;
    return 0;
}

/* The whole head lies in h->head. */
static int parse_head(media_http1_t *h, media_err_t *ei)
{
    framing_t f = {0};
    const char *p = h->head, *end = h->head + h->head_len - 2; /* at the empty line */
    int rc;

    for (int first = 1; p < end; first = 0) {
        const char *lf = memchr(p, '\n', (size_t)(end - p));
        media_str_t line = {p, (size_t)(lf - p) - 1};

        rc = first ? parse_status(h, line, &f, ei) : parse_header(h, line, &f, ei);
        if (rc != 0) {
            return rc;
        }
        p = lf + 1;
    }
    if (h->status >= 200) {
        return frame_body(h, &f, ei);
    }
    if (++h->interim > INTERIM_MAX) {
        return media_err_set(ei, MEDIA_E_TOOBIG, "more than %d interim responses", INTERIM_MAX);
    }
    h->head_len = 0;
    h->line_len = 0;
    h->nheaders = 0;
    h->status = 0;
    h->content_length = -1;
    return 0;
}

/* Copies head bytes until the empty line. */
static int feed_head(media_http1_t *h, const char *p, size_t n, size_t *used, media_err_t *ei)
{
    size_t i;

    for (i = 0; i < n && h->state == HEAD; i++) {
        if (h->head_len == MEDIA_HTTP1_HEAD_MAX) {
            return media_err_set(ei, MEDIA_E_TOOBIG, "a head larger than %d bytes",
                                 MEDIA_HTTP1_HEAD_MAX);
        }
        h->head[h->head_len] = p[i];
        if (h->head_len < sizeof(VERSION) - 1 && p[i] != VERSION[h->head_len]) {
            return media_err_set(ei, MEDIA_E_REJECT, "this is not HTTP/1.1");
        }
        h->head_len++;
        h->line_len++;
        if (p[i] != '\n') {
            continue;
        }
        if (h->line_len < 2 || h->head[h->head_len - 2] != '\r') {
            return media_err_set(ei, MEDIA_E_REJECT, "a line that ends in a bare LF");
        }
        if (h->line_len == 2) {
            int rc = parse_head(h, ei);

            if (rc != 0) {
                return rc;
            }
        }
        h->line_len = 0;
    }
    *used = i;
    return 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte of a chunk's size line. line_len counts the line's bytes. */
static int feed_size(media_http1_t *h, char c, media_err_t *ei)
{
    if (++h->line_len > CHUNK_LINE_MAX) {
        return media_err_set(ei, MEDIA_E_TOOBIG, "a chunk size line larger than %d bytes",
                             CHUNK_LINE_MAX);
    }
    if (h->state == SIZE && hex_value(c) >= 0) {
        if (h->line_len > CHUNK_DIGITS_MAX) {
            return media_err_set(ei, MEDIA_E_REJECT, "a chunk size of more than %d digits",
                                 CHUNK_DIGITS_MAX);
        }
        h->left = h->left * 16 + hex_value(c);
        return 0;
    }
    if (h->line_len == 1) {
        return media_err_set(ei, MEDIA_E_REJECT, "bad chunk size");
    }
    if (c == '\r') {
        h->state = SIZE_LF;
    } else if (h->state == SIZE && c != ';') {
        return media_err_set(ei, MEDIA_E_REJECT, "bad chunk size");
    } else if (!is_field_value((media_str_t){&c, 1})) {
        return media_err_set(ei, MEDIA_E_REJECT, "a bad character in a chunk extension");
    } else {
        h->state = SIZE_EXT;
    }
    return 0;
}

/* One byte of the trailers, which are checked and dropped. `left` counts them all. */
static int feed_trailer(media_http1_t *h, char c, media_err_t *ei)
{
    if (++h->left > MEDIA_HTTP1_HEAD_MAX) {
        return media_err_set(ei, MEDIA_E_TOOBIG, "trailers larger than %d bytes",
                             MEDIA_HTTP1_HEAD_MAX);
    }
    switch (h->state) {
    case TRAILER:
        h->state = c == '\r' ? TRAILER_END : TRAILER_NAME;
        break;
    case TRAILER_NAME:
        h->state = c == ':' ? TRAILER_VALUE : TRAILER_NAME;
        break;
    case TRAILER_VALUE:
        h->state = c == '\r' ? TRAILER_LF : TRAILER_VALUE;
        break;
    case TRAILER_LF:
        h->state = c == '\n' ? TRAILER : FAILED;
        break;
    default:
        h->state = c == '\n' ? DONE : FAILED;
        break;
    }
    if (h->state == FAILED || (h->state == TRAILER_NAME && !is_token((media_str_t){&c, 1})) ||
        (h->state == TRAILER_VALUE && !is_field_value((media_str_t){&c, 1}))) {
        return media_err_set(ei, MEDIA_E_REJECT, "a bad trailer");
    }
    return 0;
}

/* One byte of the chunked coding outside the chunks' data. */
static int feed_coding(media_http1_t *h, char c, media_err_t *ei)
{
    switch (h->state) {
    case SIZE:
    case SIZE_EXT:
        return feed_size(h, c, ei);
    case SIZE_LF:
    case CHUNK_LF:
        if (c != '\n') {
            break;
        }
        if (h->state == CHUNK_LF) {
            h->state = SIZE;
        } else {
            h->state = h->left == 0 ? TRAILER : CHUNK;
        }
        h->line_len = 0;
        return 0;
    case CHUNK_CR:
        if (c != '\r') {
            break;
        }
        h->state = CHUNK_LF;
        return 0;
    default:
        return feed_trailer(h, c, ei);
    }
    return media_err_set(ei, MEDIA_E_REJECT, "a chunk that does not end in CRLF");
}

/* A run of body bytes. */
static size_t feed_body(media_http1_t *h, const char *p, size_t n, media_str_t *body)
{
    if (h->state != BODY_CLOSE) {
        n = (uint64_t)h->left < n ? (size_t)h->left : n;
        h->left -= (int64_t)n;
        if (h->left == 0) {
            h->state = h->state == CHUNK ? CHUNK_CR : DONE;
        }
    }
    *body = (media_str_t){p, n};
    return n;
}

ssize_t media_http1_feed(media_http1_t *h, const char *p, size_t n, media_str_t *body,
                         media_err_t *ei)
{
    size_t i = 0, used;
    int rc = 0;

    *body = MEDIA_STR_NULL;
    while (i < n && rc == 0 && body->len == 0 && h->state != DONE) {
        switch (h->state) {
        case HEAD:
            used = 0;
            rc = feed_head(h, p + i, n - i, &used, ei);
            i += used;
            break;
        case BODY_LENGTH:
        case BODY_CLOSE:
        case CHUNK:
            i += feed_body(h, p + i, n - i, body);
            break;
        case FAILED:
            rc = media_err_set(ei, MEDIA_E_REJECT, "the response was refused before");
            break;
        default:
            rc = feed_coding(h, p[i++], ei);
            break;
        }
    }
    if (rc != 0) {
        h->state = FAILED;
        h->keepalive = 0;
        return rc;
    }
    h->done = h->state == DONE;
    return (ssize_t)i;
}

int media_http1_eof(media_http1_t *h, media_err_t *ei)
{
    if (h->state == BODY_CLOSE) {
        h->state = DONE;
        h->done = 1;
    }
    h->keepalive = 0;
    if (h->done) {
        return 0;
    }
    return media_err_set(ei, MEDIA_E_REJECT, "the connection was closed in the middle of %s",
                         h->head_done ? "the body" : "the head");
}

media_str_t media_http1_header(const media_http1_t *h, const char *name)
{
    media_str_t want = media_str(name);

    for (size_t i = 0; i < h->nheaders; i++) {
        if (media_str_ieq(h->headers[i].name, want)) {
            return h->headers[i].value;
        }
    }
    return MEDIA_STR_NULL;
}
