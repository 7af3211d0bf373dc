/* Incremental reader of multipart/form-data (RFC 7578, RFC 2046 5.1).
 *
 *   PREAMBLE --delimiter--> AFTER --CRLF--> HEAD --empty line--> FIELD or FILE --delimiter--> AFTER
 * ... AFTER --"--"--> EPILOGUE              (FILE_END between FILE and AFTER) any --> FAILED:
 * sticky
 *
 * Bodies are searched for the delimiter CRLF "--" boundary with memmem. When a buffer ends within
 * what may be a delimiter, only the number of its bytes is kept (`hold`): they equal the
 * delimiter's beginning, so if they turn out to be data they are reported from there. A delimiter
 * holds one CR, its first byte, so two candidates never overlap. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memmem, memrchr */
#endif
#include <stdlib.h>
#include <string.h>

#include "media/multipart.h"
#include "param.h"

#define DELIM_MAX (4 + MEDIA_MP_BOUNDARY_MAX)

enum state {
    PREAMBLE,
    AFTER, /* behind a delimiter */
    AFTER_DASH,
    AFTER_PADDING,
    AFTER_LF,
    HEAD,
    FIELD,
    FILE_BODY,
    FILE_ENDED, /* the FILE_END event is due */
    EPILOGUE,
    FAILED
};

struct media_multipart_s {
    enum state state;
    size_t delim_len;
    size_t hold;      /* bytes of the delimiter matched at the end of the input so far */
    int hold_virtual; /* the held CRLF belongs to the head or to nothing: it is no data */
    size_t head_len;
    size_t line_len;
    size_t name_len;
    size_t field_len;
    int nfields;
    int has_file;
    char delim[DELIM_MAX];
    char head[MEDIA_MP_HEAD_MAX];
    char name[MEDIA_MP_NAME_MAX + 1];
    char filename[MEDIA_MP_FILENAME_MAX + 1];
    char field[MEDIA_MP_FIELD_MAX];
};

/* What one part's head said. */
typedef struct {
    media_str_t disposition;
    media_str_t content_type;
    media_str_t encoding;
    media_str_t sha256;
} part_head_t;

static int is_boundary(media_str_t b)
{
    if (b.len == 0 || b.len > MEDIA_MP_BOUNDARY_MAX || b.p[b.len - 1] == ' ') {
        return 0;
    }
    for (size_t i = 0; i < b.len; i++) {
        char c = b.p[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            (c == '\0' || strchr("'()+_,-./:=? ", c) == NULL)) {
            return 0;
        }
    }
    return 1;
}

int media_multipart_boundary(media_str_t content_type, char *dst, size_t cap, media_err_t *ei)
{
    media_str_t type = content_type;
    param_t p, found = {.quoted = 0};
    const char *semi = type.len == 0 ? NULL : memchr(type.p, ';', type.len);
    ssize_t n;
    int rc;

    if (semi != NULL) {
        type.len = (size_t)(semi - type.p);
    }
    if (!media_str_ieq(media_str_trim(type), MEDIA_STR("multipart/form-data"))) {
        return media_err_set(ei, MEDIA_E_GONE, "the body is not multipart/form-data");
    }
    content_type.p += type.len;
    content_type.len -= type.len;
    while ((rc = param_next(&content_type, &p)) == 1) {
        if (media_str_ieq(p.name, MEDIA_STR("boundary"))) {
            if (found.name.len != 0) {
                return media_err_set(ei, MEDIA_E_REJECT, "two boundary parameters");
            }
            found = p;
        }
    }
    if (rc < 0 || found.name.len == 0) {
        return media_err_set(ei, MEDIA_E_REJECT, "multipart/form-data without a good boundary");
    }
    n = param_unquote(&found, dst, cap);
    if (n < 0 || !is_boundary((media_str_t){dst, (size_t)n})) {
        return media_err_set(ei, MEDIA_E_REJECT, "a boundary is 1 to %d characters of RFC 2046",
                             MEDIA_MP_BOUNDARY_MAX);
    }
    return 0;
}

int media_multipart_new(media_str_t boundary, media_multipart_t **out)
{
    media_multipart_t *m;

    *out = NULL;
    if (!is_boundary(boundary)) {
        return MEDIA_E_REJECT;
    }
    m = malloc(sizeof(*m));
    if (m == NULL) {
        return MEDIA_E_NOMEM;
    }
    memset(m, 0, offsetof(media_multipart_t, delim));
    memcpy(m->delim, "\r\n--", 4);
    memcpy(m->delim + 4, boundary.p, boundary.len);
    m->delim_len = 4 + boundary.len;
    /* the first delimiter may open the body: as if its CRLF had been seen */
    m->state = PREAMBLE;
    m->hold = 2;
    m->hold_virtual = 1;
    *out = m;
    return 0;
}

