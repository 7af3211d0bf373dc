/* The message in RabbitMQ and the topology it travels on, both defined here once.
 * A message says "a job is due in this queue"; it carries pointers only. PostgreSQL is the truth.
 */
#ifndef MEDIA_JOBMSG_H
#define MEDIA_JOBMSG_H

#include "media/err.h"
#include "media/str.h"

#define MEDIA_MQ_EXCHANGE "media" /* direct, durable; routing key = queue */
/* A program has queues of its own, for jobs of seconds and of minutes: a message wakes whoever
 * takes it, so it must not go to one who cannot do the step. All are durable quorum queues; `dead`
 * is bounded by length and nobody has to read it. */
#define MEDIA_QUEUES(X)                                                                            \
    X(SHORT, "short")                                                                              \
    X(LONG, "long")                                                                                \
    X(MASK, "mask")                                                                                \
    X(MASK_LONG, "mask_long")                                                                      \
    X(NOTIFY, "notify")                                                                            \
    X(DEAD, "dead")
#define MEDIA_MQ_QUEUE_PREFIX "media." /* AMQP queue name = prefix + queue */
#define MEDIA_MQ_DEAD_MAX_LENGTH 10000

enum media_queue {
#define X(name, text) MEDIA_QUEUE_##name,
    MEDIA_QUEUES(X)
#undef X
        MEDIA_QUEUE_COUNT
};
const char *media_queue_name(enum media_queue q);
int media_queue_parse(media_str_t name); /* enum value or MEDIA_E_REJECT */

typedef struct {
    char job_id[MEDIA_UUID_LEN + 1];
    char request_id[65];  /* X-Request-Id of the upload; may be empty */
    char traceparent[56]; /* W3C, may be empty */
} media_jobmsg_t;

/* {"v":1,"job_id":...,"request_id":...}: length or negative, resp. 0 or MEDIA_E_REJECT. The
 * database makes the same text (function job_message in sql/); a unit test compares them. [any] */
ssize_t media_jobmsg_write(const media_jobmsg_t *m, char *dst, size_t cap);
int media_jobmsg_read(media_str_t body, media_jobmsg_t *out, media_err_t *ei);

#endif
