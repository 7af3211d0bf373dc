#include "ob_copy.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "wk_log.h"

#define COPY_KEY_MAX (MEDIA_OBJKEY_MAX + 16)
#define NO_TYPE "" /* rows know it */

int ob_open(ob_t *ob, const ob_t *like, const wk_conf_t *live, const wk_conf_t *backup)
{
    *ob = (ob_t){.piece_max = live->backup_piece};
    ob->live = like != NULL ? wk_s3_like(like->live) : wk_s3_new(live);
    ob->backup = like != NULL ? wk_s3_like(like->backup) : wk_s3_new(backup);
    if (ob->live == NULL || ob->backup == NULL) {
        ob_close(ob);
        return MEDIA_E_NOMEM;
    }
    if (like != NULL) {
        ob->tick = like->tick;
        wk_s3_on_tick(ob->live, ob->tick, NULL);
        wk_s3_on_tick(ob->backup, ob->tick, NULL);
    }
    wk_s3_patience(ob->live, 1000ll * live->await_s / OB_TRIES);
    wk_s3_patience(ob->backup, 1000ll * live->await_s / OB_TRIES);
    return 0;
}

void ob_close(ob_t *ob)
{
    wk_s3_free(ob->live);
    wk_s3_free(ob->backup);
    free(ob->piece);
    *ob = (ob_t){.piece = NULL};
}

static const char *copy_key(const ob_line_t *line, char dst[COPY_KEY_MAX])
{
    return wk_fmt(dst, COPY_KEY_MAX, "objects/%s", line->key);
}

/* ---- reading: piece by piece, hashed ---- */

typedef struct {
    ob_t *ob;
    wk_s3_t *from;
    const char *key;
    int64_t size, off;
    int64_t piece; /* bytes of all but the last */
    ssize_t first; /* bytes of the first, which is there already */
    EVP_MD_CTX *md;
} reader_t;

/* Memory for pieces of r->piece bytes. */
static int take_piece(reader_t *r, media_err_t *ei)
{
    ob_t *ob = r->ob;

    if (r->piece > ob->piece_size) {
        free(ob->piece);
        ob->piece = malloc((size_t)r->piece);
        ob->piece_size = ob->piece != NULL ? r->piece : 0;
    }
    return ob->piece != NULL ? 0 : media_err_set(ei, MEDIA_E_NOMEM, "out of memory");
}

/* Larger ones, if the object were too many pieces for S3. */
static int fit_piece(reader_t *r, media_err_t *ei)
{
    int64_t fits = wk_s3_part_size(r->size, r->piece);

    if (fits != r->piece) {
        r->piece = fits;
        r->first = 0;
    }
    return take_piece(r, ei);
}

/* Reads the first piece, which tells the size. MEDIA_E_GONE: there is no such object. */
static int reader_init(reader_t *r, ob_t *ob, wk_s3_t *from, const char *key, media_err_t *ei)
{
    int rc;

    *r = (reader_t){.ob = ob, .from = from, .key = key, .piece = ob->piece_max};
    r->md = EVP_MD_CTX_new();
    if (r->md == NULL || EVP_DigestInit_ex(r->md, EVP_sha256(), NULL) != 1) {
        return media_err_set(ei, MEDIA_E_NOMEM, "out of memory");
    }
    rc = take_piece(r, ei);
    if (rc == 0) {
        r->first = wk_s3_get_first(from, key, (size_t)r->piece, ob->piece, &r->size, ei);
        rc = r->first < 0 ? (int)r->first : fit_piece(r, ei);
    }
    return rc;
}

static void reader_free(reader_t *r)
{
    EVP_MD_CTX_free(r->md);
}

/* The next piece is in ob->piece; its length, 0 behind the last. */
static ssize_t reader_next(reader_t *r, media_err_t *ei)
{
    int64_t left = r->size - r->off;
    size_t want = (size_t)(left < r->piece ? left : r->piece);
    ssize_t n = r->first;

    if (n == 0) {
        n = wk_s3_get_range(r->from, r->key, r->off, want, r->ob->piece, ei);
    }
    r->first = 0;
    if (n == MEDIA_E_GONE || (n >= 0 && (size_t)n != want)) {
        return media_err_set(ei, MEDIA_E_REJECT, "not all of it is there");
    }
    if (n > 0) {
        r->off += n;
        (void)EVP_DigestUpdate(r->md, r->ob->piece, (size_t)n);
    }
    return n;
}

