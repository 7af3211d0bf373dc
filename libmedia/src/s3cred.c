/* Credentials for S3: reading files, documents and answers, see s3cred.h.
 *
 * What is read ends up in request heads, so each value is checked for what could end a line. */
#include <openssl/crypto.h>
#include <string.h>

#include "media/json.h"
#include "media/s3cred.h"
#include "s3cred_set.h"
#include "xml.h"

#define STS_ANSWER_MAX 65536
#define MARGIN_MAX_S 900

void media_s3_cred_clear(media_s3_cred_t *c)
{
    OPENSSL_cleanse(c, sizeof(*c));
}

void media_s3_cred_view(const media_s3_cred_t *c, media_sigv4_cred_t *out)
{
    out->access_key = media_str(c->access_key);
    out->secret_key = media_str(c->secret_key);
    out->session_token = media_str(c->session_token);
}

int64_t media_s3_cred_renew_at(const media_s3_cred_t *c, int64_t now_s, uint32_t random)
{
    int64_t left = c->expires_at_s - now_s;
    int64_t margin = left / 4 < MARGIN_MAX_S ? left / 4 : MARGIN_MAX_S;

    if (c->expires_at_s == 0) {
        return 0;
    }
    if (left <= 0) {
        return now_s;
    }
    return c->expires_at_s - margin - random % (margin / 2 + 1);
}

int cred_text(media_str_t s, size_t max)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] <= ' ' || s.p[i] >= 0x7f) {
            return 0;
        }
    }
    return s.len != 0 && s.len <= max;
}

static int set(char *dst, media_str_t value, size_t max)
{
    if (!cred_text(value, max)) {
        return MEDIA_E_REJECT;
    }
    memcpy(dst, value.p, value.len);
    dst[value.len] = '\0';
    return 0;
}

int cred_set(media_s3_cred_t *out, enum cred_field field, media_str_t value)
{
    switch (field) {
    case CRED_ACCESS_KEY:
        return set(out->access_key, value, MEDIA_S3_CRED_KEY_MAX);
    case CRED_SECRET_KEY:
        return set(out->secret_key, value, MEDIA_S3_CRED_KEY_MAX);
    case CRED_TOKEN:
        return set(out->session_token, value, MEDIA_S3_CRED_TOKEN_MAX);
    default:
        return media_rfc3339_parse(value, &out->expires_at_s);
    }
}

/* Keys that came with an end have to be whole and still good. */
static int check_temporary(media_s3_cred_t *out, int64_t now_s, const char *from, media_err_t *ei)
{
    if (out->access_key[0] == '\0' || out->secret_key[0] == '\0' || out->expires_at_s == 0) {
        media_s3_cred_clear(out);
        return media_err_set(ei, MEDIA_E_REJECT, "%s gave no credentials", from);
    }
    if (out->expires_at_s <= now_s) {
        media_s3_cred_clear(out);
        return media_err_set(ei, MEDIA_E_REJECT, "%s gave credentials that are over", from);
    }
    return 0;
}

int media_s3_cred_json(media_str_t text, int64_t now_s, media_s3_cred_t *out, media_err_t *ei)
{
    static const struct {
        const char *name;
        enum cred_field field;
    } members[] = {{"AccessKeyId", CRED_ACCESS_KEY},
                   {"SecretAccessKey", CRED_SECRET_KEY},
                   {"Token", CRED_TOKEN},
                   {"Expiration", CRED_EXPIRES}};
    json_t *doc;
    int rc = media_json_parse(text, &doc, ei);

    memset(out, 0, sizeof(*out));
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; rc == 0 && i < sizeof(members) / sizeof(members[0]); i++) {
        media_str_t value;

        rc = media_json_str(doc, members[i].name, MEDIA_S3_CRED_TOKEN_MAX, &value, ei);
        if (rc == 0 && cred_set(out, members[i].field, value) != 0) {
            rc = media_err_set(ei, MEDIA_E_REJECT, "\"%s\" is of no use", members[i].name);
        }
        rc = rc == MEDIA_E_GONE ? 0 : rc;
    }
    json_decref(doc);
    if (rc != 0) {
        media_s3_cred_clear(out);
        return MEDIA_E_REJECT;
    }
    return check_temporary(out, now_s, "the metadata service", ei);
}

typedef struct {
    media_s3_cred_t *out;
    char code[64];
} sts_t;

