#define _GNU_SOURCE
#include "an_detector.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "an_wire.h"
#include "media/json.h"
#include "wk_host.h"
#include "wk_log.h"

#define OPEN_TIMEOUT_MS 60000 /* a network of 250 MB from a cold disk */
#define BEAT_MS 500
#define MEMORY_MIB 2048
#define STDERR_MAX 2048

struct an_detector_s {
    an_spec_t spec; /* models: a copy of ours */
    wk_proc_t proc;
    json_t *about;
};

__attribute__((format(printf, 3, 4))) static void fail(an_fault_t *fault, const char *code,
                                                       const char *fmt, ...)
{
    va_list ap;

    (void)snprintf(fault->code, sizeof(fault->code), "%s", code);
    va_start(ap, fmt);
    (void)vsnprintf(fault->detail, sizeof(fault->detail), fmt, ap);
    va_end(ap);
}

/* What it wrote to its stderr goes into the log; a pipe nobody reads would stop it one day. */
static void read_stderr(an_detector_t *d)
{
    char text[STDERR_MAX + 1];
    ssize_t n = read(d->proc.stderr_fd, text, STDERR_MAX);

    if (n > 0) {
        text[n] = '\0';
        wk_log(MEDIA_LOG_WARN, "detector's stderr", "kind", an_kind_name(d->spec.kind), "text",
               text, NULL);
    }
}

