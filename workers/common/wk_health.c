/* /healthz, /readyz and /metrics of a worker, served by one thread, one short connection after the
 * other. State is a handful of atomics, so that the worker's own thread never waits for a scrape.
 */
#define _GNU_SOURCE /* accept4 */
#include "wk_health.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "media/buf.h"
#include "wk_alive.h"
#include "wk_log.h"

#define WK_HEALTH_REQUEST_MAX 4096
#define WK_HEALTH_ANSWER_MAX 16384
#define WK_HEALTH_DEADLINE_MS 1000 /* one request, from accept to the last byte */

enum dep_state { DEP_UNKNOWN, DEP_UP, DEP_DOWN, DEP_UNFIT };

struct wk_health_s {
    const char *svc;
    const char *file; /* conf's; NULL: none was written */
    int listen_fd;
    int stop_fd;
    pthread_t thread;
    _Atomic int deps[WK_DEP_COUNT];
    _Atomic uint64_t schema; /* that is unfit: its version, and its oldest below */
    _Atomic int64_t counters[WK_COUNTER_COUNT];
    struct {
        _Atomic int known;
        _Atomic int64_t queued, running, oldest_ms;
    } queues[MEDIA_QUEUE_COUNT];
    int stall_s;
    int slots;
    _Atomic int running;
};

static const char *const dep_names[WK_DEP_COUNT] = {
    [WK_DEP_POSTGRES] = "postgres", [WK_DEP_RABBITMQ] = "rabbitmq", [WK_DEP_S3] = "s3"};

static const struct {
    const char *name;
    const char *help;
} counter_info[WK_COUNTER_COUNT] = {
#define X(name, text, help) [WK_C_##name] = {text, help},
    WK_COUNTERS(X)
#undef X
};

void wk_health_dep(wk_health_t *h, enum wk_dep dep, int ok)
{
    if (h != NULL) {
        atomic_store(&h->deps[dep], ok ? DEP_UP : DEP_DOWN);
    }
}

void wk_health_pg(wk_health_t *h, const wk_pg_t *pg, int ok)
{
    media_schema_t s;

    if (h != NULL && wk_pg_unfit(pg, &s)) {
        atomic_store(&h->schema, (uint64_t)s.version << 32 | (uint32_t)s.oldest);
        atomic_store(&h->deps[WK_DEP_POSTGRES], DEP_UNFIT);
    } else {
        wk_health_dep(h, WK_DEP_POSTGRES, ok);
    }
}

void wk_health_count(wk_health_t *h, enum wk_counter c, int64_t n)
{
    if (h != NULL) {
        atomic_fetch_add(&h->counters[c], n);
    }
}

void wk_health_queue(wk_health_t *h, enum media_queue q, const wk_queue_load_t *load)
{
    if (h != NULL) {
        atomic_store(&h->queues[q].queued, load->queued);
        atomic_store(&h->queues[q].running, load->running);
        atomic_store(&h->queues[q].oldest_ms, load->oldest_ms);
        atomic_store(&h->queues[q].known, 1);
    }
}

void wk_health_queues_unknown(wk_health_t *h)
{
    for (int q = 0; h != NULL && q < MEDIA_QUEUE_COUNT; q++) {
        atomic_store(&h->queues[q].known, 0);
    }
}

void wk_health_running(wk_health_t *h, int n)
{
    if (h != NULL) {
        atomic_fetch_add(&h->running, n);
    }
}

static const char *dep_text(wk_health_t *h, int state, char *dst, size_t cap)
{
    uint64_t schema = atomic_load(&h->schema);

    if (state == DEP_UNFIT) {
        return media_schema_text((media_schema_t){(int)(schema >> 32), (int)(uint32_t)schema}, dst,
                                 cap);
    }
    return state == DEP_UP ? "ok" : "unavailable";
}

/* One line per dependency this worker has used so far. Returns the HTTP status. Without RabbitMQ
 * the worker still polls the database, so it is degraded, not unready. */
static int write_ready(wk_health_t *h, media_buf_t *body)
{
    char text[MEDIA_SCHEMA_TEXT];
    int status = 200;
    int degraded = 0;

    for (int d = 0; d < WK_DEP_COUNT; d++) {
        int state = atomic_load(&h->deps[d]);
        if (state == DEP_UNKNOWN && d != WK_DEP_POSTGRES) {
            continue;
        }
        (void)media_buf_fmt(body, "%s: %s\n", dep_names[d], dep_text(h, state, text, sizeof(text)));
        if (state != DEP_UP && d == WK_DEP_RABBITMQ) {
            degraded = 1;
        } else if (state != DEP_UP) {
            status = 503;
        }
    }
    (void)media_buf_fmt(body, "%s\n", status != 200 ? "unavailable" : degraded ? "degraded" : "ok");
    return status;
}

