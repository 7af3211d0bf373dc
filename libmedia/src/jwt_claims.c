/* What the claims of a verified token say. */
#include <stdlib.h>
#include <string.h>

#include "media/jwt.h"

#define MEMBER_MAX 256 /* bytes of a name within a JSON pointer */

void media_jwt_claims_free(media_jwt_claims_t *c)
{
    free(c->block);
    *c = (media_jwt_claims_t){0};
}

media_str_t media_jwt_claim(const media_jwt_claims_t *c, const char *name)
{
    size_t at = media_jsondoc_get(&c->doc, 0, media_str(name));
    return at != 0 && media_jsondoc_type(&c->doc, at) == MEDIA_JSON_STRING
               ? media_jsondoc_text(&c->doc, at)
               : MEDIA_STR("");
}

int media_jwt_claim_int(const media_jwt_claims_t *c, const char *name, int64_t lo, int64_t hi,
                        int64_t *out)
{
    size_t at = media_jsondoc_get(&c->doc, 0, media_str(name));
    if (at == 0) {
        return MEDIA_E_GONE;
    }
    if (media_jsondoc_type(&c->doc, at) != MEDIA_JSON_INTEGER) {
        return MEDIA_E_REJECT;
    }
    *out = media_jsondoc_int(&c->doc, at);
    return *out >= lo && *out <= hi ? 0 : MEDIA_E_REJECT;
}

/* A reference token of a JSON pointer without its escapes ~0 and ~1; p NULL when it is none. */
static media_str_t pointer_member(media_str_t token, char name[MEMBER_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < token.len; i++) {
        char c = token.p[i];
        if (c == '~') {
            char next = ++i < token.len ? token.p[i] : '\0';
            if (next != '0' && next != '1') {
                return MEDIA_STR_NULL;
            }
            c = next == '0' ? '~' : '/';
        }
        if (n == MEMBER_MAX) {
            return MEDIA_STR_NULL;
        }
        name[n++] = c;
    }
    return (media_str_t){name, n};
}

static size_t claim_find(const media_jsondoc_t *doc, media_str_t claim)
{
    char name[MEMBER_MAX];
    size_t at = 0;
    if (claim.len == 0 || claim.p[0] != '/') {
        return media_jsondoc_get(doc, 0, claim);
    }
    const char *p = claim.p + 1;
    const char *end = claim.p + claim.len;
    for (;;) {
        const char *slash = memchr(p, '/', (size_t)(end - p));
        const char *stop = slash == NULL ? end : slash;
        media_str_t member = pointer_member((media_str_t){p, (size_t)(stop - p)}, name);
        at = member.p == NULL ? 0 : media_jsondoc_get(doc, at, member);
        if (at == 0 || slash == NULL) {
            return at;
        }
        p = slash + 1;
    }
}

/* A value that is neither array nor object nor null. */
static int scalar_is(const media_jsondoc_t *doc, size_t at, media_str_t value)
{
    switch (media_jsondoc_type(doc, at)) {
    case MEDIA_JSON_STRING:
    case MEDIA_JSON_INTEGER:
    case MEDIA_JSON_REAL:
    case MEDIA_JSON_TRUE:
    case MEDIA_JSON_FALSE:
        return media_str_eq(media_jsondoc_text(doc, at), value);
    default:
        return 0;
    }
}

static int list_holds(media_str_t list, media_str_t value)
{
    while (list.len > 0) {
        const char *space = memchr(list.p, ' ', list.len);
        size_t n = space == NULL ? list.len : (size_t)(space - list.p);
        if (n > 0 && media_str_eq((media_str_t){list.p, n}, value)) {
            return 1;
        }
        n += space != NULL;
        list.p += n;
        list.len -= n;
    }
    return 0;
}

int media_jwt_claim_holds(const media_jwt_claims_t *c, media_str_t claim, media_str_t value)
{
    size_t at = claim_find(&c->doc, claim);
    if (at == 0) {
        return 0;
    }
    enum media_jsondoc_type type = media_jsondoc_type(&c->doc, at);
    if (type == MEDIA_JSON_STRING && media_str_eq(claim, MEDIA_STR("scope"))) {
        return list_holds(media_jsondoc_text(&c->doc, at), value);
    }
    if (type != MEDIA_JSON_ARRAY) {
        return scalar_is(&c->doc, at, value);
    }
    size_t end = media_jsondoc_next(&c->doc, at);
    for (size_t i = at + 1; i < end; i = media_jsondoc_next(&c->doc, i)) {
        if (scalar_is(&c->doc, i, value)) {
            return 1;
        }
    }
    return 0;
}
