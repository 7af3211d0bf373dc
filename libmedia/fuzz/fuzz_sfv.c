/* Structured fields: members are views into the field, in order; a string that was read is read
 * again from its quoted form. */
#include "fuzz.h"

#include "media/sfv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    media_str_t in = {size > 0 ? (const char *)data : "", size}, rest = in;
    const char *at = in.p, *end = in.p + in.len;
    char text[64], quoted[2 * sizeof(text) + 2], back[sizeof(text)];
    media_sf_member_t m;
    uint8_t sha256[32];
    media_err_t ei;
    int rc;

    while ((rc = media_sf_next(&rest, &m)) == 1) {
        MUST(m.key.len > 0 && m.key.p >= at && m.key.p + m.key.len <= end);
        at = m.key.p + m.key.len;
        MUST(m.value.len == 0 || (m.value.p > at && m.value.p + m.value.len <= end));
        MUST(rest.p >= at && rest.p + rest.len == end);
    }
    MUST(rc == 0 || rc == MEDIA_E_REJECT);
    MUST(rc == 0 || media_sf_sha256(in, sha256, &ei) != 0);
    ssize_t n = media_sf_string(in, text, sizeof(text));
    if (n > 0) {
        size_t q = 0;

        quoted[q++] = '"';
        for (ssize_t i = 0; i < n; i++) {
            if (text[i] == '"' || text[i] == '\\') {
                quoted[q++] = '\\';
            }
            quoted[q++] = text[i];
        }
        quoted[q++] = '"';
        MUST(media_sf_string((media_str_t){quoted, q}, back, sizeof(back)) == n);
        MUST(memcmp(text, back, (size_t)n) == 0);
    }
    return 0;
}