void media_multipart_free(media_multipart_t *m)
{
    free(m);
}

/* Looks for the delimiter. *run = bytes in front of it, which are data; returns 1 when it was found
 * (and taken). A run of held bytes takes nothing from the input. */
static int scan(media_multipart_t *m, const char *p, size_t n, size_t *used, media_str_t *run)
{
    const char *q;
    size_t k;

    *used = 0;
    *run = MEDIA_STR_NULL;
    if (n == 0) {
        return 0;
    }
    if (m->hold != 0) {
        k = m->delim_len - m->hold < n ? m->delim_len - m->hold : n;
        if (memcmp(m->delim + m->hold, p, k) == 0) {
            m->hold += k;
            *used = k;
            if (m->hold < m->delim_len) {
                return 0;
            }
            m->hold = 0;
            m->hold_virtual = 0;
            return 1;
        }
        k = m->hold_virtual ? 2 : 0;
        *run = (media_str_t){m->delim + k, m->hold - k};
        m->hold = 0;
        m->hold_virtual = 0;
        if (run->len != 0) {
            return 0;
        }
    }
    m->hold_virtual = 0;
    q = memmem(p, n, m->delim, m->delim_len);
    if (q != NULL) {
        *run = (media_str_t){p, (size_t)(q - p)};
        *used = run->len + m->delim_len;
        return 1;
    }
    *used = n;
    k = n < m->delim_len - 1 ? n : m->delim_len - 1;
    q = memrchr(p + n - k, '\r', k);
    if (q != NULL && memcmp(q, m->delim, (size_t)(p + n - q)) == 0) {
        m->hold = (size_t)(p + n - q);
        n -= m->hold;
    }
    *run = (media_str_t){p, n};
    return 0;
}

/* Browsers escape three characters of names by percent (WHATWG HTML, multipart/form-data); others
 * stay, since "100%25.mp4" may be just that. Works in place. */
static size_t unescape_name(char *s, size_t n)
{
    size_t o = 0;

    for (size_t i = 0; i < n; i++, o++) {
        s[o] = s[i];
        if (s[i] != '%' || n - i < 3) {
            continue;
        }
        if (memcmp(s + i, "%22", 3) == 0) {
            s[o] = '"';
        } else if (media_str_ieq((media_str_t){s + i, 3}, MEDIA_STR("%0d"))) {
            s[o] = '\r';
        } else if (media_str_ieq((media_str_t){s + i, 3}, MEDIA_STR("%0a"))) {
            s[o] = '\n';
        } else {
            continue;
        }
        i += 2;
    }
    s[o] = '\0';
    return o;
}

static int read_param(const param_t *p, const char *what, char *dst, size_t cap, size_t *len,
                      media_err_t *ei)
{
    ssize_t n = param_unquote(p, dst, cap);

    if (n < 0) {
        return media_err_set(ei, MEDIA_E_TOOBIG, "a %s longer than %zu bytes", what, cap - 1);
    }
    *len = unescape_name(dst, (size_t)n);
    return 0;
}

/* name, filename and filename* of a Content-Disposition. *file: 1 when a file name was given. */
static int read_disposition(media_multipart_t *m, media_str_t v, int *file, media_str_t *filename,
                            media_err_t *ei)
{
    param_t p, name = {.quoted = 0}, plain = {.quoted = 0}, ext = {.quoted = 0}, *to;
    size_t len = 0;
    ssize_t n;
    int rc;

    if (!media_str_ieq(param_token(&v), MEDIA_STR("form-data"))) {
        return media_err_set(ei, MEDIA_E_REJECT, "a part without Content-Disposition: form-data");
    }
    while ((rc = param_next(&v, &p)) == 1) {
        to = media_str_ieq(p.name, MEDIA_STR("name"))        ? &name
             : media_str_ieq(p.name, MEDIA_STR("filename"))  ? &plain
             : media_str_ieq(p.name, MEDIA_STR("filename*")) ? &ext
                                                             : NULL;
        if (to != NULL && to->name.len != 0) {
            return media_err_set(ei, MEDIA_E_REJECT, "a parameter of Content-Disposition twice");
        }
        if (to != NULL) {
            *to = p;
        }
    }
    if (rc < 0 || name.name.len == 0) {
        return media_err_set(ei, MEDIA_E_REJECT, "a part without a good name");
    }
    rc = read_param(&name, "field name", m->name, sizeof(m->name), &m->name_len, ei);
    *file = plain.name.len != 0 || ext.name.len != 0;
    if (rc != 0 || !*file) {
        return rc;
    }
    n = ext.name.len != 0 ? param_ext_decode(ext.value, m->filename, sizeof(m->filename))
                          : MEDIA_E_REJECT;
    if (n == MEDIA_E_TOOBIG) {
        return media_err_set(ei, MEDIA_E_TOOBIG, "a file name longer than %d bytes",
                             MEDIA_MP_FILENAME_MAX);
    }
    if (n < 0 && plain.name.len == 0) {
        return media_err_set(ei, MEDIA_E_REJECT, "a filename* that is not UTF-8 as in RFC 8187");
    }
    len = n < 0 ? 0 : (size_t)n;
    if (n < 0) {
        rc = read_param(&plain, "file name", m->filename, sizeof(m->filename), &len, ei);
    }
    *filename = (media_str_t){m->filename, len};
    return rc;
}

