#include "ob_run.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PAUSE_MS 1000
#define THREADS_MAX 64

static volatile sig_atomic_t told_to_end;

typedef struct {
    pthread_mutex_t lock; /* of all below, stdin and stdout */
    ob_each_pt each;
    const ob_t *like;
    const wk_conf_t *live;
    unsigned long taken; /* lines */
    int code;            /* enum ob_exit */
    int over;            /* no more lines are taken */
} run_t;

static void on_end(int signo)
{
    (void)signo;
    told_to_end = 1;
}

static int tick(void *data)
{
    (void)data;
    return told_to_end ? MEDIA_E_RETRY : 0;
}

int ob_fail(enum ob_exit code, const char *fmt, ...)
{
    char text[OB_LINE_MAX + 256];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)fprintf(stderr, "media-objects: %s\n", text);
    return code;
}

static void end_run(run_t *r, int code)
{
    r->over = 1;
    r->code = code > r->code ? code : r->code;
}

/* A line of stdin without its newline, and its number; 0: there is none. */
static unsigned long take_line(run_t *r, char *text, int size)
{
    unsigned long number = 0;
    size_t len;

    (void)pthread_mutex_lock(&r->lock);
    if (!r->over && !told_to_end && fgets(text, size, stdin) != NULL) {
        number = ++r->taken;
        len = strlen(text);
        if (len > 0 && text[len - 1] == '\n') {
            text[len - 1] = '\0';
        } else if (!feof(stdin)) {
            end_run(r, ob_fail(OB_USAGE, "line %lu: too long, or with a NUL", number));
            number = 0;
        }
    } else if (!r->over && ferror(stdin) && !told_to_end) {
        end_run(r, ob_fail(OB_FAILED, "stdin cannot be read: %s", strerror(errno)));
    }
    (void)pthread_mutex_unlock(&r->lock);
    return number;
}

static int work(run_t *r, ob_t *ob, ob_item_t *item, media_err_t *ei)
{
    int rc;

    for (int i = 1;; i++) {
        rc = r->each(ob, item, ei);
        if (rc != MEDIA_E_RETRY || i == OB_TRIES || told_to_end) {
            return rc;
        }
        (void)poll(NULL, 0, PAUSE_MS);
    }
}

static void done_line(run_t *r, const ob_item_t *item, unsigned long number, int rc,
                      const media_err_t *ei)
{
    (void)pthread_mutex_lock(&r->lock);
    if (rc == 0 && fputs(item->out, stdout) == EOF) {
        end_run(r, ob_fail(OB_FAILED, "stdout cannot be written: %s", strerror(errno)));
    } else if (rc == MEDIA_E_BUG) {
        end_run(r, ob_fail(OB_USAGE, "line %lu: %s", number, ei->text));
    } else if (rc == MEDIA_E_REJECT) {
        r->code = ob_fail(OB_FAILED, "%s: %s", item->name, ei->text);
    } else if (rc != 0 && !told_to_end) {
        end_run(r, ob_fail(OB_FAILED, "%s: %s; given up", item->name, ei->text));
    }
    (void)pthread_mutex_unlock(&r->lock);
}

static void *thread_main(void *data)
{
    run_t *r = data;
    char text[OB_LINE_MAX + 2];
    ob_item_t item = {.text = text};
    unsigned long number;
    media_err_t ei;
    ob_t ob;

    if (ob_open(&ob, r->like, r->live, NULL) != 0) {
        (void)pthread_mutex_lock(&r->lock);
        end_run(r, ob_fail(OB_FAILED, "out of memory"));
        (void)pthread_mutex_unlock(&r->lock);
        return NULL;
    }
    while ((number = take_line(r, text, sizeof(text))) != 0) {
        item.name[0] = item.out[0] = '\0';
        done_line(r, &item, number, work(r, &ob, &item, &ei), &ei);
    }
    ob_close(&ob);
    return NULL;
}

static void run_threads(run_t *r, int count)
{
    pthread_t threads[THREADS_MAX];
    int n = 0;

    while (n < count && n < THREADS_MAX && pthread_create(&threads[n], NULL, thread_main, r) == 0) {
        n++;
    }
    if (n == 0) {
        r->code = ob_fail(OB_FAILED, "no thread");
    }
    while (n > 0) {
        (void)pthread_join(threads[--n], NULL);
    }
}

int ob_run(ob_t *ob, const wk_conf_t *live, ob_each_pt each)
{
    struct sigaction sa = {.sa_handler = on_end};
    run_t r = {.each = each, .like = ob, .live = live};

    if (pthread_mutex_init(&r.lock, NULL) != 0) {
        return ob_fail(OB_FAILED, "out of memory");
    }
    ob->tick = tick;
    (void)sigaction(SIGTERM, &sa, NULL);
    (void)sigaction(SIGINT, &sa, NULL);
    run_threads(&r, live->backup_parallel);
    if (told_to_end) {
        r.code = ob_fail(OB_FAILED, "told to end: not all lines were read");
    }
    if (fflush(stdout) != 0 && r.code == OB_OK) {
        r.code = ob_fail(OB_FAILED, "stdout cannot be written: %s", strerror(errno));
    }
    (void)pthread_mutex_destroy(&r.lock);
    return r.code;
}
