/* The parent's side of one decoder child, without S3 and PostgreSQL: where input bytes come from
 * and where outputs and heart-beats go are callbacks (wk_child.c connects them to the job, tests to
 * files). */
#ifndef WK_HOST_H
#define WK_HOST_H

#include "wk_blocks.h"
#include "wk_child.h"

/* Exit codes of a child that never got to work. */
#define WK_EXIT_SANDBOX 71
#define WK_EXIT_START 72
#define WK_EXIT_EXEC 73

#define WK_DETAIL_MAX 300 /* wk_outcome_t.detail */

typedef struct {
    const char *exe;    /* the child's binary, "/proc/self/exe" */
    const char *tmpdir; /* for the output being written */
    int64_t uid;        /* the child's uid; -1: ours */
    const wk_child_limits_t *limits;
    const wk_source_t *source;
    const json_t *start; /* the START document */

    /* At least twice a second, outside of uploads. As wk_job_beat. */
    int (*beat)(void *data, double progress, double eta_s);
    /* An output is complete in fd. Takes meta. As wk_job_output, MEDIA_E_AGAIN when drained. */
    int (*output)(void *data, int fd, int64_t size, json_t *meta, media_err_t *ei);
    void *data;
    const wk_asked_t *asked; /* NULL: no question is expected */
} wk_host_t;

/* Runs a child to its end. WK_DONE: out->result is the child's checked result. */
enum wk_end wk_host_run(const wk_host_t *host, wk_outcome_t *out);

/* ---- wk_spawn.c ---- */

typedef struct {
    pid_t pid;
    int sock;      /* non-blocking */
    int stderr_fd; /* non-blocking */
} wk_proc_t;

/* With no environment, and no descriptor but those of wk_child.h. argv ends with NULL. Of the
 * limits memory_bytes and cpu_s (0: none) are set. */
int wk_spawn(const char *exe, char *const argv[], const wk_child_limits_t *limits, wk_proc_t *proc,
             media_err_t *ei);
/* The path of a program that lies beside ours. 0 or -1. */
int wk_spawn_beside(const char *name, char *path, size_t cap);
/* Kills, reaps, closes. Returns the wait status. */
int wk_spawn_end(wk_proc_t *proc);

/* ---- wk_claims.c: what a child says, checked ---- */

/* Owned, with known members of known types only; NULL: the child misbehaves (cause in ei). */
json_t *wk_claims_output(media_str_t text, media_err_t *ei);
json_t *wk_claims_result(media_str_t text, media_err_t *ei);
/* 0 or MEDIA_E_REJECT. */
int wk_claims_error(media_str_t text, wk_outcome_t *out, int *retry, media_err_t *ei);

#endif
