/* What one pass of the janitor does. Every task stands for itself: a dependency that is away stops
 * the tasks that need it and no other. Safe in several replicas at once (sql/0005). */
#ifndef SWEEP_H
#define SWEEP_H

#include "wk_amqp.h"
#include "wk_conf.h"
#include "wk_health.h"
#include "wk_pg.h"
#include "wk_s3.h"

enum sweep_task {
    SWEEP_LEAD,
    SWEEP_LEASES,
    SWEEP_UPLOADS,
    SWEEP_ANNOUNCE,
    SWEEP_OUTBOX,
    SWEEP_DOOMED,
    SWEEP_STRAYS,
    SWEEP_SESSIONS,
    SWEEP_WORKERS,
    SWEEP_ORIGINALS,
    SWEEP_QUEUES,
    SWEEP_TASK_COUNT
};

typedef struct {
    const wk_conf_t *conf;
    wk_pg_t *pg;
    wk_amqp_t *amqp;
    wk_s3_t *s3;
    wk_health_t *health;
    int stop_fd;                  /* readable: end after the item in hand */
    int told[SWEEP_TASK_COUNT];   /* the task's failure is in the log */
    int failed[SWEEP_TASK_COUNT]; /* in this pass */
} sweep_t;

/* One pass. Returns the number of tasks that failed. [thread] */
int sweep_run(sweep_t *s);
/* 1 once stop_fd is readable. */
int sweep_stopping(const sweep_t *s);

#endif
