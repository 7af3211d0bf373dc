/* Setting the fields of credentials from outside (private to s3cred*.c). */
#ifndef MEDIA_S3CRED_SET_H
#define MEDIA_S3CRED_SET_H

#include "media/s3cred.h"

enum cred_field { CRED_ACCESS_KEY, CRED_SECRET_KEY, CRED_TOKEN, CRED_EXPIRES };

/* 1 if `s` is 1..max bytes of visible ASCII, as stands in a header or a request target. [any] */
int cred_text(media_str_t s, size_t max);
/* 0 or MEDIA_E_REJECT. [any] */
int cred_set(media_s3_cred_t *out, enum cred_field field, media_str_t value);

#endif
