/* The parent's side of a detector process: starting it, asking it, noticing its death. No OpenCV
 * here. A detector belongs to one thread, and that thread must live as long as the detector: the
 * kernel kills the process when the thread that started it ends. */
#ifndef AN_DETECTOR_H
#define AN_DETECTOR_H

#include <jansson.h>
#include <sys/types.h>
#include "an_hit.h"

typedef struct {
    enum an_kind kind;
    const char *models; /* MEDIA_MODELS; NULL: not set */
    int64_t uid;        /* to become; -1: ours */
    int memory_mib;     /* RLIMIT_DATA; 0: 2048 */
    /* Called twice a second while its start is waited for; not 0: that ends the waiting. NULL:
     * none. Not needed after the start. */
    int (*beat)(void *ctx);
    void *ctx;
} an_spec_t;

/* Why there is no answer: `code` is stable (model_missing, model_broken, sandbox_failed,
 * detector_memory, detector_start, detector_died, detector_silent, detector_failed,
 * detector_request), `detail` one sentence for people, without paths of pictures or secrets. All of
 * it is our side's fault: a job that meets it fails and may be tried again with a new process, and
 * nothing is passed through unmasked. */
typedef struct {
    char code[32];
    char detail[300];
} an_fault_t;

typedef struct an_detector_s an_detector_t;

/* Starts `exe` (media-detector) and waits until its model is loaded and it is locked down. Owned;
 * NULL: fault says why. [thread] */
an_detector_t *an_detector_open(const an_spec_t *spec, const char *exe, an_fault_t *fault);
/* Ends the process. NULL safe. [thread] */
void an_detector_close(an_detector_t *d);
/* *d, if it is alive, silent and of this spec; else *d is closed and replaced. 0, or MEDIA_E_RETRY
 * and *d is NULL. For whoever keeps a detector between jobs. [thread] */
int an_detector_keep(an_detector_t **d, const an_spec_t *spec, const char *exe, an_fault_t *fault);

/* What is in a picture of w x h, BGR without padding, AN_PICTURE_MAX bytes at most: the number of
 * hits in pixels of it, best first, at most max (of AN_HITS_MAX; then there may be more).
 * MEDIA_E_RETRY: no answer within
 * timeout_ms, or none that makes sense: the process was ended, open a new one.
 * MEDIA_E_REJECT: an error answer; the process goes on. [thread] */
int an_detector_ask(an_detector_t *d, uint32_t w, uint32_t h, const uint8_t *bgr, an_hit_t *hits,
                    int max, int timeout_ms, an_fault_t *fault);

/* {"kind","opencv","files":[{"name","sha256"}]}: for the report. Borrowed. [any] */
const json_t *an_detector_about(const an_detector_t *d);
/* Of the model's first file, "" when the kind has none. Borrowed. [any] */
const char *an_detector_digest(const an_detector_t *d);
pid_t an_detector_pid(const an_detector_t *d); /* -1: dead [any] */

#endif
