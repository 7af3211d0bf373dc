
/* Between the files of the credentials only. */

#ifndef _NGX_MEDIA_S3_ASK_H_INCLUDED_
#define _NGX_MEDIA_S3_ASK_H_INCLUDED_


#include "ngx_media_s3_cred.h"


/* ngx_media_s3_cred.c */
ssize_t ngx_media_s3_cred_read(const char *path, u_char *text,
    ngx_file_info_t *fi);
/* Reads source.file, of kind FILE. [conf], [loop] */
ngx_int_t ngx_media_s3_cred_load(ngx_media_s3_cred_t *c, media_err_t *err);
/* An exchange is over. [loop] */
void ngx_media_s3_cred_got(ngx_media_s3_cred_t *c, media_s3_cred_t *cred);
void ngx_media_s3_cred_failed(ngx_media_s3_cred_t *c, const char *cause);

/* ngx_media_s3_ask.c: starts an exchange; ends in one of the two. [loop] */
void ngx_media_s3_cred_ask(ngx_media_s3_cred_t *c);


#endif
