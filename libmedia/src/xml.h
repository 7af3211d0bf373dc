/* A strict pull reader for the small XML documents S3 sends (private to libmedia).
 *
 * It knows elements, text, the five entities and character references. Declarations other than
 * <?xml ?>, comments, CDATA and processing instructions are refused: no S3 server sends them in
 * these documents, and what is not read cannot be misread. Pure; views into the document. */
#ifndef MEDIA_XML_H
#define MEDIA_XML_H

#include "media/err.h"
#include "media/str.h"

#define XML_DEPTH_MAX 16

enum xml_event { XML_OPEN, XML_TEXT, XML_CLOSE, XML_END };

typedef struct {
    const char *p;
    const char *end;
    media_str_t stack[XML_DEPTH_MAX];
    int depth; /* open elements; after XML_OPEN the new one is stack[depth - 1], after XML_CLOSE the
                  closed one is still stack[depth] */
    int closing; /* an empty-element tag's XML_CLOSE is still due */
    int has_root;
    media_str_t text; /* of XML_TEXT, raw */
} xml_t;

/* MEDIA_E_REJECT when the document is empty, holds NUL or is no UTF-8. [any] */
int xml_init(xml_t *x, media_str_t body);
/* The next event, or MEDIA_E_REJECT: not well-formed, or deeper than XML_DEPTH_MAX. [any] */
int xml_next(xml_t *x);
/* Raw text with its references resolved, NUL-terminated: length, MEDIA_E_TOOBIG, or MEDIA_E_REJECT
 * for an unknown reference. With cap 0 it only checks (MEDIA_E_TOOBIG: fine). [any] */
ssize_t xml_decode(media_str_t raw, char *dst, size_t cap);

/* Called at the end of every element, which is x->stack[x->depth]; raw is its text if it held
 * nothing else, p == NULL otherwise. Non-zero ends the walk. */
typedef int (*xml_close_pt)(void *data, const xml_t *x, media_str_t raw);
/* Goes through a whole document. 0, what on_close returned, MEDIA_E_REJECT, or MEDIA_E_TOOBIG above
 * `max` bytes. [any] */
int xml_walk(media_str_t body, size_t max, xml_close_pt on_close, void *data);

#endif
