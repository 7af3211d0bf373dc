/* The decoder child: untrusted bytes are read only in a process that holds one socket pair, no
 * secret, no network, no file, under seccomp and rlimits.
 *
 * The parent starts it by fork + exec of its own binary (--decoder-child), with an empty
 * environment and every descriptor but 0 (/dev/null), 1 and 2 (a pipe the parent reads) and 3 (the
 * socket pair) closed. The child asks for byte ranges of the input and hands over output blocks,
 * progress, result: frames of wk_frame_head_t + payload, host byte order, see enum wk_frame. */
#ifndef WK_CHILD_H
#define WK_CHILD_H

#include <jansson.h>
#include "wk_run.h"

#define WK_CHILD_FLAG "--decoder-child"
#define WK_KEPT "kept"          /* member of a range: the object an earlier step has kept for it */
#define WK_BYTES "bytes"        /* of a range: [from, to), the bytes of the input it will ask for */
#define WK_FRAME_MAX (4u << 20) /* payload bytes of one frame */
#define WK_ANSWER_MAX (64u << 10)
#define WK_FAN_OUT_MAX 4096 /* jobs that one result asks for */

enum wk_frame {
    /* parent -> child */
    WK_F_START, /* JSON {"step":...,"size":n,"kept":n,"params":{...},"name":...,"range":...,
                   "limits":{...}}; off = uid to become, -1: none */
    WK_F_DATA,  /* off, bytes (fewer than asked only at the end of the input or output) */
    /* child -> parent */
    WK_F_READ,     /* off, payload = uint32 length wanted of the input; behind its `size` bytes
                      stand the `kept` ones of the object that an earlier step left for this one */
    WK_F_REREAD,   /* the same of the current output (moving an MP4's index to its front) */
    WK_F_WRITE,    /* off, bytes of the current output; random access */
    WK_F_OUTPUT,   /* JSON meta of what was just written: closes it, the next WRITE starts another.
                      An output ("kind"), a segment ("track", "number"), or for later steps
                      ("keep") */
    WK_F_ASK,      /* a question to wk_asked_t, answered by DATA */
    WK_F_PROGRESS, /* payload = double 0..1 */
    WK_F_RESULT,   /* JSON: success, {"probe":{...},"tracks":[...],"fan_out":[...],
                      "reuse":[...]}, one of the first two at least;
                      each range of the fan-out gets the kept object; reused are segments of
                      the run before: {"track","from","to"} */
    WK_F_ERROR     /* JSON {"code","detail","retry":bool}: failure with a cause */
};

typedef struct {
    uint32_t type;
    uint32_t len;
    int64_t off;
} wk_frame_head_t;

typedef struct {
    int64_t
        memory_bytes; /* RLIMIT_DATA: private writable memory (code and libraries do not count) */
    int64_t output_bytes; /* all outputs together */
    int cpu_s;            /* RLIMIT_CPU */
    int wall_s;           /* time the child itself takes; waiting for S3 does not count */
    int stall_s;          /* no frame from the child this long: killed */
    json_t *policy;       /* START's "limits", borrowed; NULL: none */
    const char *exe;      /* the child's program; NULL: ours */
} wk_child_limits_t;

/* [thread] Runs the child on the job's input and uploads its outputs; fills out like an engine's
 * run(). Death by signal, limit or stall becomes an outcome with a cause, never our own death. */
enum wk_end wk_child_run(wk_ctx_t *ctx, const wk_job_t *job, const wk_child_limits_t *limits,
                         wk_outcome_t *out);

/* Who answers a child's questions: another process, as a rule. Called between the child's frames;
 * it must answer within the lease. */
typedef struct {
    /* Fills reply with *len <= WK_ANSWER_MAX bytes: 0; MEDIA_E_RETRY: our side failed;
     * MEDIA_E_REJECT: the question is none. */
    int (*answer)(void *data, media_str_t question, char *reply, size_t *len, media_err_t *ei);
    void *data;
} wk_asked_t;

/* An object of an input that is several, and where its bytes begin in it. */
typedef struct {
    const char *key;
    int64_t size;
    int64_t at;
} wk_part_t;

/* As wk_child_run, on objects one after another instead of the job's own. The last `kept` of their
 * bytes are what an earlier step has kept; the job says in `size` how long the others are together.
 */
enum wk_end wk_child_run_parts(wk_ctx_t *ctx, const wk_job_t *job, const wk_part_t *parts,
                               size_t nparts, int64_t kept, const wk_child_limits_t *limits,
                               wk_outcome_t *out);

/* As wk_child_run, of a child that asks questions. */
enum wk_end wk_child_run_asked(wk_ctx_t *ctx, const wk_job_t *job, const wk_child_limits_t *limits,
                               const wk_asked_t *asked, wk_outcome_t *out);

/* ---- inside the child ---- */

typedef struct wk_peer_s wk_peer_t; /* the child's end of the socket pair */

/* Called by main() when argv[1] is WK_CHILD_FLAG: gives up privileges, warms libraries up by `warm`
 * (may be NULL), locks the process down, reads the START document, runs `work`, exits. Never
 * returns. */
typedef struct {
    const char *step;
    int64_t size;
    int64_t kept; /* bytes behind the input: what the step before has kept for this one */
    const char *name;
    json_t *params;
    json_t *range;
    json_t *limits; /* the operator's, of what a file may be */
} wk_child_input_t;
void wk_child_main(void (*warm)(void), int (*work)(wk_peer_t *peer, const wk_child_input_t *in))
    __attribute__((noreturn));

ssize_t wk_peer_read(wk_peer_t *p, int64_t off, void *dst,
                     size_t len); /* 0 at the end, negative: parent gone */
int wk_peer_write(wk_peer_t *p, int64_t off, const void *src, size_t len);
/* As wk_peer_read, of the output being written. */
ssize_t wk_peer_reread(wk_peer_t *p, int64_t off, void *dst, size_t len);
int wk_peer_output(wk_peer_t *p, json_t *meta); /* takes meta */
/* Asks wk_asked_t; the length of the answer, at most cap; negative: parent gone. */
ssize_t wk_peer_ask(wk_peer_t *p, media_str_t question, void *dst, size_t cap);
int wk_peer_progress(wk_peer_t *p, double progress);
/* The last call of work(): return its value from work. */
int wk_peer_result(wk_peer_t *p, json_t *result); /* takes result */
int wk_peer_error(wk_peer_t *p, const char *code, int retry, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