/* .../Credentials/AccessKeyId, or Error/Code at any depth */
static int sts_close(void *data, const xml_t *x, media_str_t raw)
{
    static const struct {
        media_str_t name;
        enum cred_field field;
    } leaves[] = {{{"AccessKeyId", 11}, CRED_ACCESS_KEY},
                  {{"SecretAccessKey", 15}, CRED_SECRET_KEY},
                  {{"SessionToken", 12}, CRED_TOKEN},
                  {{"Expiration", 10}, CRED_EXPIRES}};
    char value[MEDIA_S3_CRED_TOKEN_MAX + 1];
    sts_t *s = data;
    ssize_t n;
    int rc = 0;

    if (x->depth == 0 || raw.p == NULL) {
        return 0;
    }
    if (media_str_eq(x->stack[x->depth - 1], MEDIA_STR("Error")) &&
        media_str_eq(x->stack[x->depth], MEDIA_STR("Code"))) {
        return xml_decode(raw, s->code, sizeof(s->code)) < 0 ? MEDIA_E_REJECT : 0;
    }
    if (!media_str_eq(x->stack[x->depth - 1], MEDIA_STR("Credentials"))) {
        return 0;
    }
    n = xml_decode(raw, value, sizeof(value));
    for (size_t i = 0; n >= 0 && rc == 0 && i < sizeof(leaves) / sizeof(leaves[0]); i++) {
        if (media_str_eq(x->stack[x->depth], leaves[i].name)) {
            rc = cred_set(s->out, leaves[i].field, (media_str_t){value, (size_t)n});
        }
    }
    OPENSSL_cleanse(value, sizeof(value));
    return n < 0 ? MEDIA_E_REJECT : rc;
}

int media_s3_cred_sts(media_str_t xml, int64_t now_s, media_s3_cred_t *out, media_err_t *ei)
{
    sts_t s = {.out = out};

    memset(out, 0, sizeof(*out));
    if (xml_walk(xml, STS_ANSWER_MAX, sts_close, &s) != 0) {
        media_s3_cred_clear(out);
        return media_err_set(ei, MEDIA_E_REJECT, "the answer of STS cannot be read");
    }
    if (s.code[0] != '\0') {
        media_s3_cred_clear(out);
        return media_err_set(ei, MEDIA_E_REJECT, "STS answered %s", s.code);
    }
    return check_temporary(out, now_s, "STS", ei);
}

static media_str_t take_line(media_str_t *text)
{
    const char *lf = text->len == 0 ? NULL : memchr(text->p, '\n', text->len);
    media_str_t line = {text->p, lf == NULL ? text->len : (size_t)(lf - text->p)};
    size_t taken = line.len + (lf != NULL);

    text->p += taken;
    text->len -= taken;
    if (line.len > 0 && line.p[line.len - 1] == '\r') {
        line.len--;
    }
    return line;
}

/* "[name]" -> name; p == NULL: no heading. */
static media_str_t ini_heading(media_str_t line)
{
    line = media_str_trim(line);
    if (line.len < 2 || line.p[0] != '[' || line.p[line.len - 1] != ']') {
        return MEDIA_STR_NULL;
    }
    return media_str_trim((media_str_t){line.p + 1, line.len - 2});
}

/* "name = value" of the wanted profile. */
static int ini_line(media_s3_cred_t *out, media_str_t line)
{
    static const struct {
        media_str_t name;
        enum cred_field field;
    } names[] = {{{"aws_access_key_id", 17}, CRED_ACCESS_KEY},
                 {{"aws_secret_access_key", 21}, CRED_SECRET_KEY},
                 {{"aws_session_token", 17}, CRED_TOKEN}};
    const char *eq = line.len == 0 ? NULL : memchr(line.p, '=', line.len);
    media_str_t name, value;

    if (eq == NULL) {
        return 0;
    }
    name = media_str_trim((media_str_t){line.p, (size_t)(eq - line.p)});
    value = media_str_trim((media_str_t){eq + 1, line.len - (size_t)(eq - line.p) - 1});
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (media_str_ieq(name, names[i].name)) {
            return cred_set(out, names[i].field, value);
        }
    }
    return 0;
}

int media_s3_cred_ini(media_str_t text, media_str_t profile, media_s3_cred_t *out, media_err_t *ei)
{
    int is_ours = 0, found = 0, line_number = 0, rc = 0;

    memset(out, 0, sizeof(*out));
    while (text.len != 0 && rc == 0) {
        media_str_t line = take_line(&text), heading;

        line_number++;
        /* a line that begins with a blank belongs to the setting above it */
        if (line.len == 0 || strchr("#; \t", line.p[0]) != NULL) {
            continue;
        }
        heading = ini_heading(line);
        if (heading.p != NULL) {
            is_ours = media_str_eq(heading, profile);
            found |= is_ours;
        } else if (is_ours) {
            rc = ini_line(out, line);
        }
    }
    if (rc != 0) {
        media_s3_cred_clear(out);
        return media_err_set(ei, MEDIA_E_REJECT, "the value in line %d is of no use", line_number);
    }
    if (!found) {
        return media_err_set(ei, MEDIA_E_GONE, "there is no profile \"%.*s\"",
                             (int)(profile.len < 64 ? profile.len : 64), profile.p);
    }
    if (out->access_key[0] == '\0' || out->secret_key[0] == '\0') {
        media_s3_cred_clear(out);
        return media_err_set(ei, MEDIA_E_REJECT,
                             "the profile lacks aws_access_key_id or aws_secret_access_key");
    }
    return 0;
}
