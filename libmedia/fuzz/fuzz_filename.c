/* File names: a cleaned one is safe whatever came in, and survives a Content-Disposition header. */
#include "fuzz.h"

#include "media/filename.h"

#define VALUE_MAX (8 * MEDIA_FILENAME_MAX)

static int has_control(media_str_t s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f) {
            return 1;
        }
    }
    return 0;
}

static void header_round_trip(media_str_t name)
{
    char value[VALUE_MAX];
    char back[VALUE_MAX];
    ssize_t n = media_content_disposition("inline", name, MEDIA_STR(""), value, sizeof(value));
    MUST(n > 0 && value[n] == '\0' && !has_control((media_str_t){value, (size_t)n}));
    ssize_t m =
        media_content_disposition_parse((media_str_t){value, (size_t)n}, back, sizeof(back));
    MUST(m >= 0 && media_str_eq((media_str_t){back, (size_t)m}, name));
    n = media_content_disposition("attachment", name, MEDIA_STR(".mp3"), value, sizeof(value));
    MUST(n > 0);
    m = media_content_disposition_parse((media_str_t){value, (size_t)n}, back, sizeof(back));
    MUST(m >= 4 && memcmp(back + m - 4, ".mp3", 4) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char name[MEDIA_FILENAME_MAX + 1];
    char twice[MEDIA_FILENAME_MAX + 1];
    char raw[VALUE_MAX];
    media_str_t in = {size > 0 ? (const char *)data : "", size};
    ssize_t n = media_filename_clean(in, name, sizeof(name));
    MUST(n > 0 && n <= MEDIA_FILENAME_MAX && name[n] == '\0');
    media_str_t s = {name, (size_t)n};
    MUST(media_utf8_valid(s) && !has_control(s));
    MUST(strpbrk(name, "/\\") == NULL && strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
    MUST(media_filename_clean(s, twice, sizeof(twice)) == n && strcmp(name, twice) == 0);
    header_round_trip(s);
    n = media_content_disposition_parse(in, raw, sizeof(raw));
    MUST(n < (ssize_t)sizeof(raw) && (n < 0 || raw[n] == '\0'));
    n = media_content_disposition("inline", in, MEDIA_STR(".x"), raw, sizeof(raw));
    MUST(n < 0 || !has_control((media_str_t){raw, (size_t)n}));
    return 0;
}