static void reader_digest(reader_t *r, char sha256[65])
{
    unsigned char digest[EVP_MAX_MD_SIZE];

    (void)EVP_DigestFinal_ex(r->md, digest, NULL);
    (void)media_hex_encode(digest, 32, sha256, 65);
}

/* Of what is left of it. */
static int digest_of(reader_t *r, char sha256[65], media_err_t *ei)
{
    ssize_t n;

    while ((n = reader_next(r, ei)) > 0) {
    }
    if (n == 0) {
        reader_digest(r, sha256);
    }
    return (int)n;
}

/* ---- copying ---- */

typedef struct {
    wk_s3_t *to;
    const char *key;
    const char *want; /* digest; empty: any */
    char got[65];
} target_t;

static int judge(reader_t *r, target_t *t, media_err_t *ei)
{
    reader_digest(r, t->got);
    return t->want[0] == '\0' || strcmp(t->want, t->got) == 0
               ? 0
               : media_err_set(ei, MEDIA_E_REJECT, "its bytes are not those of its row");
}

static int copy_whole(reader_t *r, target_t *t, media_err_t *ei)
{
    ssize_t n = reader_next(r, ei);
    int rc = n < 0 ? (int)n : judge(r, t, ei);

    return rc != 0 ? rc : wk_s3_put_mem(t->to, t->key, NO_TYPE, r->ob->piece, (size_t)n, ei);
}

/* An upload that ended with its answer lost is taken for good if anything stands under the key:
 * that may be what stood there before, whose size was another. */
static int verify_size(const reader_t *r, const target_t *t, media_err_t *ei)
{
    int64_t size;
    int rc = wk_s3_head(t->to, t->key, &size, ei);

    return rc != 0 || size == r->size ? rc
                                      : media_err_set(ei, MEDIA_E_RETRY, "the copy did not stand");
}

static int copy_parts(reader_t *r, target_t *t, media_err_t *ei)
{
    wk_s3_upload_t u;
    char etag[128];
    ssize_t n;
    int rc = wk_s3_upload_begin(t->to, &u, t->key, NO_TYPE, ei);

    if (rc != 0) {
        return rc;
    }
    while (rc == 0 && (n = reader_next(r, ei)) != 0) {
        rc = n < 0 ? (int)n : wk_s3_upload_part(t->to, &u, r->ob->piece, (size_t)n, ei);
    }
    if (rc == 0) {
        rc = judge(r, t, ei);
    }
    if (rc == 0) {
        rc = wk_s3_upload_end(t->to, &u, etag, sizeof(etag), ei);
    }
    if (rc != 0) {
        wk_s3_on_tick(t->to, NULL, NULL); /* also when we were told to end */
        wk_s3_upload_abort(t->to, &u);
        wk_s3_on_tick(t->to, r->ob->tick, NULL);
        return rc;
    }
    return verify_size(r, t, ei);
}

static int copy(reader_t *r, target_t *t, media_err_t *ei)
{
    int rc = r->size <= r->piece ? copy_whole(r, t, ei) : copy_parts(r, t, ei);

    /* not the object: the upload, or the bucket */
    return rc == MEDIA_E_GONE ? MEDIA_E_RETRY : rc;
}

/* ---- the three things that are done to an object ---- */

static int fits(const ob_line_t *line, const reader_t *r)
{
    return line->size < 0 || line->size == r->size;
}

static int copy_new(ob_t *ob, ob_line_t *line, const char *to, media_err_t *ei)
{
    target_t t = {.to = ob->backup, .key = to, .want = line->sha256};
    reader_t r;
    int rc = reader_init(&r, ob, ob->live, line->key, ei);

    if (rc == 0 && !fits(line, &r)) {
        rc = media_err_set(ei, MEDIA_E_GONE, "it is of another size");
    } else if (rc == 0) {
        rc = copy(&r, &t, ei);
    }
    if (rc == 0) {
        line->size = r.size;
        memcpy(line->sha256, t.got, sizeof(t.got));
    }
    reader_free(&r);
    return rc;
}

