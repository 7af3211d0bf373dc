/* The loop: one thread, every wait bounded.
 *
 *   waiting   names have no address yet: looked up every second, told every 10 s; nothing listens
 *   running   nginx is there: names every 30 s, files when inotify tells and every 30 s
 *   ending    TERM, INT or QUIT came: nginx got QUIT and ends what it has begun; a second one gets
 * it TERM
 *
 * Whatever happens in "running" ends in gw_state_apply(), which knows whether there is anything to
 * do. */
#define _GNU_SOURCE
#include "gw_run.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gw_watch.h"
#include "wk_log.h"

#define LOOK_MS 30000  /* names and files, told or not */
#define RETRY_MS 1000  /* names, before nginx runs */
#define TELL_MS 10000  /* the same in the log */
#define QUIET_MS 300   /* after an event: files that belong together come one by one */
#define LATEST_MS 2000 /* but no later, however many come */

typedef struct {
    gw_state_t *gw;
    int signal_fd;
    int64_t look_ms;  /* next look at the files */
    int64_t event_ms; /* first event that was not looked at; 0: none */
    int64_t names_ms; /* next round of lookups */
    int64_t told_ms;
    int force;  /* HUP */
    int ending; /* signals that ask for the end */
    int code;   /* of nginx; -1: it runs, or never did */
} run_t;

/* ---- names ---- */

static int lookups_running(const gw_names_t *names)
{
    for (size_t i = 0; i < names->count; i++) {
        if (names->name[i].pid != 0) {
            return 1;
        }
    }
    return 0;
}

static void lookups_start(gw_names_t *names, int64_t now, int missing_only)
{
    for (size_t i = 0; i < names->count; i++) {
        gw_name_t *n = &names->name[i];
        if (!n->is_address && n->pid == 0 && (!missing_only || n->answer.count == 0)) {
            (void)gw_lookup_start(n, now);
        }
    }
}

static void addrs_text(const gw_addrs_t *addrs, char *dst, size_t cap)
{
    size_t n = 0;

    dst[0] = '\0';
    for (size_t i = 0; i < addrs->count && n < cap; i++) {
        n += (size_t)snprintf(dst + n, cap - n, "%s%s", i > 0 ? "," : "", addrs->at[i]);
    }
}

static void name_use(gw_name_t *name)
{
    char before[200], after[200];

    addrs_text(&name->used, before, sizeof(before));
    gw_name_use(name);
    addrs_text(&name->used, after, sizeof(after));
    wk_log(MEDIA_LOG_INFO, "addresses", "host", name->host, "now", after, "before", before, NULL);
}

/* Takes what lookups have said; 1 if nginx should be told new addresses. */
static int lookups_read(gw_names_t *names, int64_t now)
{
    gw_addrs_t answer;
    int changed = 0;

    for (size_t i = 0; i < names->count; i++) {
        gw_name_t *n = &names->name[i];
        if (n->pid != 0 && gw_lookup_read(n, now, &answer)) {
            gw_name_answer(n, &answer, now);
            if (n->answer.count > 0 && gw_name_stale(n, now)) {
                name_use(n);
                changed = 1;
            }
        }
    }
    return changed;
}

static const gw_name_t *name_missing(const gw_names_t *names)
{
    for (size_t i = 0; i < names->count; i++) {
        if (!names->name[i].is_address && names->name[i].used.count == 0) {
            return &names->name[i];
        }
    }
    return NULL;
}

static void names_turn(run_t *run, int64_t now)
{
    gw_names_t *names = &run->gw->names;
    const gw_name_t *missing = name_missing(names);

    if (now >= run->names_ms && !lookups_running(names)) {
        lookups_start(names, now, missing != NULL);
        run->names_ms = now + (missing != NULL ? RETRY_MS : LOOK_MS);
    }
    if (lookups_read(names, now)) {
        run->look_ms = now;
        missing = name_missing(names);
    }
    if (missing != NULL && now >= run->told_ms) {
        wk_log(MEDIA_LOG_WARN, "waiting for a name to have an address", "host", missing->host,
               NULL);
        run->told_ms = now + TELL_MS;
    }
}

static size_t names_poll(const gw_names_t *names, struct pollfd *fds)
{
    size_t n = 0;

    for (size_t i = 0; i < names->count; i++) {
        if (names->name[i].pid != 0) {
            fds[n].fd = names->name[i].fd;
            fds[n].events = POLLIN;
            n++;
        }
    }
    return n;
}

