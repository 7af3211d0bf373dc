#include "media/stmt.h"

#include <stddef.h>

static const media_stmt_t stmts[] = {
#define X(name, nparams, text) {#name, text, nparams},
    MEDIA_STMTS(X)
#undef X
};

const media_stmt_t *media_stmt_get(enum media_stmt s)
{
    return (size_t)s < MEDIA_STMT_COUNT ? &stmts[s] : NULL;
}
