/* media-janitor: unsent outbox rows, expired leases, dead uploads and what they left in S3,
 * originals that are due, old sessions. A pass every MEDIA_SWEEP_S until SIGTERM, or one with
 * --once. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "sweep.h"
#include "wk_alive.h"
#include "wk_init.h"
#include "wk_log.h"

#define JANITOR "media-janitor"
#define JANITOR_TICK_MS 10000 /* the broker's heart-beats are served at least this often */

/* Signals become a readable descriptor, so that every wait can include it. */
static int open_stop_fd(void)
{
    sigset_t set;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) {
        return -1;
    }
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* The pause between two passes; ends early on a signal. */
static void rest(sweep_t *s)
{
    int64_t end_ms = wk_mono_ms() + (int64_t)s->conf->sweep_s * 1000;
    int64_t left;

    while ((left = end_ms - wk_mono_ms()) > 0 && !sweep_stopping(s)) {
        struct pollfd p = {.fd = s->stop_fd, .events = POLLIN};

        (void)poll(&p, 1, (int)(left < JANITOR_TICK_MS ? left : JANITOR_TICK_MS));
        wk_amqp_tick(s->amqp);
        wk_alive();
    }
}

static int open_all(sweep_t *s)
{
    s->stop_fd = open_stop_fd();
    if (s->stop_fd < 0) {
        wk_log(MEDIA_LOG_ERROR, "cannot start", "cause", strerror(errno), NULL);
        return -1;
    }
    if (!s->conf->once) {
        s->health = wk_health_start(s->conf, JANITOR);
        if (s->health == NULL) {
            return -1; /* said by wk_health_start */
        }
    }
    s->pg = wk_pg_new(JANITOR);
    s->amqp = wk_amqp_new(s->conf->amqp_url);
    s->s3 = wk_s3_new(s->conf);
    if (s->pg == NULL || s->amqp == NULL || s->s3 == NULL) {
        wk_log(MEDIA_LOG_ERROR, "cannot start", "cause", "out of memory", NULL);
        return -1;
    }
    return 0;
}

static void close_all(sweep_t *s)
{
    wk_s3_free(s->s3);
    wk_amqp_free(s->amqp);
    wk_pg_free(s->pg);
    wk_health_stop(s->health);
    if (s->stop_fd >= 0) {
        close(s->stop_fd);
    }
}

int main(int argc, char **argv)
{
    wk_conf_t conf;
    sweep_t s = {.conf = &conf, .stop_fd = -1};
    int rc = 1;

    wk_conf_load(&conf, JANITOR, argc, argv);
    wk_log_init(JANITOR, (enum media_level)media_log_level_parse(media_str(conf.log_level)));
    if (conf.s3[MEDIA_STORE_INPUT].endpoint == NULL) {
        fputs(JANITOR ": AWS_ENDPOINT_URL is needed\n", stderr);
        return 2;
    }
    wk_init();
    if (open_all(&s) == 0) {
        wk_alive_enter(JANITOR);
        wk_log(MEDIA_LOG_INFO, "started", "worker", conf.worker_name, NULL);
        rc = 0;
        do {
            int failures = sweep_run(&s);
            if (conf.once) {
                rc = failures > 0;
                break;
            }
            rest(&s);
        } while (!sweep_stopping(&s));
        wk_log(MEDIA_LOG_INFO, "stopped", NULL);
    }
    close_all(&s);
    return rc;
}
