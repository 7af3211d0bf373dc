#include "ob_line.h"

#include <stdio.h>
#include <string.h>

enum { FIELD_STORE, FIELD_KEY, FIELD_SIZE, FIELD_SHA256, FIELDS };

static const char *const stores[MEDIA_STORE_COUNT] = {"input", "output"};

static int split(media_str_t text, media_str_t field[FIELDS])
{
    for (int i = 0; i < FIELDS; i++) {
        const char *tab = text.len != 0 ? memchr(text.p, '\t', text.len) : NULL;

        field[i] = (media_str_t){text.p, tab != NULL ? (size_t)(tab - text.p) : text.len};
        if ((tab == NULL) != (i == FIELDS - 1)) {
            return -1;
        }
        text = tab == NULL ? MEDIA_STR("")
                           : (media_str_t){tab + 1, text.len - (size_t)(tab + 1 - text.p)};
    }
    return 0;
}

/* The store that the key has by its shape, too: requests find it by that. */
static int parse_key(media_str_t store, media_str_t key, ob_line_t *out)
{
    if (key.len == 0 || key.len >= sizeof(out->key)) {
        return -1;
    }
    for (size_t i = 0; i < key.len; i++) {
        if ((unsigned char)key.p[i] < 0x20 || key.p[i] == 0x7f) {
            return -1;
        }
    }
    memcpy(out->key, key.p, key.len);
    out->key[key.len] = '\0';
    out->store = media_objkey_store(key);
    return media_str_eq(store, media_str(stores[out->store])) ? 0 : -1;
}

static int parse_size(media_str_t size, ob_line_t *out)
{
    out->size = -1;
    return media_str_eq(size, MEDIA_STR("-1")) ? 0 : media_str_to_i64(size, &out->size);
}

static int parse_sha256(media_str_t sha256, ob_line_t *out)
{
    out->sha256[0] = '\0';
    if (media_str_eq(sha256, MEDIA_STR("-"))) {
        return 0;
    }
    if (sha256.len != sizeof(out->sha256) - 1) {
        return -1;
    }
    memcpy(out->sha256, sha256.p, sha256.len);
    out->sha256[sha256.len] = '\0';
    return strspn(out->sha256, "0123456789abcdef") == sha256.len ? 0 : -1;
}

int ob_line_parse(media_str_t text, ob_line_t *out, media_err_t *ei)
{
    media_str_t field[FIELDS];
    const char *what = NULL;

    if (split(text, field) != 0) {
        what = "store, key, size and sha256 with tabs between are wanted";
    } else if (parse_key(field[FIELD_STORE], field[FIELD_KEY], out) != 0) {
        what = "no key of that store";
    } else if (parse_size(field[FIELD_SIZE], out) != 0) {
        what = "no size";
    } else if (parse_sha256(field[FIELD_SHA256], out) != 0) {
        what = "no sha256";
    }
    return what == NULL ? 0 : media_err_set(ei, MEDIA_E_REJECT, "%s", what);
}

size_t ob_line_format(const ob_line_t *line, char dst[OB_LINE_MAX])
{
    return (size_t)snprintf(dst, OB_LINE_MAX, "%s\t%s\t%lld\t%s\n", stores[line->store], line->key,
                            (long long)line->size, line->sha256[0] != '\0' ? line->sha256 : "-");
}
