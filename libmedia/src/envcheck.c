#include "media/envcheck.h"

#include <string.h>

#include "media/s3cred.h"
#include "media/s3req.h"

const char *media_envcheck_amqp_url(const char *v)
{
    return strncmp(v, "amqp://", 7) == 0 && v[7] != '\0' ? NULL
                                                         : "amqp://user:pass@host:port/vhost";
}

const char *media_envcheck_s3_source(const char *v)
{
    return media_s3_source_parse(media_str(v)) < 0 ? "env, file, web_identity, ecs or imds" : NULL;
}

const char *media_envcheck_s3_addressing(const char *v)
{
    return strcmp(v, "path") == 0 || strcmp(v, "virtual") == 0 ? NULL : "path or virtual";
}

const char *media_envcheck_s3_sum(const char *v)
{
    return media_s3_sum_parse(media_str(v)) < 0 ? "sha256, crc64nvme or none" : NULL;
}

const char *media_envcheck_s3_sse(const char *v)
{
    return media_s3_sse_parse(media_str(v)) < 0 ? "AES256 or aws:kms" : NULL;
}
