/* State of one child's run (private to wk_host.c and wk_host_frame.c). */
#ifndef WK_HOST_RUN_H
#define WK_HOST_RUN_H

#include "media/buf.h"
#include "wk_host.h"

enum reply { REPLY_NONE, REPLY_START, REPLY_INPUT, REPLY_OUTPUT, REPLY_ANSWER };

typedef struct {
    const wk_host_t *host;
    wk_blocks_t *blocks;
    wk_proc_t proc;
    wk_outcome_t *out;
    media_buf_t err; /* the child's stderr, for the log */

    wk_frame_head_t in; /* the frame being read */
    size_t in_got;      /* of head and payload together */
    char *payload;      /* WK_FRAME_MAX */

    enum reply reply;
    wk_frame_head_t head; /* of the reply */
    size_t sent;          /* of head and payload together */
    char *start;          /* text of the START document */
    char *answer;         /* WK_ANSWER_MAX; NULL: no question is expected */
    int starved;          /* the reply waits for a block */

    int tmp_fd;
    int64_t out_size;  /* of the current output */
    int64_t out_total; /* of those before it */
    int outputs;

    double progress;
    int64_t mark_ms;   /* the clock up to which time has been charged */
    int64_t child_ms;  /* time charged to the child */
    int64_t silent_ms; /* since it last moved */
    int64_t beat_ms;

    int over;
    int judged; /* `end` and *out are set; else the wait status decides */
    enum wk_end end;
} wk_host_run_t;

/* Ends the run with a cause of ours. */
void wk_host_over(wk_host_run_t *r, enum wk_end end, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Charges the time since the last call to the child, or to nobody while it waits for us. */
void wk_host_charge(wk_host_run_t *r, int child);
/* Ends the run if rc says that the job is not ours any more. 1: it ended. */
int wk_host_gone(wk_host_run_t *r, int rc);

/* ---- wk_host_frame.c ---- */

/* Reads what is there of the current frame and acts on a whole one. 1: something was read. */
int wk_host_listen(wk_host_run_t *r);
/* Sends what fits of the reply. */
void wk_host_reply(wk_host_run_t *r);

#endif
