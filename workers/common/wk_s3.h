/* S3 by libcurl (easy), signed by libmedia. One handle for both stores, connections kept alive;
 * which store an object lies in is told by its key. */
#ifndef WK_S3_H
#define WK_S3_H

#include <sys/types.h>
#include "wk_conf.h"
#include "media/buf.h"
#include "media/s3req.h"
#include "media/s3resp.h"

typedef struct wk_s3_s wk_s3_t;

/* conf is borrowed. NULL when out of memory. [thread] */
wk_s3_t *wk_s3_new(const wk_conf_t *conf);
/* Another handle to the same stores, with the same credentials. */
wk_s3_t *wk_s3_like(const wk_s3_t *other);
void wk_s3_free(wk_s3_t *s);

/* From now on `tick` (NULL: none) is called at least once a second while a request runs or waits
 * for its next try. What it returns other than 0, a negative code, ends the request with that code.
 */
typedef int (*wk_s3_tick_pt)(void *data);
void wk_s3_on_tick(wk_s3_t *s, wk_s3_tick_pt tick, void *data);

/* What S3 does not answer, or answers with a failure of its own, is tried again for so long,
 * instead of three times. Not the begin of an upload in parts. */
void wk_s3_patience(wk_s3_t *s, int64_t ms);

/* The size of an object. */
int wk_s3_head(wk_s3_t *s, const char *key, int64_t *size, media_err_t *ei);
/* Calls `each` for every object below a prefix, in the order of keys; what it returns other than 0,
 * a negative code, ends the listing with that code. The store is the one that the prefix has as a
 * key. */
typedef int (*wk_s3_each_pt)(void *data, media_str_t key, int64_t size);
int wk_s3_list(wk_s3_t *s, const char *prefix, wk_s3_each_pt each, void *data, media_err_t *ei);

/* Reads bytes off..off+len-1 of an object into dst; fewer only at the object's end (returns the
 * count). Codes: as media_s3_verdict, MEDIA_E_RETRY also when unreachable. Three tries with
 * back-off inside. */
ssize_t wk_s3_get_range(wk_s3_t *s, const char *key, int64_t off, size_t len, void *dst,
                        media_err_t *ei);

/* Uploads `size` bytes of fd (from offset 0) as `key`: one PUT up to 64 MiB, else multipart of 16
 * MiB parts. on_upload_id (may be NULL) is called with the S3 upload id before its first part is
 * sent, a non-zero return aborts. Payload signed by its sha256. etag_out >= 80 bytes. */
typedef int (*wk_s3_upload_id_pt)(void *data, const char *key, const char *upload_id);
int wk_s3_put_fd(wk_s3_t *s, const char *key, const char *content_type, int fd, int64_t size,
                 wk_s3_upload_id_pt on_upload_id, void *data, char *etag_out, size_t etag_cap,
                 media_err_t *ei);

/* Its first `len` bytes (more than 0), fewer only if it has no more, and its size. As
 * wk_s3_get_range(). */
ssize_t wk_s3_get_first(wk_s3_t *s, const char *key, size_t len, void *dst, int64_t *size,
                        media_err_t *ei);

/* Stores the bytes as `key` by one PUT. */
int wk_s3_put_mem(wk_s3_t *s, const char *key, const char *content_type, const void *p, size_t len,
                  media_err_t *ei);

/* An upload in parts, which the caller makes one after the other: WK_S3_PARTS_MAX at most, none but
 * the last below 5 MiB. Nothing of it is to be seen before its end. After a begin that succeeded it
 * is ended or aborted, once. */
#define WK_S3_PARTS_MAX 10000
typedef struct {
    const char *key;
    char id[1024]; /* of the upload */
    int parts;     /* sent so far */
    media_buf_t xml;
    uint64_t crc; /* of all parts in a row, if the target has CRC64NVME */
} wk_s3_upload_t;
/* Bytes of a part, `least` or more, so that an object of `size` bytes is not too many of them. */
int64_t wk_s3_part_size(int64_t size, int64_t least);
/* One try: a second one could leave an upload that nobody knows. `key` is borrowed. */
int wk_s3_upload_begin(wk_s3_t *s, wk_s3_upload_t *u, const char *key, const char *content_type,
                       media_err_t *ei);
int wk_s3_upload_part(wk_s3_t *s, wk_s3_upload_t *u, const void *p, size_t len, media_err_t *ei);
/* Where S3's answer got lost, an object that stands under the key is taken for this one. A failure
 * wants an abort, too. */
int wk_s3_upload_end(wk_s3_t *s, wk_s3_upload_t *u, char *etag_out, size_t etag_cap,
                     media_err_t *ei);
void wk_s3_upload_abort(wk_s3_t *s, wk_s3_upload_t *u);

int wk_s3_delete(wk_s3_t *s, const char *key, media_err_t *ei); /* absent: 0 */
/* Deletes every version and delete marker that S3 lists under exactly this key: of a bucket without
 * versions the object. Where S3 has no such listing, as wk_s3_delete. */
int wk_s3_delete_versions(wk_s3_t *s, const char *key, media_err_t *ei);
int wk_s3_abort(wk_s3_t *s, const char *key, const char *upload_id,
                media_err_t *ei); /* absent: 0 */
/* Aborts every multipart upload S3 lists under exactly this key. */
int wk_s3_abort_listed(wk_s3_t *s, const char *key, media_err_t *ei);
int wk_s3_ready(wk_s3_t *s, media_err_t *ei); /* HEAD of each bucket */

#endif