int gw_run_resolve(gw_state_t *gw, int seconds, media_err_t *ei)
{
    struct pollfd fds[GW_NAMES_MAX];
    int64_t end = wk_mono_ms() + (int64_t)seconds * 1000;
    const gw_name_t *missing;

    lookups_start(&gw->names, wk_mono_ms(), 1);
    while (lookups_running(&gw->names) && wk_mono_ms() < end) {
        (void)poll(fds, names_poll(&gw->names, fds), (int)(end - wk_mono_ms()));
        (void)lookups_read(&gw->names, wk_mono_ms());
    }
    missing = name_missing(&gw->names);
    return missing == NULL
               ? 0
               : media_err_set(ei, MEDIA_E_RETRY, "\"%s\" has no address", missing->host);
}

/* ---- children, signals ---- */

static void child_ended(run_t *run, pid_t pid, int status)
{
    char code[12];

    for (size_t i = 0; i < run->gw->names.count; i++) {
        if (run->gw->names.name[i].pid == pid) {
            run->gw->names.name[i].pid = -1; /* its number may be somebody else's by now */
        }
    }
    if (pid != run->gw->nginx) {
        return;
    }
    run->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    wk_log(run->ending ? MEDIA_LOG_INFO : MEDIA_LOG_ERROR, "nginx has ended", "code",
           wk_fmt(code, sizeof(code), "%d", run->code), NULL);
}

/* All that have ended, those that were left to us included. */
static void reap(run_t *run)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        child_ended(run, pid, status);
    }
}

static void end_asked(run_t *run)
{
    run->ending++;
    if (run->gw->nginx > 0) {
        wk_log(MEDIA_LOG_INFO,
               run->ending == 1 ? "ending, nginx finishes what it has begun" : "ending at once",
               NULL);
        (void)kill(run->gw->nginx, run->ending == 1 ? SIGQUIT : SIGTERM);
    }
}

static void signals_read(run_t *run)
{
    struct signalfd_siginfo info;

    while (read(run->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGHUP) {
            run->force = 1;
        } else if (info.ssi_signo != SIGCHLD) {
            end_asked(run);
        }
    }
}

static void signals_ours(sigset_t *set)
{
    static const int ours[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGCHLD};

    (void)sigemptyset(set);
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        (void)sigaddset(set, ours[i]);
    }
}

void gw_run_signals(void)
{
    sigset_t set;

    signals_ours(&set);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

/* ---- the loop ---- */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void wait_for(run_t *run, int64_t now)
{
    struct pollfd fds[GW_NAMES_MAX + 2] = {{0}};
    gw_names_t *names = &run->gw->names;
    int64_t until = least(run->names_ms, run->look_ms);
    size_t n = names_poll(names, fds);

    if (n > 0) {
        until = now + RETRY_MS; /* a lookup has a deadline */
        until = least(until, run->look_ms);
    }
    fds[n++] = (struct pollfd){run->signal_fd, POLLIN, 0};
    if (run->gw->watch_fd >= 0) {
        fds[n++] = (struct pollfd){run->gw->watch_fd, POLLIN, 0};
    }
    (void)poll(fds, n, until > now ? (int)(until - now) : 0);
    if (run->gw->watch_fd >= 0 && fds[n - 1].revents != 0) {
        gw_watch_drain(run->gw->watch_fd);
        now = wk_mono_ms();
        run->event_ms = run->event_ms != 0 ? run->event_ms : now;
        run->look_ms = least(now + QUIET_MS, run->event_ms + LATEST_MS);
    }
}

/* 0 when there is nothing to run with. */
static int files_turn(run_t *run, int64_t now)
{
    int rc;

    if (run->ending || name_missing(&run->gw->names) != NULL ||
        (now < run->look_ms && !run->force)) {
        if (now >= run->look_ms) {
            run->look_ms = now + LOOK_MS;
        }
        return 1;
    }
    rc = gw_state_apply(run->gw, run->force);
    run->force = 0;
    run->event_ms = 0;
    run->look_ms = least(now + LOOK_MS, gw_keys_next_ms(&run->gw->keys, now));
    return rc == 0 || run->gw->nginx > 0;
}

int gw_run(gw_state_t *gw)
{
    run_t run = {.gw = gw, .code = -1};
    int64_t now = wk_mono_ms();
    sigset_t set;

    signals_ours(&set);
    run.signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    run.look_ms = run.names_ms = now;
    run.told_ms = now + RETRY_MS;
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    while (run.code < 0 && (gw->nginx > 0 || !run.ending)) {
        now = wk_mono_ms();
        names_turn(&run, now);
        if (!files_turn(&run, now)) {
            run.code = 2;
            break;
        }
        reap(&run);
        if (run.code < 0) {
            wait_for(&run, wk_mono_ms());
        }
        signals_read(&run);
        reap(&run);
    }
    if (gw->nginx > 0) {
        (void)kill(-gw->nginx, SIGKILL); /* of an nginx that was killed, worker processes go on */
    }
    for (size_t i = 0; i < gw->names.count; i++) {
        gw_lookup_stop(&gw->names.name[i]);
    }
    (void)close(run.signal_fd);
    return run.code < 0 ? 0 : run.code;
}
