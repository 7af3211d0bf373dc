/* Names of objects in S3: the only place that makes or reads them. Keys contain ids only, never a
 * client's file name.
 *   {prefix}media/{media}/original               the uploaded file
 *   {prefix}media/{media}/{job}/{fence}/{name}   an output of one attempt of one job; a zombie of
 * an older attempt writes under another fence and overwrites nothing. The prefix of an original is
 * the gateway's to choose, per upload; that of an output is one of the workers, then its
 * original's. Whoever reads goes by the key in the row; by its shape only the store is told. */
#ifndef MEDIA_OBJKEY_H
#define MEDIA_OBJKEY_H

#include "media/err.h"
#include "media/str.h"

#define MEDIA_OBJKEY_MAX 512
#define MEDIA_OBJKEY_PREFIX_MAX 256
#define MEDIA_OUTPUT_NAME_MAX 128

/* The two stores, one and the same unless they are configured apart. */
enum media_store {
    MEDIA_STORE_INPUT = 0, /* what clients uploaded */
    MEDIA_STORE_OUTPUT,    /* what jobs made of it */
    MEDIA_STORE_COUNT
};

/* Where an object lies: an original in the input store, everything else in the output store. [any]
 */
enum media_store media_objkey_store(media_str_t key);

/* Return the length, NUL-terminated in dst, or MEDIA_E_REJECT (an id that is no UUID, a name
 * that is not valid or looks like an original, a bad prefix) / MEDIA_E_TOOBIG. [any] */
ssize_t media_objkey_original(media_str_t prefix, media_str_t media_id, char *dst, size_t cap);
ssize_t media_objkey_output(media_str_t prefix, media_str_t media_id, media_str_t job_id,
                            int64_t fence, media_str_t name, char *dst, size_t cap);
/* 1 if `s` may be a prefix: empty, or segments that each end in '/' and are neither empty nor "."
 * nor "..", of characters that S3 servers on any file system take. [any] */
int media_objkey_prefix_valid(media_str_t s);
/* 1 if `name` may name an output: parts of [a-z0-9._-] with '/' between, none of them empty or
 * starting with '.'. [any] */
int media_output_name_valid(media_str_t name);

#endif
