/* What `associate` leaves for the jobs that render, and for a later edit of the same film: the
 * index, what was found, what is masked. */
#ifndef AN_KEPT_H
#define AN_KEPT_H

#include "an_veils.h"
#include "media/vindex.h"

#define AN_KEPT_BYTES_MAX (640u << 20)

typedef struct {
    uint64_t look; /* digest of all parameters that decide how a mask and the rest look */
    int is_hdr;
    char hdr[256]; /* of vd_range_plan_t */
    media_vindex_t index;
    an_found_t found;
    an_veils_t veils;
} an_kept_t;

/* Appends the serialized form. 0, or a failure with a cause. */
int an_kept_write(const an_kept_t *k, media_buf_t *out, media_err_t *ei);
/* 1 if it is one at all; an index alone is none. */
int an_kept_is(const void *p, size_t len);
/* The inverse, trusting nothing: 0, or MEDIA_E_REJECT or MEDIA_E_NOMEM with a cause. To be freed in
 * any case. */
int an_kept_read(const void *p, size_t len, an_kept_t *out, media_err_t *ei);
void an_kept_free(an_kept_t *k);

#endif
