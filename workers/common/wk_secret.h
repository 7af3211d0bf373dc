/* A secret as text in a variable, or in the file that NAME_FILE names. A file is read each time the
 * secret is needed, so that an exchanged one needs no restart. */
#ifndef WK_SECRET_H
#define WK_SECRET_H

#include "media/err.h"

#define WK_SECRET_MAX 2048 /* with its end */

typedef struct {
    const char *name;  /* "AMQP_URL" */
    const char *value; /* of the variable, NULL: unset */
    const char *file;  /* of NAME_FILE, NULL: unset; one of both at most */
    /* NULL when the text is fine, else what it should have been */
    const char *(*check)(const char *text);
} wk_secret_t;

/* 1 if there is one. [any] */
int wk_secret_given(const wk_secret_t *s);
/* Its text without the newline at a file's end; cleanse dst afterwards. 0; MEDIA_E_RETRY: ei names
 * the variable and the file, and nothing of what is in it. [thread] */
int wk_secret_read(const wk_secret_t *s, char dst[WK_SECRET_MAX], media_err_t *ei);

#endif