/* 503 when starting anew would help. */
static int write_health(wk_health_t *h, media_buf_t *body)
{
    char text[300];
    int stalled = wk_alive_stalled(h->stall_s, text, sizeof(text));

    (void)media_buf_fmt(body, "%s\n", stalled ? text : "ok");
    return stalled ? 503 : 200;
}

static void write_metrics(wk_health_t *h, media_buf_t *body)
{
    for (int c = 0; c < WK_COUNTER_COUNT; c++) {
        const char *name = counter_info[c].name;
        (void)media_buf_fmt(body,
                            "# HELP ngx_media_worker_%s %s.\n# TYPE ngx_media_worker_%s counter\n"
                            "ngx_media_worker_%s{svc=\"%s\"} %lld\n",
                            name, counter_info[c].help, name, name, h->svc,
                            (long long)atomic_load(&h->counters[c]));
    }
    (void)media_buf_fmt(body,
                        "# HELP ngx_media_worker_jobs_running Jobs at work.\n"
                        "# TYPE ngx_media_worker_jobs_running gauge\n"
                        "ngx_media_worker_jobs_running{svc=\"%s\"} %d\n"
                        "# HELP ngx_media_worker_slots Jobs that may run at once.\n"
                        "# TYPE ngx_media_worker_slots gauge\n"
                        "ngx_media_worker_slots{svc=\"%s\"} %d\n",
                        h->svc, atomic_load(&h->running), h->svc, h->slots);
    (void)media_buf_cstr(body, "# HELP ngx_media_worker_dependency_up 1 while it answers.\n"
                               "# TYPE ngx_media_worker_dependency_up gauge\n");
    for (int d = 0; d < WK_DEP_COUNT; d++) {
        int state = atomic_load(&h->deps[d]);
        if (state != DEP_UNKNOWN) {
            (void)media_buf_fmt(body,
                                "ngx_media_worker_dependency_up{svc=\"%s\",dependency=\"%s\"} %d\n",
                                h->svc, dep_names[d], state == DEP_UP);
        }
    }
}

static void write_queues(wk_health_t *h, media_buf_t *body)
{
    int known = 0;

    for (int q = 0; q < MEDIA_QUEUE_COUNT; q++) {
        known |= atomic_load(&h->queues[q].known);
    }
    if (!known) {
        return;
    }
    (void)media_buf_cstr(body, "# HELP ngx_media_queue_jobs Jobs that could be claimed now, and "
                               "those that are worked at.\n# TYPE ngx_media_queue_jobs gauge\n");
    for (int q = 0; q < MEDIA_QUEUE_COUNT; q++) {
        const char *name = media_queue_name((enum media_queue)q);

        if (atomic_load(&h->queues[q].known)) {
            (void)media_buf_fmt(body,
                                "ngx_media_queue_jobs{queue=\"%s\",state=\"queued\"} %lld\n"
                                "ngx_media_queue_jobs{queue=\"%s\",state=\"running\"} %lld\n",
                                name, (long long)atomic_load(&h->queues[q].queued), name,
                                (long long)atomic_load(&h->queues[q].running));
        }
    }
    (void)media_buf_cstr(body, "# HELP ngx_media_queue_oldest_seconds For how long the first job "
                               "of a queue could have been claimed.\n"
                               "# TYPE ngx_media_queue_oldest_seconds gauge\n");
    for (int q = 0; q < MEDIA_QUEUE_COUNT; q++) {
        if (atomic_load(&h->queues[q].known)) {
            (void)media_buf_fmt(body, "ngx_media_queue_oldest_seconds{queue=\"%s\"} %.3f\n",
                                media_queue_name((enum media_queue)q),
                                (double)atomic_load(&h->queues[q].oldest_ms) / 1000);
        }
    }
}

/* 1 if `line` asks for `path`, with or without a query. */
static int is_path(const char *path, media_str_t target)
{
    size_t n = strlen(path);

    return target.len >= n && memcmp(target.p, path, n) == 0 &&
           (target.len == n || target.p[n] == '?');
}

