/* s3resp: every reader on every document; what comes out is bounded, clean text, and an etag that
 * was written into a part comes back out of the XML reader. */
#include <stdio.h>

#include "media/s3resp.h"
#include "fuzz.h"

static void must_be_text(const char *s, size_t cap)
{
    size_t n = strnlen(s, cap);

    MUST(n < cap && media_utf8_valid((media_str_t){s, n}));
    for (size_t i = 0; i < n; i++) {
        MUST((unsigned char)s[i] >= 0x20 && s[i] != 0x7f);
    }
}

static int each(void *data, media_str_t key, media_str_t upload_id)
{
    int *count = data;

    MUST(key.len != 0 && key.p[key.len] == '\0' && upload_id.p[upload_id.len] == '\0');
    return ++*count >= 1000;
}

/* The part as we write it, read back as if it were an answer. */
static void round_trip(media_str_t etag)
{
    char part[8192], doc[9000], back[4096];
    ssize_t n = media_s3_complete_part(1, etag, MEDIA_S3_SUM_NONE, NULL, part, sizeof(part)), m;
    const char *from, *end;

    if (n < 0 || !media_utf8_valid(etag) || etag.len == 0 ||
        memchr(etag.p, '\0', etag.len) != NULL) {
        return;
    }
    from = strstr(part, "<ETag>");
    end = part + n - strlen("</Part>");
    snprintf(doc, sizeof(doc),
             "<CompleteMultipartUploadResult>%.*s</CompleteMultipartUploadResult>",
             (int)(end - from), from);
    m = media_s3_complete_parse(media_str(doc), back, sizeof(back), NULL, NULL);
    MUST(m >= 0 && media_str_eq(etag, (media_str_t){back, (size_t)m}));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    media_str_t body = {(const char *)data, size};
    media_s3_error_t e;
    media_err_t ei;
    char dst[256];
    int count = 0, rc;
    ssize_t n;

    rc = media_s3_error_parse(body, &e);
    must_be_text(e.code, sizeof(e.code));
    must_be_text(e.message, sizeof(e.message));
    (void)media_s3_verdict(rc == 0 ? 400 : 200, &e);
    n = media_s3_create_parse(body, dst, sizeof(dst), &ei);
    MUST(n < 0 || (dst[n] == '\0' && rc == MEDIA_E_GONE));
    n = media_s3_complete_parse(body, dst, sizeof(dst), &e, &ei);
    MUST(n < 0 || (dst[n] == '\0' && rc == MEDIA_E_GONE));
    rc = media_s3_list_parse(body, each, &count, &ei);
    MUST(rc < 0 || rc == count);
    if (size < 1000) {
        round_trip(body);
    }
    return 0;
}
