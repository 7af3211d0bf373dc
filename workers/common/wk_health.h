/* /healthz, /readyz and /metrics of a worker on a port of its own, served by one thread. */
#ifndef WK_HEALTH_H
#define WK_HEALTH_H

#include <stdatomic.h>
#include "wk_conf.h"
#include "wk_pg.h"

#define WK_COUNTERS(X)                                                                             \
    X(JOBS_CLAIMED, "jobs_claimed_total", "Jobs claimed")                                          \
    X(JOBS_SUCCEEDED, "jobs_succeeded_total", "Jobs finished")                                     \
    X(JOBS_FAILED, "jobs_failed_total", "Attempts that failed")                                    \
    X(JOBS_LOST, "jobs_lost_total", "Jobs whose lease was lost")                                   \
    X(JOBS_RELEASED, "jobs_released_total", "Jobs given back while stopping")                      \
    X(JOB_MS, "job_milliseconds_total", "Time spent on jobs")                                      \
    X(BYTES_READ, "s3_read_bytes_total", "Bytes read from S3")                                     \
    X(BYTES_WRITTEN, "s3_written_bytes_total", "Bytes written to S3")                              \
    X(SWEPT_OBJECTS, "swept_objects_total", "Objects and multipart uploads removed")               \
    X(OUTBOX_PUBLISHED, "outbox_published_total", "Messages published from the outbox")            \
    X(JOBS_DEAD, "jobs_dead_total", "Jobs told to the queue dead: failed for good")                \
    X(MAILS_SENT, "mails_sent_total", "Mails accepted by the SMTP server")

enum wk_counter {
#define X(name, text, help) WK_C_##name,
    WK_COUNTERS(X)
#undef X
        WK_COUNTER_COUNT
};

typedef struct wk_health_s wk_health_t;

enum wk_dep { WK_DEP_POSTGRES, WK_DEP_RABBITMQ, WK_DEP_S3, WK_DEP_COUNT };

/* Binds conf->health_addr (port 0: any free one), writes "host:port\n" to conf->health_file if set.
 * NULL and a log line when it cannot. [thread] */
wk_health_t *wk_health_start(const wk_conf_t *conf, const char *svc);
void wk_health_stop(wk_health_t *h);
/* [any thread]; h == NULL is allowed */
void wk_health_dep(wk_health_t *h, enum wk_dep dep, int ok);
/* Of PostgreSQL: up or not, and what its schema is. */
void wk_health_pg(wk_health_t *h, const wk_pg_t *pg, int ok);
void wk_health_count(wk_health_t *h, enum wk_counter c, int64_t n);
/* Splits "host:port" or "[v6]:port" into host. Returns the port's text or NULL. [any] */
const char *wk_health_split(const char *addr, char *host, size_t cap);
/* What a queue holds, for /metrics; unknown: that of none is told any more. */
typedef struct {
    int64_t queued, running, oldest_ms;
} wk_queue_load_t;
void wk_health_queue(wk_health_t *h, enum media_queue q, const wk_queue_load_t *load);
void wk_health_queues_unknown(wk_health_t *h);
/* A job has begun (1) or ended (-1). */
void wk_health_running(wk_health_t *h, int n);

#endif
