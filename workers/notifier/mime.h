/* The few pieces of MIME a notification needs (RFC 5322, 2045, 2047). Lines end in CRLF. */
#ifndef MIME_H
#define MIME_H

#include "media/buf.h"

/* "Name: text" with text as it is when it is short printable ASCII, else in encoded words (RFC
 * 2047). Control characters become spaces: a value cannot start another header. [any] */
void mime_header(media_buf_t *out, const char *name, const char *text);
/* A text/<subtype> part with its own header: 7bit when that is possible, else quoted-printable.
 * `text` is UTF-8 with LF. [any] */
void mime_text_part(media_buf_t *out, const char *subtype, media_str_t text);
/* 1 for a plain dot-atom address of ASCII (RFC 5321 4.1.2): nothing in it can act on a header or on
 * an SMTP command. [any] */
int mime_address_valid(const char *s);

#endif