/* Splits "GET /path HTTP/1.x". 0 or MEDIA_E_REJECT. */
static int parse_line(const char *req, media_str_t *method, media_str_t *target)
{
    size_t n = strcspn(req, "\r\n");
    const char *a = memchr(req, ' ', n);
    const char *b = a != NULL ? memchr(a + 1, ' ', n - (size_t)(a + 1 - req)) : NULL;

    if (b == NULL) {
        return MEDIA_E_REJECT;
    }
    *method = (media_str_t){req, (size_t)(a - req)};
    *target = (media_str_t){a + 1, (size_t)(b - a - 1)};
    return 0;
}

static void write_answer(wk_health_t *h, const char *req, media_buf_t *out)
{
    const char *type = "text/plain; charset=utf-8";
    const char *extra = "";
    media_str_t method, target, view;
    media_buf_t body;
    int head = 0;
    int status = 404;

    media_buf_init(&body, WK_HEALTH_ANSWER_MAX);
    if (parse_line(req, &method, &target) != 0) {
        status = 400;
    } else if (!media_str_eq(method, MEDIA_STR("GET")) &&
               !media_str_eq(method, MEDIA_STR("HEAD"))) {
        status = 405;
        extra = "Allow: GET, HEAD\r\n";
    } else {
        head = media_str_eq(method, MEDIA_STR("HEAD"));
        if (is_path("/healthz", target)) {
            status = write_health(h, &body);
        } else if (is_path("/readyz", target)) {
            status = write_ready(h, &body);
        } else if (is_path("/metrics", target)) {
            status = 200;
            type = "text/plain; version=0.0.4; charset=utf-8";
            write_metrics(h, &body);
            write_queues(h, &body);
        }
    }
    view = media_buf_view(&body);
    (void)media_buf_fmt(out,
                        "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                        "Cache-Control: no-store\r\n%sConnection: close\r\n\r\n",
                        status,
                        status == 200   ? "OK"
                        : status == 400 ? "Bad Request"
                        : status == 404 ? "Not Found"
                        : status == 405 ? "Method Not Allowed"
                                        : "Service Unavailable",
                        type, view.len, extra);
    if (!head) {
        (void)media_buf_str(out, view);
    }
    media_buf_free(&body);
}

/* Waits for the socket; 0 when the deadline passed or the worker stops. */
static int wait_io(wk_health_t *h, int fd, short events, int64_t deadline_ms)
{
    struct pollfd fds[2] = {{.fd = fd, .events = events}, {.fd = h->stop_fd, .events = POLLIN}};
    int64_t left = deadline_ms - wk_mono_ms();

    if (left <= 0 || poll(fds, 2, (int)left) <= 0 || fds[1].revents != 0) {
        return 0;
    }
    return fds[0].revents != 0;
}

/* Reads the request's head and writes the answer. */
static void serve(wk_health_t *h, int fd)
{
    int64_t deadline_ms = wk_mono_ms() + WK_HEALTH_DEADLINE_MS;
    char req[WK_HEALTH_REQUEST_MAX + 1];
    size_t len = 0;
    media_buf_t out;
    media_str_t left;

    req[0] = '\0';
    while (strstr(req, "\r\n\r\n") == NULL && strstr(req, "\n\n") == NULL) {
        ssize_t n;
        if (len == WK_HEALTH_REQUEST_MAX || !wait_io(h, fd, POLLIN, deadline_ms)) {
            return;
        }
        n = recv(fd, req + len, WK_HEALTH_REQUEST_MAX - len, 0);
        if (n <= 0) {
            return;
        }
        len += (size_t)n;
        req[len] = '\0';
    }
    media_buf_init(&out, 2 * WK_HEALTH_ANSWER_MAX);
    write_answer(h, req, &out);
    left = media_buf_view(&out);
    while (left.len > 0 && wait_io(h, fd, POLLOUT, deadline_ms)) {
        ssize_t n = send(fd, left.p, left.len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            break;
        }
        if (n > 0) {
            left.p += n;
            left.len -= (size_t)n;
        }
    }
    media_buf_free(&out);
}