static int read_line(media_str_t line, part_head_t *h, media_err_t *ei)
{
    const char *colon = memchr(line.p, ':', line.len);
    media_str_t name, value, *to = NULL;

    if (line.p[0] == ' ' || line.p[0] == '\t') {
        return media_err_set(ei, MEDIA_E_REJECT, "a folded header line in a part");
    }
    if (colon == NULL || colon == line.p) {
        return media_err_set(ei, MEDIA_E_REJECT, "a header line of a part without a name");
    }
    name = (media_str_t){line.p, (size_t)(colon - line.p)};
    value = media_str_trim((media_str_t){colon + 1, line.len - name.len - 1});
    for (size_t i = 0; i < line.len; i++) {
        if (((unsigned char)line.p[i] < 0x20 && line.p[i] != '\t') || line.p[i] == 0x7f) {
            return media_err_set(ei, MEDIA_E_REJECT, "a control character in a part's header");
        }
    }
    if (media_str_ieq(name, MEDIA_STR("content-disposition"))) {
        to = &h->disposition;
    } else if (media_str_ieq(name, MEDIA_STR("content-type"))) {
        to = &h->content_type;
    } else if (media_str_ieq(name, MEDIA_STR("content-transfer-encoding"))) {
        to = &h->encoding;
    } else if (media_str_ieq(name, MEDIA_STR("sha256"))) {
        to = &h->sha256;
    }
    if (to != NULL && to->p != NULL) {
        return media_err_set(ei, MEDIA_E_REJECT, "a header of a part twice");
    }
    if (to != NULL) {
        *to = value;
    }
    return 0;
}

/* The part's whole head lies in m->head: decides what the part is. */
static int read_head(media_multipart_t *m, media_mp_event_t *ev, media_err_t *ei)
{
    part_head_t h = {.disposition = {NULL, 0}};
    const char *p = m->head, *end = m->head + m->head_len - 2, *lf;
    int rc, file = 0;

    for (; p < end; p = lf + 1) {
        lf = memchr(p, '\n', (size_t)(end - p));
        rc = read_line((media_str_t){p, (size_t)(lf - p) - 1}, &h, ei);
        if (rc != 0) {
            return rc;
        }
    }
    if (h.encoding.len != 0 && !media_str_ieq(h.encoding, MEDIA_STR("binary")) &&
        !media_str_ieq(h.encoding, MEDIA_STR("8bit")) &&
        !media_str_ieq(h.encoding, MEDIA_STR("7bit"))) {
        return media_err_set(ei, MEDIA_E_REJECT, "a part with a Content-Transfer-Encoding");
    }
    rc = read_disposition(m, h.disposition, &file, &ev->filename, ei);
    if (rc != 0) {
        return rc;
    }
    /* the empty line may be the next delimiter's CRLF as well (a part without a body) */
    m->hold = 2;
    m->hold_virtual = 1;
    m->field_len = 0;
    m->state = file ? FILE_BODY : FIELD;
    if (file && m->has_file) {
        return media_err_set(ei, MEDIA_E_REJECT, MEDIA_MP_SECOND_FILE);
    }
    if (!file && ++m->nfields > MEDIA_MP_FIELDS_MAX) {
        return media_err_set(ei, MEDIA_E_TOOBIG, "more than %d fields", MEDIA_MP_FIELDS_MAX);
    }
    if (file) {
        m->has_file = 1;
        ev->type = MEDIA_MP_FILE_BEGIN;
        ev->name = (media_str_t){m->name, m->name_len};
        ev->content_type = h.content_type;
        ev->sha256 = h.sha256;
    }
    return 0;
}

