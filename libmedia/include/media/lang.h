/* Language tags: containers name languages by ISO 639-2, HTTP, HLS and DASH by RFC 5646. */
#ifndef MEDIA_LANG_H
#define MEDIA_LANG_H

/* The shortest code of the language (RFC 5646 4.5): "de" for "deu" and "ger"; anything that is no
 * three-letter code with a shorter one is returned itself. Static or the argument. [any] */
const char *media_lang_tag(const char *code);

#endif
