/* A small JSON document in one array of nodes over the text it was read from: no allocation, so
 * that a token's header and claims cost less in nginx's loop than its signature. Accepts exactly
 * what media_json_parse() accepts (a fuzz target compares them), within the limits below. */
#ifndef MEDIA_JSONDOC_H
#define MEDIA_JSONDOC_H

#include "media/err.h"
#include "media/str.h"

#define MEDIA_JSONDOC_TEXT_MAX 65535
#define MEDIA_JSONDOC_NODES_MAX 65535

enum media_jsondoc_type {
    MEDIA_JSON_OBJECT,
    MEDIA_JSON_ARRAY,
    MEDIA_JSON_STRING,
    MEDIA_JSON_INTEGER, /* of 64 bits */
    MEDIA_JSON_REAL,
    MEDIA_JSON_TRUE,
    MEDIA_JSON_FALSE,
    MEDIA_JSON_NULL
};

/* Nodes stand in the order of the text. A member of an object is two nodes: its name, then its
 * value; the name's `next` is the name behind that value. */
typedef struct {
    uint16_t off; /* of a string's or number's text */
    uint16_t len;
    uint16_t next; /* index of what follows the node with all it holds */
    uint16_t type;
} media_jsonnode_t;

typedef struct {
    const char *text;
    const media_jsonnode_t *nodes; /* [0] is the root, an object */
    size_t nnodes;
} media_jsondoc_t;

/* Reads one object out of text[0..len), which is changed: strings lose their escapes where they
 * stand. *doc borrows text and nodes. MEDIA_E_REJECT: not JSON, not an object, a duplicate member,
 * a NUL in a string, deeper than 32. MEDIA_E_TOOBIG: a limit above, or more than `cap` nodes. [any]
 */
int media_jsondoc_parse(char *text, size_t len, media_jsonnode_t *nodes, size_t cap,
                        media_jsondoc_t *doc);

/* Index of the value of member `name` of the object at `at`; 0 (the root is nobody's member) when
 * it is absent or `at` is no object. [any] */
size_t media_jsondoc_get(const media_jsondoc_t *doc, size_t at, media_str_t name);

static inline enum media_jsondoc_type media_jsondoc_type(const media_jsondoc_t *doc, size_t at)
{
    return (enum media_jsondoc_type)doc->nodes[at].type;
}

/* The same of several members of the root in one pass: at[i] for names[i]. [any] */
void media_jsondoc_find(const media_jsondoc_t *doc, const media_str_t *names, size_t n, size_t *at);

/* A string's value, a number's text. [any] */
static inline media_str_t media_jsondoc_text(const media_jsondoc_t *doc, size_t at)
{
    return (media_str_t){doc->text + doc->nodes[at].off, doc->nodes[at].len};
}

/* The values of an array one by one: for (i = at + 1; i < end; i = next(doc, i)). [any] */
static inline size_t media_jsondoc_next(const media_jsondoc_t *doc, size_t at)
{
    return doc->nodes[at].next;
}

/* Values of an INTEGER node and of an INTEGER or REAL node. [any] */
int64_t media_jsondoc_int(const media_jsondoc_t *doc, size_t at);
double media_jsondoc_real(const media_jsondoc_t *doc, size_t at);

#endif
