#include "an_stamp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "an_image.h"
#include "media/str.h"

#define MEMBER "stamp"

/* The file in base64; owned, NULL with a cause. */
static char *read_file(const char *path, media_err_t *ei)
{
    size_t cap = AN_STAMP_BYTES + 1, text_cap = 4 * (cap / 3 + 1) + 1;
    char *bytes = malloc(cap), *text = malloc(text_cap);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 && bytes != NULL && text != NULL ? read(fd, bytes, cap) : -1;

    if (n <= 0) {
        (void)media_err_set(ei, MEDIA_E_RETRY, "The image for masks cannot be read: %s.",
                            n < 0 ? strerror(errno) : "it is empty");
    } else if (n > AN_STAMP_BYTES) {
        (void)media_err_set(ei, MEDIA_E_RETRY, "The image for masks has more than %d bytes.",
                            AN_STAMP_BYTES);
        n = -1;
    }
    if (n <= 0 || media_b64_encode(bytes, (size_t)n, text, text_cap) < 0) {
        free(text);
        text = NULL;
    }
    free(bytes);
    if (fd >= 0) {
        (void)close(fd);
    }
    return text;
}

int an_stamp_send(json_t *limits, const char *path, const an_params_t *params, media_err_t *ei)
{
    char *text;

    if (params->style != AN_IMAGE) {
        return 0;
    }
    if (path == NULL) {
        return media_err_set(ei, MEDIA_E_REJECT,
                             "There is no image for masks here: choose another mask.");
    }
    text = read_file(path, ei);
    if (text == NULL) {
        return MEDIA_E_RETRY;
    }
    (void)json_object_set_new(limits, MEMBER, json_string(text));
    free(text);
    return 0;
}

int an_stamp_receive(const json_t *limits, const an_params_t *params, AVFrame **image, tc_fail_t *f)
{
    const tc_limits_t all = TC_LIMITS_DEFAULT;
    const char *text = json_string_value(json_object_get(limits, MEMBER));
    uint8_t *bytes;
    ssize_t n;

    *image = NULL;
    if (params->style != AN_IMAGE) {
        return 0;
    }
    bytes = malloc(AN_STAMP_BYTES);
    n = text != NULL && bytes != NULL ? media_b64_decode(media_str(text), bytes, AN_STAMP_BYTES)
                                      : -1;
    if (n > 0) {
        *image = an_image_load(bytes, (size_t)n, &all, f);
    }
    free(bytes);
    return *image != NULL ? 0 : tc_fail(f, "internal", "The image for masks is not usable.");
}
