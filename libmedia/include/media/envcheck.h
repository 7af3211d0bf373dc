/* Checks of environment variables that gateway and workers are told alike, so that both take, and
 * refuse, the same values in the same words. Each returns NULL when the value is fine, else what it
 * should have been (static). [any] */
#ifndef MEDIA_ENVCHECK_H
#define MEDIA_ENVCHECK_H

const char *media_envcheck_amqp_url(const char *value);
const char *media_envcheck_s3_source(const char *value);     /* MEDIA_S3_CREDENTIALS */
const char *media_envcheck_s3_addressing(const char *value); /* MEDIA_S3_ADDRESSING */
const char *media_envcheck_s3_sum(const char *value);        /* MEDIA_S3_CHECKSUM */
const char *media_envcheck_s3_sse(const char *value);        /* MEDIA_S3_SSE */

#endif