/* Ends the process after `rc` of an_wire_*; tells how it went. */
static void end(an_detector_t *d, int rc, int waited_ms, an_fault_t *fault)
{
    const char *kind = an_kind_name(d->spec.kind);
    int status;

    read_stderr(d);
    status = wk_spawn_end(&d->proc);
    if (rc == MEDIA_E_GONE) {
        fail(fault, "detector_died", "The detector \"%s\" ended: %s %d.", kind,
             WIFSIGNALED(status) ? "signal" : "exit code",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    } else if (rc == MEDIA_E_AGAIN) {
        fail(fault, "detector_silent", "The detector \"%s\" did not answer within %d ms.", kind,
             waited_ms);
    } else if (rc == MEDIA_E_RETRY) {
        fail(fault, "detector_start", "Nobody waits for the detector \"%s\" any more.", kind);
    } else {
        fail(fault, "detector_failed", "The detector \"%s\" sent what is no answer.", kind);
    }
}

/* A JSON payload of len bytes. Owned; NULL and *rc of the wire, or MEDIA_E_REJECT. */
static json_t *recv_json(an_detector_t *d, uint32_t len, int64_t until_ms, int *rc)
{
    char text[AN_TEXT_MAX];
    json_t *doc = NULL;

    *rc = len <= sizeof(text) ? an_wire_recv(d->proc.sock, text, len, until_ms) : MEDIA_E_REJECT;
    if (*rc == 0) {
        *rc = media_json_parse((media_str_t){text, len}, &doc, NULL);
    }
    return doc;
}

/* The ERROR whose head was read. 0, or as recv_json. */
static int recv_error(an_detector_t *d, uint32_t len, int64_t until_ms, an_fault_t *fault)
{
    int rc;
    json_t *doc = recv_json(d, len, until_ms, &rc);
    const char *code = json_string_value(json_object_get(doc, "code"));
    const char *detail = json_string_value(json_object_get(doc, "detail"));

    if (rc == 0) {
        fail(fault, code != NULL ? code : "detector_failed", "%s", detail != NULL ? detail : "");
    }
    json_decref(doc);
    return rc;
}

/* Until it says something. 0, the wire's code, or MEDIA_E_RETRY: the beat has ended it. */
static int await_word(const an_detector_t *d, int64_t until_ms)
{
    int rc;

    do {
        int64_t next_ms = an_wire_now_ms() + BEAT_MS;

        if (d->spec.beat != NULL && d->spec.beat(d->spec.ctx) != 0) {
            return MEDIA_E_RETRY;
        }
        rc = an_wire_wait(d->proc.sock, next_ms < until_ms ? next_ms : until_ms);
    } while (rc == MEDIA_E_AGAIN && an_wire_now_ms() < until_ms);
    return rc;
}

static int start(an_detector_t *d, an_fault_t *fault)
{
    int64_t until_ms = an_wire_now_ms() + OPEN_TIMEOUT_MS;
    json_t *doc = json_pack("{s:s}", "models", d->spec.models);
    char *text = doc != NULL ? json_dumps(doc, JSON_COMPACT) : NULL;
    an_head_t head = {AN_F_START, text != NULL ? (uint32_t)strlen(text) : 0, d->spec.uid};
    int rc = MEDIA_E_NOMEM;

    if (text != NULL) {
        rc = an_wire_send(d->proc.sock, &head, text, head.len, NULL, 0, until_ms);
    }
    rc = rc == 0 ? await_word(d, until_ms) : rc;
    if (rc == 0) {
        rc = an_wire_recv(d->proc.sock, &head, sizeof(head), until_ms);
    }
    if (rc == 0 && head.type == AN_F_READY) {
        d->about = recv_json(d, head.len, until_ms, &rc);
    } else if (rc == 0 && head.type == AN_F_ERROR) {
        rc = recv_error(d, head.len, until_ms, fault);
        if (rc == 0) {
            (void)wk_spawn_end(&d->proc);
        }
    } else if (rc == 0) {
        rc = MEDIA_E_REJECT;
    }
    if (rc != 0) {
        end(d, rc, OPEN_TIMEOUT_MS, fault);
    }
    free(text);
    json_decref(doc);
    return d->about != NULL ? 0 : MEDIA_E_RETRY;
}

an_detector_t *an_detector_open(const an_spec_t *spec, const char *exe, an_fault_t *fault)
{
    int mib = spec->memory_mib > 0 ? spec->memory_mib : MEMORY_MIB;
    wk_child_limits_t limits = {.memory_bytes = (int64_t)mib << 20};
    char *argv[] = {(char *)(uintptr_t) "media-detector",
                    (char *)(uintptr_t)an_kind_name(spec->kind), NULL};
    an_detector_t *d = calloc(1, sizeof(*d));
    char *models = strdup(spec->models != NULL ? spec->models : "");
    media_err_t ei = {""};

    if (d == NULL || models == NULL) {
        fail(fault, "detector_memory", "No memory for a detector.");
        goto failed;
    }
    d->spec = *spec;
    d->spec.models = models;
    if (wk_spawn(exe, argv, &limits, &d->proc, &ei) != 0) {
        fail(fault, "detector_start", "The detector could not be started: %s", ei.text);
        goto failed;
    }
    if (start(d, fault) != 0) {
        goto failed;
    }
    d->spec.beat = NULL; /* its ctx may go now */
    d->spec.ctx = NULL;
    return d;
failed:
    free(models);
    free(d);
    return NULL;
}

void an_detector_close(an_detector_t *d)
{
    if (d == NULL) {
        return;
    }
    if (d->proc.pid > 0) {
        read_stderr(d);
    }
    (void)wk_spawn_end(&d->proc);
    json_decref(d->about);
    free((char *)(uintptr_t)d->spec.models);
    free(d);
}

static int is_same(const an_spec_t *a, const an_spec_t *b)
{
    return a->kind == b->kind && a->uid == b->uid && a->memory_mib == b->memory_mib &&
           strcmp(a->models, b->models != NULL ? b->models : "") == 0;
}

/* Is it there, and silent as long as nobody asks? */
static int is_idle(const an_detector_t *d)
{
    return d->proc.pid > 0 && an_wire_wait(d->proc.sock, 0) == MEDIA_E_AGAIN;
}

int an_detector_keep(an_detector_t **d, const an_spec_t *spec, const char *exe, an_fault_t *fault)
{
    if (*d != NULL && is_idle(*d) && is_same(&(*d)->spec, spec)) {
        return 0;
    }
    an_detector_close(*d);
    *d = an_detector_open(spec, exe, fault);
    return *d != NULL ? 0 : MEDIA_E_RETRY;
}

/* The detector reads pictures that somebody made: its answer is looked at as if he had sent it. */
static int hits_valid(const an_hit_t *hits, int n)
{
    for (int i = 0; i < n; i++) {
        const an_hit_t *h = &hits[i];

        if (!isfinite(h->x) || !isfinite(h->y) || !isfinite(h->w) || !isfinite(h->h) ||
            fabsf(h->x) > 1e6f || fabsf(h->y) > 1e6f || h->w <= 0 || h->w > 1e6f || h->h <= 0 ||
            h->h > 1e6f || !(h->score >= 0 && h->score <= 1) || h->label < 0 ||
            h->label >= AN_CLASS_COUNT) {
            return 0;
        }
    }
    return 1;
}

int an_detector_ask(an_detector_t *d, uint32_t w, uint32_t h, const uint8_t *bgr, an_hit_t *hits,
                    int max, int timeout_ms, an_fault_t *fault)
{
    static _Thread_local an_hit_t all[AN_HITS_MAX];
    int64_t until_ms = an_wire_now_ms() + timeout_ms;
    an_size_t size = {w, h};
    uint64_t len = (uint64_t)w * h * 3;
    an_head_t head = {AN_F_PICTURE, (uint32_t)(sizeof(size) + len), 0};
    int n, rc;

    if (d->proc.pid <= 0) {
        fail(fault, "detector_died", "The detector \"%s\" is not running any more.",
             an_kind_name(d->spec.kind));
        return MEDIA_E_RETRY;
    }
    if (w == 0 || h == 0 || w > AN_PICTURE_MAX || h > AN_PICTURE_MAX || len > AN_PICTURE_MAX) {
        fail(fault, "detector_request", "A picture of %u x %u is none to ask about.", w, h);
        return MEDIA_E_REJECT;
    }
    read_stderr(d);
    rc = an_wire_send(d->proc.sock, &head, &size, sizeof(size), bgr, (size_t)len, until_ms);
    if (rc == 0) {
        rc = an_wire_recv(d->proc.sock, &head, sizeof(head), until_ms);
    }
    if (rc == 0 && head.type == AN_F_ERROR) {
        rc = recv_error(d, head.len, until_ms, fault);
        if (rc == 0) {
            return MEDIA_E_REJECT;
        }
    } else if (rc == 0 && (head.type != AN_F_HITS || head.len > sizeof(all) ||
                           head.len % sizeof(all[0]) != 0)) {
        rc = MEDIA_E_REJECT;
    } else if (rc == 0) {
        rc = an_wire_recv(d->proc.sock, all, head.len, until_ms);
    }
    n = rc == 0 ? (int)(head.len / sizeof(all[0])) : 0;
    if (rc == 0 && !hits_valid(all, n)) {
        rc = MEDIA_E_REJECT;
    }
    if (rc != 0) {
        end(d, rc, timeout_ms, fault);
        return MEDIA_E_RETRY;
    }
    n = n < max ? n : max;
    memcpy(hits, all, (size_t)n * sizeof(all[0]));
    return n;
}

const json_t *an_detector_about(const an_detector_t *d)
{
    return d->about;
}

const char *an_detector_digest(const an_detector_t *d)
{
    const char *s = json_string_value(
        json_object_get(json_array_get(json_object_get(d->about, "files"), 0), "sha256"));

    return s != NULL ? s : "";
}

pid_t an_detector_pid(const an_detector_t *d)
{
    return d->proc.pid;
}
