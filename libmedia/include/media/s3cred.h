/* Credentials for S3: where they come from, how what comes is read, when it is renewed. Pure: files
 * are read and requests are sent by the caller, so that the module's event loop and the blocking
 * workers follow the same rules, which are those of the AWS SDKs.
 *
 *   media_s3_source_load()     which source, from the configuration and the environment
 *   media_s3_exchange_*()      for sources asked over HTTP: one request after the other
 *   media_s3_cred_ini()        for a file
 *   media_s3_cred_renew_at()   when to ask again */
#ifndef MEDIA_S3CRED_H
#define MEDIA_S3CRED_H

#include "media/buf.h"
#include "media/err.h"
#include "media/sigv4.h"

#define MEDIA_S3_CRED_FILE_MAX 65536 /* bytes of a credentials or token file */
#define MEDIA_S3_CRED_KEY_MAX 256
#define MEDIA_S3_CRED_TOKEN_MAX 8192

/* NUL-terminated; private data of who holds it: cleanse it with media_s3_cred_clear(). */
typedef struct {
    char access_key[MEDIA_S3_CRED_KEY_MAX + 1];
    char secret_key[MEDIA_S3_CRED_KEY_MAX + 1];
    char session_token[MEDIA_S3_CRED_TOKEN_MAX + 1]; /* empty: none */
    int64_t expires_at_s;                            /* unix time; 0: never */
} media_s3_cred_t;

void media_s3_cred_clear(media_s3_cred_t *c);
/* Sets the three keys of *out (region and service stay): views into c. [any] */
void media_s3_cred_view(const media_s3_cred_t *c, media_sigv4_cred_t *out);
/* When credentials that came at now_s are asked for again: a quarter of their life, at most 15
 * minutes, before their end, and by `random` some time before that, so that many processes do not
 * ask at once. 0: never. [any] */
int64_t media_s3_cred_renew_at(const media_s3_cred_t *c, int64_t now_s, uint32_t random);

/* The profile of an AWS shared credentials file. MEDIA_E_GONE: no such profile; MEDIA_E_REJECT:
 * its keys are incomplete or no text for a header. Causes quote no value. [any] */
int media_s3_cred_ini(media_str_t text, media_str_t profile, media_s3_cred_t *out, media_err_t *ei);
/* The document of EC2's and ECS's metadata services resp. the answer of STS. MEDIA_E_REJECT also
 * for credentials that are over at now_s. [any] */
int media_s3_cred_json(media_str_t text, int64_t now_s, media_s3_cred_t *out, media_err_t *ei);
int media_s3_cred_sts(media_str_t xml, int64_t now_s, media_s3_cred_t *out, media_err_t *ei);

/* name, word of configurations */
#define MEDIA_S3_SOURCES(X)                                                                        \
    X(ENV, "env")                                                                                  \
    X(WEB_IDENTITY, "web_identity")                                                                \
    X(ECS, "ecs")                                                                                  \
    X(FILE, "file")                                                                                \
    X(IMDS, "imds")

enum media_s3_source_kind {
#define X(name, word) MEDIA_S3_SOURCE_##name,
    MEDIA_S3_SOURCES(X)
#undef X
        MEDIA_S3_SOURCE_COUNT
};

/* The kind of a word, or -1. [any] */
int media_s3_source_parse(media_str_t word);

/* Views into the environment or into what the caller gave. */
typedef struct {
    enum media_s3_source_kind kind;
    media_sigv4_cred_t fixed; /* ENV: the three keys */
    media_str_t file;         /* FILE; WEB_IDENTITY and ECS: to be read anew for each exchange, the
                                 token in it is exchanged resp. authorises us; ECS: may be empty */
    media_str_t profile;      /* FILE */
    media_str_t role;         /* WEB_IDENTITY: its ARN */
    media_str_t session;      /* WEB_IDENTITY: the role session's name */
    media_str_t token;        /* ECS: authorises us, if there is no file */
    int tls;
    media_str_t host; /* of a source asked over HTTP: name or address, with the port if written */
    media_str_t path; /* "/..." or empty */
    char url[512];
} media_s3_source_t;

typedef char *(*media_getenv_pt)(const char *name);
/* getenv() for the output store: MEDIA_S3_OUTPUT_ROLE_ARN in place of AWS_ROLE_ARN and so on, else
 * that; but keys and session token are never those of another store. [any] */
char *media_s3_output_env(const char *name);

/* The source that `kind` names; -1: the first that the environment knows of ENV, WEB_IDENTITY, ECS
 * and FILE (IMDS is asked for by name only, since elsewhere nobody answers). out->file and
 * out->profile may be set beforehand for FILE, else AWS_SHARED_CREDENTIALS_FILE and AWS_PROFILE say
 * them. `region` names the STS. MEDIA_E_GONE: the environment knows none; MEDIA_E_REJECT: it lacks
 * or garbles something, and the cause names the variable. out->url is pointed into: *out must not
 * be moved. [any] */
int media_s3_source_load(media_s3_source_t *out, int kind, media_str_t region, media_getenv_pt get,
                         media_err_t *ei);

/* Asking a source over HTTP: init, then next() and answer() in turn until that returns 0. */
typedef struct {
    const media_s3_source_t *source;
    int step;
    const char *method;
    char target[1024];                         /* of the request */
    char header[MEDIA_S3_CRED_TOKEN_MAX + 64]; /* one more line, "name: value", or empty */
    media_buf_t body;                          /* form-urlencoded, or empty */
    char token[MEDIA_S3_CRED_KEY_MAX + 1];     /* IMDS: of the session */
    char role[129];                            /* IMDS: empty until it is known */
} media_s3_exchange_t;

void media_s3_exchange_init(media_s3_exchange_t *x, const media_s3_source_t *source); /* [any] */
void media_s3_exchange_free(media_s3_exchange_t *x); /* cleanses; may be init'ed again */
/* Prepares method, target, header and body of the next request; `secret` is the content of
 * source->file, if it has one. 0, or MEDIA_E_REJECT when that is of no use. [any] */
int media_s3_exchange_next(media_s3_exchange_t *x, media_str_t secret, media_err_t *ei);
/* The answer to it. 0: *out is filled; MEDIA_E_AGAIN: another request; MEDIA_E_RETRY, _AUTH or
 * _REJECT: it failed. [any] */
int media_s3_exchange_answer(media_s3_exchange_t *x, int status, media_str_t body, int64_t now_s,
                             media_s3_cred_t *out, media_err_t *ei);

#endif