static int feed_head(media_multipart_t *m, const char *p, size_t n, size_t *used,
                     media_mp_event_t *ev, media_err_t *ei)
{
    for (size_t i = 0; i < n; i++) {
        if (m->head_len == sizeof(m->head)) {
            return media_err_set(ei, MEDIA_E_TOOBIG, "headers of a part larger than %d bytes",
                                 MEDIA_MP_HEAD_MAX);
        }
        m->head[m->head_len++] = p[i];
        m->line_len++;
        if (p[i] != '\n') {
            continue;
        }
        if (m->line_len < 2 || m->head[m->head_len - 2] != '\r') {
            return media_err_set(ei, MEDIA_E_REJECT, "a header line that ends in a bare LF");
        }
        if (m->line_len == 2) {
            *used = i + 1;
            return read_head(m, ev, ei);
        }
        m->line_len = 0;
    }
    *used = n;
    return 0;
}

/* One byte between a delimiter and what follows it. */
static int feed_after(media_multipart_t *m, char c, media_mp_event_t *ev, media_err_t *ei)
{
    if (m->state == AFTER && c == '-') {
        m->state = AFTER_DASH;
    } else if (m->state == AFTER_DASH && c == '-') {
        m->state = EPILOGUE;
        ev->type = MEDIA_MP_END;
    } else if ((m->state == AFTER || m->state == AFTER_PADDING) && (c == ' ' || c == '\t')) {
        m->state = AFTER_PADDING;
    } else if ((m->state == AFTER || m->state == AFTER_PADDING) && c == '\r') {
        m->state = AFTER_LF;
    } else if (m->state == AFTER_LF && c == '\n') {
        m->state = HEAD;
        m->head_len = 0;
        m->line_len = 0;
    } else {
        return media_err_set(ei, MEDIA_E_REJECT, "a boundary line that does not end in CRLF");
    }
    return 0;
}

/* Bytes of the preamble (dropped), of a field (gathered) or of the file (reported). */
static int feed_body(media_multipart_t *m, const char *p, size_t n, size_t *used,
                     media_mp_event_t *ev, media_err_t *ei)
{
    media_str_t run;
    int found = scan(m, p, n, used, &run);

    if (m->state == FILE_BODY) {
        if (run.len != 0) {
            ev->type = MEDIA_MP_FILE_DATA;
            ev->data = run;
        }
        m->state = found ? FILE_ENDED : FILE_BODY;
        return 0;
    }
    if (m->state == FIELD) {
        if (run.len > sizeof(m->field) - m->field_len) {
            return media_err_set(ei, MEDIA_E_TOOBIG, "a field larger than %d bytes",
                                 MEDIA_MP_FIELD_MAX);
        }
        if (run.len != 0) {
            memcpy(m->field + m->field_len, run.p, run.len);
        }
        m->field_len += run.len;
        if (found) {
            ev->type = MEDIA_MP_FIELD;
            ev->name = (media_str_t){m->name, m->name_len};
            ev->value = (media_str_t){m->field, m->field_len};
        }
    }
    m->state = found ? AFTER : m->state;
    return 0;
}

int media_multipart_next(media_multipart_t *m, const char *p, size_t n, size_t *used,
                         media_mp_event_t *ev, media_err_t *ei)
{
    size_t k;
    int rc = 0;

    *used = 0;
    *ev = (media_mp_event_t){.type = MEDIA_MP_NEED};
    if (m->state == FILE_ENDED) {
        m->state = AFTER;
        ev->type = MEDIA_MP_FILE_END;
        return 0;
    }
    while (*used < n && rc == 0 && ev->type == MEDIA_MP_NEED && m->state != FILE_ENDED) {
        k = 0;
        switch (m->state) {
        case PREAMBLE:
        case FIELD:
        case FILE_BODY:
            rc = feed_body(m, p + *used, n - *used, &k, ev, ei);
            break;
        case HEAD:
            rc = feed_head(m, p + *used, n - *used, &k, ev, ei);
            break;
        case EPILOGUE:
            k = n - *used;
            break;
        case FAILED:
            rc = media_err_set(ei, MEDIA_E_REJECT, "the form was refused before");
            break;
        default:
            rc = feed_after(m, p[*used], ev, ei);
            k = 1;
            break;
        }
        *used += k;
    }
    if (rc != 0) {
        m->state = FAILED;
        return rc;
    }
    if (ev->type == MEDIA_MP_NEED && m->state == FILE_ENDED) {
        m->state = AFTER;
        ev->type = MEDIA_MP_FILE_END;
    }
    return 0;
}

int media_multipart_eof(const media_multipart_t *m, media_err_t *ei)
{
    if (m->state == EPILOGUE) {
        return 0;
    }
    return media_err_set(ei, MEDIA_E_REJECT, "the form ends before its closing boundary");
}
