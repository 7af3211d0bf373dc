/* Which pictures of a film were looked at, and what was found in them: the document that each
 * `detect` job leaves for `associate`. */
#ifndef AN_FOUND_H
#define AN_FOUND_H

#include "an_hit.h"
#include "media/buf.h"
#include "media/err.h"

#define AN_FOUND_LOOKS_MAX (1u << 22)
#define AN_FOUND_HITS_MAX (4u << 20)
#define AN_FOUND_BYTES_MAX (192u << 20) /* of one document, and of all together */

enum an_look_flag {
    AN_LOOK_SEEN = 1,   /* the detector was asked */
    AN_LOOK_CUT = 2,    /* another scene begins with the picture */
    AN_LOOK_DAMAGED = 4 /* it could not be decoded rightly */
};

typedef struct {
    uint32_t picture; /* its number in the index */
    uint32_t flags;
    uint32_t first, n; /* hits */
} an_look_t;

typedef struct {
    an_look_t *looks; /* by ascending pictures */
    uint32_t nlooks, looks_cap;
    an_hit_t *hits; /* fractions of the upright picture */
    uint32_t nhits, hits_cap;
} an_found_t;

/* Appends. 0; MEDIA_E_REJECT: a hit is no box, or the picture is not behind the last one;
 * MEDIA_E_TOOBIG: a limit, or no memory. Each with a cause. */
int an_found_look(an_found_t *f, uint32_t picture, uint32_t flags, const an_hit_t *hits, int n,
                  media_err_t *ei);
void an_found_free(an_found_t *f);

/* Appends the serialized form; the buffer's failure. */
int an_found_write(const an_found_t *f, media_buf_t *out);
/* Appends what a document says, trusting nothing: 0, or MEDIA_E_REJECT or MEDIA_E_NOMEM with a
 * cause. To be freed in any case. */
int an_found_read(const void *p, size_t len, an_found_t *f, media_err_t *ei);

#endif
