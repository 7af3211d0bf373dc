/* The models that are known: files, publishers, digests, licences; and reading a model's files from
 * MEDIA_MODELS. Shared by the detector process and mediactl. */
#ifndef AN_MODELS_H
#define AN_MODELS_H

#include "an_hit.h"
#include "media/err.h"

#define AN_MODEL_FILES 3
#define AN_DIGEST_TEXT 65
#define AN_FILE_MAX (1ll << 30)
#define AN_CASCADES "/usr/share/opencv4/haarcascades" /* Debian package opencv-data */

typedef struct {
    const char *name;   /* in MEDIA_MODELS */
    const char *sha256; /* NULL: the operator's own, any will do */
    const char *url;    /* NULL: not to be fetched */
} an_file_t;

typedef struct {
    const char *name;
    enum an_kind kind;
    an_file_t files[AN_MODEL_FILES]; /* as cv_shim_open wants them; ended by a NULL name */
    const char *licence;             /* what the publisher states */
    const char *licence_url;         /* NULL: comes with a package */
    const char *about;
} an_model_t;

/* The table; its length in *n. Several of one kind: the first whose first file is there is used, so
 * an operator's own network comes before the one that can be fetched. [any] */
const an_model_t *an_models(size_t *n);

/* A file of a model in memory. */
typedef struct {
    const char *name; /* borrowed, static */
    char path[4096];
    char sha256[AN_DIGEST_TEXT];
    char *bytes; /* owned */
    size_t len;
} an_loaded_t;

/* Which model of the kind `dir` has (NULL: none, and ei names what is missing). Cascades are also
 * found in AN_CASCADES. A kind without files (hog) has a model without files. [thread] */
const an_model_t *an_model_find(enum an_kind kind, const char *dir, media_err_t *ei);
/* Reads the model's files and checks their digests; the number of files. MEDIA_E_GONE: one cannot
 * be read. MEDIA_E_REJECT: empty, too large or not the published one. ei names the file. The bytes
 * are freed by an_model_free, which is due after a failure, too. [thread] */
int an_model_load(const an_model_t *model, const char *dir, an_loaded_t files[AN_MODEL_FILES],
                  media_err_t *ei);
void an_model_free(an_loaded_t files[AN_MODEL_FILES]);

/* Reads the file at `path` and checks it as one of a model's; f->bytes is NULL. Codes and texts as
 * an_model_load. [thread] */
int an_file_check(const an_file_t *file, const char *path, an_loaded_t *f, media_err_t *ei);

/* SHA-256 as hex. [any] */
void an_digest(const void *bytes, size_t len, char hex[AN_DIGEST_TEXT]);

#endif
