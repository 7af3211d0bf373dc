/* Credentials for S3, by the rules of libmedia's s3cred: from the environment, a file, STS or a
 * metadata service; read or asked for anew when they change or end. Blocking; shared by the S3
 * handles of a process, from any thread. */
#ifndef WK_CRED_H
#define WK_CRED_H

#include "media/s3cred.h"
#include "wk_conf.h"

typedef struct wk_cred_s wk_cred_t;

/* conf is borrowed; the credentials of its store `which`. NULL when out of memory; what is wrong
 * with the environment wk_cred_get() says. [thread] */
wk_cred_t *wk_cred_new(const wk_conf_t *conf, enum media_store which);
wk_cred_t *wk_cred_ref(wk_cred_t *c);
void wk_cred_unref(wk_cred_t *c);

/* Copies the credentials of now. Where they have to be asked for, at most three requests of 3 s
 * each; what was good stays in use until it is over. 0; MEDIA_E_RETRY: none now; MEDIA_E_AUTH: none
 * without another configuration. [thread] */
int wk_cred_get(wk_cred_t *c, media_s3_cred_t *out, media_err_t *ei);

#endif
