/* Detectors of OpenCV behind a C interface. No exception, no C++ type and no allocation of C++
 * leaves cv_shim.cc. One thread computes. [thread] all of them. */
#ifndef CV_SHIM_H
#define CV_SHIM_H

#include "an_hit.h"
#include "media/err.h"

#define CV_SHIM_FILES 3

typedef struct cv_shim_s cv_shim_t;

/* A model's file, read already; `path` is for what OpenCV opens by a path alone (cascades of
 * OpenCV 1). Both stay the caller's; not needed after cv_shim_open. */
typedef struct {
    const char *path;
    const char *bytes;
    size_t len;
} cv_shim_file_t;

/* Loads the files of the kind in the order of an_models.h and runs the network once, so that later
 * calls open no file and start no thread. Owned; NULL: what OpenCV says of the model is in ei. */
cv_shim_t *cv_shim_open(enum an_kind kind, const cv_shim_file_t *files, size_t n, media_err_t *ei);
void cv_shim_close(cv_shim_t *shim); /* NULL safe */

/* Finds what is in a picture of w x h, BGR without padding. The number of hits, best first, at most
 * `max` (then there may be more), of score AN_SCORE_MIN and above; MEDIA_E_RETRY with the cause
 * when OpenCV fails or finds what is no box, MEDIA_E_REJECT when the picture is empty or too large.
 */
int cv_shim_detect(cv_shim_t *shim, uint32_t w, uint32_t h, const uint8_t *bgr, an_hit_t *hits,
                   int max, media_err_t *ei);

const char *cv_shim_version(void); /* of OpenCV; borrowed, static */

#endif
