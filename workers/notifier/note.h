/* What a notification says: the job's params, frozen by the database (sql/0002, notify_enqueue). */
#ifndef NOTE_H
#define NOTE_H

#include <jansson.h>
#include "media/err.h"
#include "media/str.h"

enum note_event { NOTE_READY, NOTE_FAILED };

typedef struct {
    enum note_event event;
    const char *to; /* strings are borrowed from params; "" when absent */
    const char *media_id;
    const char *name;
    const char *title;
    const char *pipeline;
    const char *output; /* "" when there is none to download */
    const char *content_type;
    int64_t size;    /* -1: unknown */
    double duration; /* seconds; negative: unknown */
    const char *code;
    const char *detail;
    int64_t epoch;
    int64_t at_s;
} note_t;

/* 0, or MEDIA_E_REJECT with the cause. [any] */
int note_read(const json_t *params, note_t *out, media_err_t *ei);

#endif
