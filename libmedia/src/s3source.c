/* Where credentials come from, and asking for them over HTTP, see s3cred.h.
 *
 *   WEB_IDENTITY  POST / AssumeRoleWithWebIdentity with the token          (STS API 2011-06-15)
 *   ECS           GET  the path given, with the authorization given        (ECS, EKS Pod Identity)
 *   IMDS          PUT  /latest/api/token, GET .../security-credentials/ (the role), GET .../role
 */
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "out.h"
#include "s3cred_set.h"

#define BODY_MAX 131072 /* a token of 20 000 characters, encoded */
#define ECS_HOST "169.254.170.2"
#define IMDS_URL "http://169.254.169.254"
#define IMDS_PATH "/latest/meta-data/iam/security-credentials/"
#define IMDS_TOKEN_HEADER "x-aws-ec2-metadata-token"

int media_s3_source_parse(media_str_t word)
{
    static const char *const words[] = {
#define X(name, word) word,
        MEDIA_S3_SOURCES(X)
#undef X
    };

    for (int i = 0; i < MEDIA_S3_SOURCE_COUNT; i++) {
        if (media_str_eq(word, media_str(words[i]))) {
            return i;
        }
    }
    return -1;
}

char *media_s3_output_env(const char *name)
{
    static const char *const keys[] = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
                                       "AWS_SESSION_TOKEN"};
    char own[96], *value;

    (void)snprintf(own, sizeof(own), "MEDIA_S3_OUTPUT_%s", name + strlen("AWS_"));
    value = getenv(own);
    if (value != NULL && value[0] != '\0') {
        return value;
    }
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (strcmp(name, keys[i]) == 0) {
            return NULL;
        }
    }
    return getenv(name);
}

/* An empty variable is an unset one. */
static media_str_t env(media_getenv_pt get, const char *name)
{
    return media_str(get(name));
}

static int lacks(media_err_t *ei, const char *what)
{
    return media_err_set(ei, MEDIA_E_REJECT, "%s must be set", what);
}

static int starts(media_str_t s, const char *with)
{
    size_t n = strlen(with);

    return s.len >= n && memcmp(s.p, with, n) == 0;
}

/* "http://host:port/path" into tls, host, path. */
static int url_split(media_s3_source_t *out, media_str_t url, const char *variable, media_err_t *ei)
{
    media_str_t rest = url;
    size_t skip = starts(url, "https://") ? 8 : 7, n = 0;

    if (!cred_text(url, sizeof(out->url) - 1) || (skip == 7 && !starts(url, "http://"))) {
        return media_err_set(ei, MEDIA_E_REJECT, "%s is no http:// or https:// URL", variable);
    }
    rest.p += skip;
    rest.len -= skip;
    while (n < rest.len && strchr("/?#@", rest.p[n]) == NULL) {
        n++;
    }
    if (n == 0 || (n < rest.len && rest.p[n] != '/') || memchr(rest.p, '#', rest.len) != NULL) {
        return media_err_set(ei, MEDIA_E_REJECT, "%s is not scheme://host[:port][/path]", variable);
    }
    out->tls = skip == 8;
    out->host = (media_str_t){rest.p, n};
    out->path = (media_str_t){rest.p + n, rest.len - n};
    return 0;
}

