/* Lines of a manifest: store TAB key TAB size TAB sha256, which docker/ops/backup.sh writes. */
#ifndef OB_LINE_H
#define OB_LINE_H

#include "media/err.h"
#include "media/objkey.h"
#include "media/str.h"

#define OB_LINE_MAX 1024

typedef struct {
    enum media_store store;
    char key[MEDIA_OBJKEY_MAX];
    int64_t size;    /* -1: not known yet */
    char sha256[65]; /* hex; empty: not known yet */
} ob_line_t;

/* `text` is without its newline. MEDIA_E_REJECT: it is no such line. [any] */
int ob_line_parse(media_str_t text, ob_line_t *out, media_err_t *ei);
/* As it is parsed, with its newline, NUL-terminated; the length. [any] */
size_t ob_line_format(const ob_line_t *line, char dst[OB_LINE_MAX]);

#endif
