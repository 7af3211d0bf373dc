/* s3cred and s3source: the first byte chooses the reader, for exchanges the source. Whatever is
 * read, credentials taken are whole and cannot end a line of a request, and no request is anything
 * but one line and one header. */
#include "media/s3cred.h"
#include "fuzz.h"

#define NOW 1369353600

static media_s3_cred_t cred;

static void must_be_text(const char *s, int may_be_empty)
{
    MUST(may_be_empty || s[0] != '\0');
    for (; *s != '\0'; s++) {
        MUST(*s > ' ' && *s < 0x7f);
    }
}

static void must_be_whole(int rc)
{
    media_str_t key = {cred.access_key, sizeof(cred.access_key)};

    MUST(memchr(key.p, '\0', key.len) != NULL);
    if (rc == 0) {
        must_be_text(cred.access_key, 0);
        must_be_text(cred.secret_key, 0);
        must_be_text(cred.session_token, 1);
    } else {
        MUST(cred.secret_key[0] == '\0');
    }
}

static char *get(const char *name)
{
    static char *const table[] = {"AWS_ROLE_ARN",
                                  "arn",
                                  "AWS_WEB_IDENTITY_TOKEN_FILE",
                                  "/t",
                                  "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                                  "http://127.0.0.1/c",
                                  "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                                  "/t"};

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i += 2) {
        if (strcmp(name, table[i]) == 0) {
            return table[i + 1];
        }
    }
    return NULL;
}

/* Each piece between form feeds is what the token file holds and what is answered. */
static void exchange(int kind, media_str_t input)
{
    static media_s3_exchange_t x;
    media_s3_source_t source = {.kind = 0};
    int rc = MEDIA_E_AGAIN;

    MUST(media_s3_source_load(&source, kind, MEDIA_STR("r"), get, NULL) == 0);
    media_s3_exchange_init(&x, &source);
    while (rc == MEDIA_E_AGAIN) {
        const char *cut = input.len == 0 ? NULL : memchr(input.p, '\f', input.len);
        media_str_t piece = {input.p, cut == NULL ? input.len : (size_t)(cut - input.p)};

        if (media_s3_exchange_next(&x, piece, NULL) != 0) {
            break;
        }
        must_be_text(x.target, 0);
        MUST(x.target[0] == '/' && strpbrk(x.header, "\r\n") == NULL);
        MUST(x.body.len == 0 || strpbrk(x.body.p, "\r\n ") == NULL);
        memset(&cred, 0, sizeof(cred));
        rc = media_s3_exchange_answer(&x, 200, piece, NOW, &cred, NULL);
        must_be_whole(rc);
        input.p += cut == NULL ? input.len : piece.len + 1;
        input.len -= cut == NULL ? input.len : piece.len + 1;
    }
    media_s3_exchange_free(&x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    media_str_t text = {(const char *)data + 1, size - 1};

    if (size == 0) {
        return 0;
    }
    memset(&cred, 0, sizeof(cred));
    switch (data[0]) {
    case 'i':
        must_be_whole(media_s3_cred_ini(text, MEDIA_STR("default"), &cred, NULL));
        break;
    case 'j':
        must_be_whole(media_s3_cred_json(text, NOW, &cred, NULL));
        break;
    case 's':
        must_be_whole(media_s3_cred_sts(text, NOW, &cred, NULL));
        break;
    case 'w':
        exchange(MEDIA_S3_SOURCE_WEB_IDENTITY, text);
        break;
    case 'e':
        exchange(MEDIA_S3_SOURCE_ECS, text);
        break;
    default:
        exchange(MEDIA_S3_SOURCE_IMDS, text);
        break;
    }
    return 0;
}