static int load_env(media_s3_source_t *out, media_getenv_pt get, media_err_t *ei)
{
    out->fixed.access_key = env(get, "AWS_ACCESS_KEY_ID");
    out->fixed.secret_key = env(get, "AWS_SECRET_ACCESS_KEY");
    out->fixed.session_token = env(get, "AWS_SESSION_TOKEN");
    if (out->fixed.access_key.len == 0 || out->fixed.secret_key.len == 0) {
        return lacks(ei, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
    }
    if (!cred_text(out->fixed.access_key, MEDIA_S3_CRED_KEY_MAX) ||
        !cred_text(out->fixed.secret_key, MEDIA_S3_CRED_KEY_MAX) ||
        (out->fixed.session_token.len != 0 &&
         !cred_text(out->fixed.session_token, MEDIA_S3_CRED_TOKEN_MAX))) {
        return media_err_set(ei, MEDIA_E_REJECT,
                             "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or AWS_SESSION_TOKEN is no "
                             "visible ASCII, or too long");
    }
    return 0;
}

static int load_web_identity(media_s3_source_t *out, media_str_t region, media_getenv_pt get,
                             media_err_t *ei)
{
    media_str_t url = env(get, "AWS_ENDPOINT_URL_STS");
    int is_china = starts(region, "cn-");

    out->file = env(get, "AWS_WEB_IDENTITY_TOKEN_FILE");
    out->role = env(get, "AWS_ROLE_ARN");
    out->session = env(get, "AWS_ROLE_SESSION_NAME");
    if (out->file.len == 0 || out->role.len == 0) {
        return lacks(ei, "AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN");
    }
    if (out->session.len == 0) {
        out->session = MEDIA_STR("ngx_media");
    }
    if (url.len == 0) {
        (void)snprintf(out->url, sizeof(out->url), "https://sts.%.*s.amazonaws.com%s",
                       (int)(region.len < 64 ? region.len : 64), region.p, is_china ? ".cn" : "");
        url = media_str(out->url);
    }
    return url_split(out, url, "AWS_ENDPOINT_URL_STS", ei);
}

/* Keys go over plain HTTP only to this machine and to the addresses of ECS and EKS. */
static int is_near(media_str_t host)
{
    static const char *const near[] = {"127.",   "localhost",      "[::1]",
                                       ECS_HOST, "169.254.170.23", "[fd00:ec2::23]"};
    size_t n;

    for (size_t i = 0; i < sizeof(near) / sizeof(near[0]); i++) {
        n = strlen(near[i]);
        if (starts(host, near[i]) && (i == 0 || host.len == n || host.p[n] == ':')) {
            return i > 0 || strspn(host.p, "0123456789.") >= strcspn(host.p, ":/");
        }
    }
    return 0;
}

static int load_ecs(media_s3_source_t *out, media_getenv_pt get, media_err_t *ei)
{
    media_str_t relative = env(get, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    media_str_t full = env(get, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
    const char *variable = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    int rc;

    out->file = env(get, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    out->token = env(get, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
    if (relative.len != 0) {
        variable = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
        (void)snprintf(out->url, sizeof(out->url), "http://" ECS_HOST "%.*s",
                       (int)(relative.len < 400 ? relative.len : 400), relative.p);
        full = media_str(out->url);
    }
    if (full.len == 0) {
        return lacks(ei, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI");
    }
    rc = url_split(out, full, variable, ei);
    if (rc == 0 && !out->tls && !is_near(out->host)) {
        rc = media_err_set(ei, MEDIA_E_REJECT,
                           "%s must be https://, or name a loopback, ECS or EKS address", variable);
    }
    if (rc == 0 && out->token.len != 0 && !cred_text(out->token, MEDIA_S3_CRED_TOKEN_MAX)) {
        rc = media_err_set(ei, MEDIA_E_REJECT,
                           "AWS_CONTAINER_AUTHORIZATION_TOKEN is no visible ASCII, or too long");
    }
    return rc;
}

static int load_file(media_s3_source_t *out, media_getenv_pt get, media_err_t *ei)
{
    if (out->file.len == 0) {
        out->file = env(get, "AWS_SHARED_CREDENTIALS_FILE");
    }
    if (out->profile.len == 0) {
        out->profile = env(get, "AWS_PROFILE");
    }
    if (out->profile.len == 0) {
        out->profile = MEDIA_STR("default");
    }
    return out->file.len != 0 ? 0 : lacks(ei, "AWS_SHARED_CREDENTIALS_FILE");
}

static int load_imds(media_s3_source_t *out, media_getenv_pt get, media_err_t *ei)
{
    media_str_t url = env(get, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
    int rc = url_split(out, url.len != 0 ? url : MEDIA_STR(IMDS_URL),
                       "AWS_EC2_METADATA_SERVICE_ENDPOINT", ei);

    if (rc == 0 && out->path.len > 0 && out->path.p[out->path.len - 1] == '/') {
        out->path.len--;
    }
    return rc;
}

/* What the environment speaks of, or -1. */
static int find(media_getenv_pt get)
{
    static const struct {
        const char *variable;
        enum media_s3_source_kind kind;
    } signs[] = {{"AWS_ACCESS_KEY_ID", MEDIA_S3_SOURCE_ENV},
                 {"AWS_SECRET_ACCESS_KEY", MEDIA_S3_SOURCE_ENV},
                 {"AWS_WEB_IDENTITY_TOKEN_FILE", MEDIA_S3_SOURCE_WEB_IDENTITY},
                 {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", MEDIA_S3_SOURCE_ECS},
                 {"AWS_CONTAINER_CREDENTIALS_FULL_URI", MEDIA_S3_SOURCE_ECS},
                 {"AWS_SHARED_CREDENTIALS_FILE", MEDIA_S3_SOURCE_FILE}};

    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
        if (env(get, signs[i].variable).len != 0) {
            return (int)signs[i].kind;
        }
    }
    return -1;
}

int media_s3_source_load(media_s3_source_t *out, int kind, media_str_t region, media_getenv_pt get,
                         media_err_t *ei)
{
    kind = kind < 0 ? find(get) : kind;
    if (kind < 0) {
        return media_err_set(ei, MEDIA_E_GONE, "the environment names no credentials");
    }
    out->kind = (enum media_s3_source_kind)kind;
    switch (out->kind) {
    case MEDIA_S3_SOURCE_ENV:
        return load_env(out, get, ei);
    case MEDIA_S3_SOURCE_WEB_IDENTITY:
        return load_web_identity(out, region, get, ei);
    case MEDIA_S3_SOURCE_ECS:
        return load_ecs(out, get, ei);
    case MEDIA_S3_SOURCE_FILE:
        return load_file(out, get, ei);
    case MEDIA_S3_SOURCE_IMDS:
        return load_imds(out, get, ei);
    default:
        return MEDIA_E_BUG;
    }
}

void media_s3_exchange_init(media_s3_exchange_t *x, const media_s3_source_t *source)
{
    memset(x, 0, sizeof(*x));
    x->source = source;
    media_buf_init(&x->body, BODY_MAX);
}

void media_s3_exchange_free(media_s3_exchange_t *x)
{
    const media_s3_source_t *source = x->source;

    media_buf_free(&x->body);
    OPENSSL_cleanse(x, sizeof(*x));
    media_s3_exchange_init(x, source);
}

static void add_field(media_buf_t *b, const char *name, media_str_t value)
{
    static const char hex[] = "0123456789ABCDEF";

    media_buf_fmt(b, "&%s=", name);
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.p[i];
        char text[3] = {'%', hex[c >> 4], hex[c & 15]};
        int plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                    (c != '\0' && strchr("-._~", c) != NULL);

        media_buf_add(b, plain ? value.p + i : text, plain ? 1 : 3);
    }
}

static media_str_t trim_lines(media_str_t s)
{
    while (s.len > 0 && (unsigned char)s.p[s.len - 1] <= ' ') {
        s.len--;
    }
    return media_str_trim(s);
}

static int next_web_identity(media_s3_exchange_t *x, media_str_t token, media_err_t *ei)
{
    const media_s3_source_t *s = x->source;

    if (!cred_text(token, MEDIA_S3_CRED_FILE_MAX)) {
        return media_err_set(ei, MEDIA_E_REJECT, "the web identity token is no token");
    }
    x->method = "POST";
    (void)snprintf(x->header, sizeof(x->header), "content-type: application/x-www-form-urlencoded");
    media_buf_reset(&x->body);
    media_buf_cstr(&x->body, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15");
    add_field(&x->body, "RoleArn", s->role);
    add_field(&x->body, "RoleSessionName", s->session);
    add_field(&x->body, "WebIdentityToken", token);
    return x->body.failed ? media_err_set(ei, MEDIA_E_REJECT, "the web identity token is too long")
                          : 0;
}

static int next_ecs(media_s3_exchange_t *x, media_str_t token, media_err_t *ei)
{
    if (x->source->file.len == 0) {
        token = x->source->token;
    }
    x->method = "GET";
    if (token.len == 0 && x->source->file.len == 0) {
        return 0;
    }
    if (!cred_text(token, MEDIA_S3_CRED_TOKEN_MAX)) {
        return media_err_set(ei, MEDIA_E_REJECT, "the authorization token is no token");
    }
    (void)snprintf(x->header, sizeof(x->header), "authorization: %.*s", (int)token.len, token.p);
    return 0;
}

static void next_imds(media_s3_exchange_t *x, out_t *o)
{
    if (x->step == 0) {
        x->method = "PUT";
        (void)snprintf(x->header, sizeof(x->header), IMDS_TOKEN_HEADER "-ttl-seconds: 21600");
        out_cstr(o, "/latest/api/token");
        return;
    }
    x->method = "GET";
    (void)snprintf(x->header, sizeof(x->header), IMDS_TOKEN_HEADER ": %s", x->token);
    out_cstr(o, IMDS_PATH);
    out_pct(o, media_str(x->role), 0);
}

int media_s3_exchange_next(media_s3_exchange_t *x, media_str_t secret, media_err_t *ei)
{
    const media_s3_source_t *s = x->source;
    out_t o = {x->target, 0, sizeof(x->target)};

    x->header[0] = '\0';
    out_str(&o, s->path);
    if (s->kind == MEDIA_S3_SOURCE_IMDS) {
        next_imds(x, &o);
    } else if (s->path.len == 0) {
        out_cstr(&o, "/");
    }
    if (out_end(&o) < 0) {
        return MEDIA_E_BUG;
    }
    secret = trim_lines(secret);
    switch (s->kind) {
    case MEDIA_S3_SOURCE_WEB_IDENTITY:
        return next_web_identity(x, secret, ei);
    case MEDIA_S3_SOURCE_ECS:
        return next_ecs(x, secret, ei);
    case MEDIA_S3_SOURCE_IMDS:
        return 0;
    default:
        return MEDIA_E_BUG;
    }
}

/* IMDS: the session token, then the name of the role. */
static int answer_imds(media_s3_exchange_t *x, media_str_t body, media_err_t *ei)
{
    char *dst = x->step == 0 ? x->token : x->role;
    size_t max = x->step == 0 ? sizeof(x->token) - 1 : sizeof(x->role) - 1;

    body = trim_lines(body);
    if (!cred_text(body, max)) {
        return media_err_set(ei, MEDIA_E_REJECT, "the metadata service gave no %s",
                             x->step == 0 ? "token" : "role");
    }
    memcpy(dst, body.p, body.len);
    dst[body.len] = '\0';
    x->step++;
    return MEDIA_E_AGAIN;
}

int media_s3_exchange_answer(media_s3_exchange_t *x, int status, media_str_t body, int64_t now_s,
                             media_s3_cred_t *out, media_err_t *ei)
{
    if (status != 200) {
        /* what STS says of a refusal is in its document */
        if (x->source->kind == MEDIA_S3_SOURCE_WEB_IDENTITY && status >= 400 && status < 500 &&
            media_s3_cred_sts(body, now_s, out, ei) != 0) {
            return MEDIA_E_AUTH;
        }
        return media_err_set(ei, status == 401 || status == 403 ? MEDIA_E_AUTH : MEDIA_E_RETRY,
                             "the answer has status %d", status);
    }
    if (x->source->kind == MEDIA_S3_SOURCE_WEB_IDENTITY) {
        return media_s3_cred_sts(body, now_s, out, ei);
    }
    if (x->source->kind == MEDIA_S3_SOURCE_IMDS && x->step < 2) {
        return answer_imds(x, body, ei);
    }
    return media_s3_cred_json(body, now_s, out, ei);
}
