/* Configuration of a worker: one table of typed entries, each an environment variable and a flag
 * (MEDIA_LEASE_S and --lease-s). A bad value ends the program with exit code 2 and names it. */
#ifndef WK_CONF_H
#define WK_CONF_H

#include "media/err.h"
#include "media/jobmsg.h"
#include "media/objkey.h"
#include "media/str.h"
#include "wk_secret.h"

/* One store of objects. */
typedef struct {
    const char *endpoint; /* http://127.0.0.1:9000 */
    const char *access_key;
    const char *secret_key; /* never logged */
    const char *session_token;
    const char *region;
    const char *bucket;
    const char *prefix;           /* of what is written there; output store only */
    const char *credentials;      /* a word of MEDIA_S3_SOURCES; NULL: what the environment has */
    const char *credentials_file; /* NULL: AWS_SHARED_CREDENTIALS_FILE */
    const char *profile;          /* of it; NULL: AWS_PROFILE */
    const char *addressing;       /* path, virtual */
    const char *checksum;         /* a word of MEDIA_S3_SUMS */
    const char *sse;              /* a word of MEDIA_S3_SSES; NULL: as the bucket says */
    const char *sse_key;
    int sse_bucket_key;
} wk_store_conf_t;

typedef struct {
    wk_store_conf_t s3[MEDIA_STORE_COUNT]; /* as configured; see wk_conf_store() */
    const char *s3_ca;                     /* PEM file; NULL: the system's */
    wk_store_conf_t s3_backup;             /* as configured; see wk_conf_backup() */
    int backup_parallel;                   /* objects that are copied at once */
    int backup_piece;                      /* bytes of an object in memory */
    int await_s;                           /* MEDIA_AWAIT_S: how long a server may be away */
    wk_secret_t amqp_url;
    const char *log_level;
    const char *health_addr;
    const char *health_file;
    int stall_s; /* MEDIA_STALL_S: a loop that has not turned so long hangs */
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
    const char *mask_image;   /* PNG of masks of the style "image"; NULL: none */
    /* notifier */
    wk_secret_t smtp_url;
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
    int probe;          /* --probe */
} wk_conf_t;

/* Fills conf from the environment, then from argv; prints usage and exits 0 on --help, exits as
 * wk_probe() says on --probe, exits 2 on a bad flag or value. libpq reads its own PG* variables.
 * Secrets (PGPASSWORD, AWS_SECRET_ACCESS_KEY, AMQP_URL, SMTP_URL ...) are accepted from the
 * environment only, never as a flag, since argv is public; AMQP_URL and MEDIA_SMTP_URL also from a
 * file, not both. */
void wk_conf_load(wk_conf_t *conf, const char *prog, int argc, char **argv);

/* Which of a program's two queues MEDIA_QUEUE means. */
enum media_queue wk_conf_queue(const wk_conf_t *conf, enum media_queue of_seconds,
                               enum media_queue of_minutes);
/* A store's settings, strings borrowed from conf. What the output store has none of its own is the
 * input's; encryption is one setting, and so are keys and their source. [any] */
wk_store_conf_t wk_conf_store(const wk_conf_t *conf, enum media_store which);
/* The configuration of a program that has no store but the backup: keys by the profile "backup" of
 * its own credentials file if that is there, else of the other stores'; the endpoint may be theirs.
 * Strings are borrowed from conf. [thread] */
wk_conf_t wk_conf_backup(const wk_conf_t *conf);
/* 1 when the output store has other credentials than the input store. [any] */
int wk_conf_output_keys(const wk_conf_t *conf);

#endif
