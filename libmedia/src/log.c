#include "media/log.h"

#include "media/err.h"

static const char *const level_names[] = {
    [MEDIA_LOG_DEBUG] = "debug",
    [MEDIA_LOG_INFO] = "info",
    [MEDIA_LOG_WARN] = "warn",
    [MEDIA_LOG_ERROR] = "error",
};

int media_log_line(media_buf_t *out, enum media_level level, int64_t unix_ms, const char *svc,
                   const char *msg, const char *const *kv)
{
    char ts[32];
    media_rfc3339(unix_ms, ts, sizeof(ts));
    media_buf_fmt(out, "{\"ts\":\"%s\",\"level\":\"%s\",\"msg\":", ts, level_names[level]);
    media_buf_json(out, media_str(msg));
    media_buf_cstr(out, ",\"svc\":");
    media_buf_json(out, media_str(svc));
    for (; kv != NULL && kv[0] != NULL; kv += 2) {
        media_buf_cstr(out, ",");
        media_buf_json(out, media_str(kv[0]));
        media_buf_cstr(out, ":");
        if (kv[1] == NULL) {
            media_buf_cstr(out, "null");
        } else {
            media_buf_json(out, media_str(kv[1]));
        }
    }
    return media_buf_cstr(out, "}\n");
}

int media_log_level_parse(media_str_t name)
{
    for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
        if (media_str_eq(name, media_str(level_names[i]))) {
            return (int)i;
        }
    }
    return MEDIA_E_REJECT;
}
