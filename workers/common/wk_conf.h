/* Configuration of a worker: one table of typed entries, each an environment variable and a flag
 * (MEDIA_LEASE_S and --lease-s). A bad value ends the program with exit code 2 and names it. */
#ifndef WK_CONF_H
#define WK_CONF_H

#include "media/err.h"
#include "media/jobmsg.h"
#include "media/str.h"

typedef struct {
    const char *s3_endpoint; /* http://127.0.0.1:9000 */
    const char *s3_access_key;
    const char *s3_secret_key; /* never logged */
    const char *s3_session_token;
    const char *s3_region;
    const char *s3_bucket;
    const char *s3_credentials; /* a word of MEDIA_S3_SOURCES; NULL: what the environment has */
    const char *s3_addressing;  /* path, virtual */
    const char *s3_checksum;    /* a word of MEDIA_S3_SUMS */
    const char *s3_sse;         /* a word of MEDIA_S3_SSES; NULL: as the bucket says */
    const char *s3_sse_key;
    int s3_sse_bucket_key;
    const char *s3_ca;    /* PEM file; NULL: the system's */
    const char *amqp_url; /* never logged */
    const char *log_level;
    const char *health_addr;
    const char *health_file;
    const char *tmpdir;
    const char *worker_name;
    int lease_s;
    int poll_s;
    int drain_s;
    int child_uid;
    int jobs;
    /* transcoder */
    const char *queue; /* whose jobs it takes, short or long */
    int child_memory_mib;
    int limit_duration_s; /* what a file may be */
    int limit_pixels;
    int limit_frames;
    int limit_streams;
    const char *limit_codecs; /* NULL: all that can be decoded */
    const char *models;       /* anonymizer: directory of its detectors' models; NULL: none */
    /* notifier */
    const char *smtp_url; /* never logged */
    const char *mail_from;
    const char *public_url;
    const char *play_key_file;
    int link_ttl_s;
    /* janitor */
    int sweep_s;        /* MEDIA_SWEEP_S: pause between sweeps, default 5 */
    int upload_stale_s; /* MEDIA_UPLOAD_STALE_S: an upload without heart-beat this long is dead, 60
                         */
    int outbox_age_s;   /* MEDIA_OUTBOX_AGE_S: unsent this long is published by the janitor, 5 */
    int once;           /* --once: one sweep, then exit */
} wk_conf_t;

/* Fills conf from the environment, then from argv; prints usage and exits 0 on --help, exits 2 on a
 * bad flag or value. libpq reads its own PG* variables. Secrets (PGPASSWORD, AWS_SECRET_ACCESS_KEY,
 * AMQP_URL, SMTP_URL) are accepted from the environment only, never as a flag, since argv is
 * public. */
void wk_conf_load(wk_conf_t *conf, const char *prog, int argc, char **argv);

/* Which of a program's two queues MEDIA_QUEUE means. */
enum media_queue wk_conf_queue(const wk_conf_t *conf, enum media_queue of_seconds,
                               enum media_queue of_minutes);

#endif