/* Size and digest by the copy. MEDIA_E_GONE: there is none, or not of that size. */
static int learn(ob_t *ob, ob_line_t *line, const char *key, media_err_t *ei)
{
    char sha256[65];
    reader_t r;
    int rc = reader_init(&r, ob, ob->backup, key, ei);

    if (rc == 0) {
        rc = fits(line, &r) ? digest_of(&r, sha256, ei) : MEDIA_E_GONE;
    }
    if (rc == 0) {
        line->size = r.size;
        memcpy(line->sha256, sha256, sizeof(sha256));
    }
    reader_free(&r);
    return rc;
}

int ob_backup(ob_t *ob, ob_line_t *line, media_err_t *ei)
{
    char to[COPY_KEY_MAX];
    int rc = MEDIA_E_GONE;

    (void)copy_key(line, to);
    if (line->size < 0 || line->sha256[0] == '\0') {
        rc = learn(ob, line, to, ei);
    }
    return rc == MEDIA_E_GONE ? copy_new(ob, line, to, ei) : rc;
}

static int compare(reader_t *r, const ob_line_t *line, const char *cause, media_err_t *ei)
{
    char sha256[65];
    int rc = digest_of(r, sha256, ei);

    return rc != 0 || strcmp(sha256, line->sha256) == 0
               ? rc
               : media_err_set(ei, MEDIA_E_REJECT, "%s", cause);
}

/* Reads its copy, which has to be there. */
static int copy_reader_init(reader_t *r, ob_t *ob, const ob_line_t *line, char key[COPY_KEY_MAX],
                            media_err_t *ei)
{
    int rc = reader_init(r, ob, ob->backup, copy_key(line, key), ei);

    return rc == MEDIA_E_GONE || (rc == 0 && !fits(line, r))
               ? media_err_set(ei, MEDIA_E_REJECT, "it has no copy of its size")
               : rc;
}

static int copy_back(ob_t *ob, const ob_line_t *line, media_err_t *ei)
{
    target_t t = {.to = ob->live, .key = line->key, .want = line->sha256};
    char from[COPY_KEY_MAX];
    reader_t r;
    int rc = copy_reader_init(&r, ob, line, from, ei);

    if (rc == 0) {
        rc = copy(&r, &t, ei);
    }
    reader_free(&r);
    return rc;
}

int ob_restore(ob_t *ob, ob_line_t *line, media_err_t *ei)
{
    reader_t r;
    int rc = reader_init(&r, ob, ob->live, line->key, ei);

    if (rc == 0 && fits(line, &r)) {
        rc = compare(&r, line, "there with other bytes", ei);
    } else if (rc == 0 || rc == MEDIA_E_GONE) {
        rc = copy_back(ob, line, ei);
    }
    reader_free(&r);
    return rc;
}

int ob_check(ob_t *ob, ob_line_t *line, media_err_t *ei)
{
    char key[COPY_KEY_MAX];
    reader_t r;
    int rc = copy_reader_init(&r, ob, line, key, ei);

    if (rc == 0) {
        rc = compare(&r, line, "its copy has other bytes", ei);
    }
    reader_free(&r);
    return rc;
}

static int write_all(int fd, const char *p, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, p, len);

        if (n <= 0) {
            return -1;
        }
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int ob_get_file(ob_t *ob, const char *key, int fd, media_err_t *ei)
{
    reader_t r;
    ssize_t n = reader_init(&r, ob, ob->backup, key, ei);

    while (n == 0 && (n = reader_next(&r, ei)) > 0) {
        n = write_all(fd, ob->piece, (size_t)n);
        if (n != 0) {
            n = media_err_set(ei, MEDIA_E_REJECT, "the file cannot be written");
        }
    }
    reader_free(&r);
    return (int)n;
}