static void *serve_loop(void *arg)
{
    wk_health_t *h = arg;

    for (;;) {
        struct pollfd fds[2] = {{.fd = h->listen_fd, .events = POLLIN},
                                {.fd = h->stop_fd, .events = POLLIN}};
        int fd;

        if (poll(fds, 2, -1) < 0) {
            continue; /* EINTR */
        }
        if (fds[1].revents != 0) {
            return NULL;
        }
        fd = accept4(h->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            serve(h, fd);
            close(fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            (void)wait_io(h, -1, 0, wk_mono_ms() + 200); /* the backlog keeps the caller */
        }
    }
}

const char *wk_health_split(const char *addr, char *host, size_t cap)
{
    const char *colon = strrchr(addr, ':');
    size_t n = colon != NULL ? (size_t)(colon - addr) : 0;

    if (n >= 2 && addr[0] == '[' && addr[n - 1] == ']') {
        addr++;
        n -= 2;
    }
    if (n == 0 || n >= cap) {
        return NULL;
    }
    memcpy(host, addr, n);
    host[n] = '\0';
    return colon + 1;
}

/* A listening socket or -1 with errno set; *port_out is the port the kernel chose. */
static int listen_on(const char *addr, int *port_out)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *list = NULL;
    struct sockaddr_storage ss;
    socklen_t sslen = sizeof(ss);
    char host[256], serv[32];
    const char *port = wk_health_split(addr, host, sizeof(host));
    int one = 1;
    int fd = -1;
    int saved = EADDRNOTAVAIL;

    if (port == NULL || getaddrinfo(host, port, &hints, &list) != 0) {
        errno = saved;
        return -1;
    }
    for (struct addrinfo *ai = list; ai != NULL && fd < 0; ai = ai->ai_next) {
        fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0) {
            saved = errno;
            continue;
        }
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 || listen(fd, 16) != 0) {
            saved = errno;
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(list);
    if (fd < 0) {
        errno = saved;
        return -1;
    }
    (void)getsockname(fd, (struct sockaddr *)&ss, &sslen);
    (void)getnameinfo((struct sockaddr *)&ss, sslen, NULL, 0, serv, sizeof(serv), NI_NUMERICSERV);
    *port_out = (int)strtol(serv, NULL, 10);
    return fd;
}

/* Written under another name first, so a reader never sees half a line. 0 or -1 with errno. */
static int write_file(const char *path, const char *addr, int port)
{
    const char *colon = strrchr(addr, ':');
    char tmp[PATH_MAX];
    int fd, ok;

    if (snprintf(tmp, sizeof(tmp), "%s.%ld.tmp", path, (long)getpid()) >= (int)sizeof(tmp)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        return -1;
    }
    ok = dprintf(fd, "%.*s:%d\n", (int)(colon - addr), addr, port) > 0;
    ok = close(fd) == 0 && ok && rename(tmp, path) == 0;
    if (!ok) {
        int saved = errno;
        (void)unlink(tmp);
        errno = saved;
    }
    return ok ? 0 : -1;
}

static int start_thread(wk_health_t *h)
{
    sigset_t all, old;
    int rc;

    /* signals belong to the worker's main thread */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&h->thread, NULL, serve_loop, h);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}

wk_health_t *wk_health_start(const wk_conf_t *conf, const char *svc)
{
    wk_health_t *h = calloc(1, sizeof(*h));
    const char *what = "out of memory";
    int port = 0;

    if (h == NULL) {
        goto failed;
    }
    h->svc = svc;
    h->slots = conf->jobs;
    h->stall_s = conf->stall_s;
    h->listen_fd = -1;
    h->stop_fd = eventfd(0, EFD_CLOEXEC);
    what = "eventfd";
    if (h->stop_fd < 0) {
        goto failed;
    }
    what = "listen";
    h->listen_fd = listen_on(conf->health_addr, &port);
    if (h->listen_fd < 0) {
        goto failed;
    }
    what = "write MEDIA_HEALTH_FILE";
    if (conf->health_file != NULL) {
        if (write_file(conf->health_file, conf->health_addr, port) != 0) {
            goto failed;
        }
        h->file = conf->health_file;
    }
    what = "thread";
    errno = start_thread(h);
    if (errno != 0) {
        goto failed;
    }
    return h;

failed:
    wk_log(MEDIA_LOG_ERROR, "health port not available", "what", what, "addr", conf->health_addr,
           "cause", strerror(errno), NULL);
    if (h != NULL) {
        if (h->file != NULL) {
            (void)unlink(h->file);
        }
        if (h->listen_fd >= 0) {
            close(h->listen_fd);
        }
        if (h->stop_fd >= 0) {
            close(h->stop_fd);
        }
        free(h);
    }
    return NULL;
}

void wk_health_stop(wk_health_t *h)
{
    if (h == NULL) {
        return;
    }
    (void)eventfd_write(h->stop_fd, 1);
    (void)pthread_join(h->thread, NULL);
    if (h->file != NULL) {
        (void)unlink(h->file);
    }
    close(h->listen_fd);
    close(h->stop_fd);
    free(h);
}
