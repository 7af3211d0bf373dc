/* What was seen in a picture, as a document that its later edits go by: they mask what was found
 * the first time, whatever a detector would say today, or ids would be of somebody else. */
#ifndef AN_SEEN_KEPT_H
#define AN_SEEN_KEPT_H

#include "an_seen.h"
#include "media/buf.h"
#include "media/err.h"

#define AN_SEEN_BYTES_MAX (16u << 20)

/* Appends the serialized form; the buffer's failure. */
int an_seen_write(const an_seen_t *s, media_buf_t *out);
/* The inverse, trusting nothing: fills a fresh one. 0, or MEDIA_E_REJECT or MEDIA_E_NOMEM with a
 * cause. To be freed in any case. */
int an_seen_read(const void *p, size_t len, an_seen_t *s, media_err_t *ei);

#endif
