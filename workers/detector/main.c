/* media-detector: one detector of one kind in a process of its own that, once its model is loaded,
 * can do nothing but compute and talk over one socket (an_wire.h). Started by media-anonymizer with
 * fork + exec, kept warm between jobs, ended by closing the socket.
 *
 *   state    does                                   a failure
 *   start    reads START and the model's files      ERROR, exit
 *   load     OpenCV reads them, one forward pass    ERROR, exit
 *   lock     own uid, seccomp                       ERROR, exit
 *   serve    PICTURE -> HITS                        ERROR, goes on; exit when the socket closes
 *
 * Nothing from outside is read before the lock: START and models are the operator's. */
#define _GNU_SOURCE
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "an_models.h"
#include "an_wire.h"
#include "cv_shim.h"
#include "media/json.h"
#include "wk_host.h"
#include "wk_sandbox.h"

typedef struct {
    enum an_kind kind;
    int64_t uid;
    char dir[4096];
    cv_shim_t *shim;
    json_t *about; /* READY's */
    uint8_t *picture;
} detector_t;

static int send_json(enum an_frame type, json_t *doc)
{
    char *text = doc != NULL ? json_dumps(doc, JSON_COMPACT) : NULL;
    an_head_t head = {(uint32_t)type, text != NULL ? (uint32_t)strlen(text) : 0, 0};
    int rc = MEDIA_E_NOMEM;

    if (text != NULL && head.len <= AN_TEXT_MAX) {
        rc = an_wire_send(AN_WIRE_FD, &head, text, head.len, NULL, 0, -1);
    }
    free(text);
    json_decref(doc);
    return rc;
}

static int send_error(const char *code, const char *detail)
{
    json_t *doc = json_pack("{s:s,s:s}", "code", code, "detail", detail);

    /* what a library says may be no UTF-8 */
    return send_json(AN_F_ERROR,
                     doc != NULL ? doc
                                 : json_pack("{s:s,s:s}", "code", code, "detail", "Unknown cause"));
}

static int read_start(detector_t *d)
{
    char text[AN_TEXT_MAX];
    an_head_t head;
    json_t *doc = NULL;
    media_str_t dir = {0};
    int rc = MEDIA_E_REJECT;

    if (an_wire_recv(AN_WIRE_FD, &head, sizeof(head), -1) == 0 && head.type == AN_F_START &&
        head.len <= sizeof(text) && an_wire_recv(AN_WIRE_FD, text, head.len, -1) == 0 &&
        media_json_parse((media_str_t){text, head.len}, &doc, NULL) == 0 &&
        media_json_str(doc, "models", sizeof(d->dir) - 1, &dir, NULL) == 0) {
        memcpy(d->dir, dir.p, dir.len);
        d->dir[dir.len] = '\0';
        d->uid = head.off;
        rc = 0;
    }
    json_decref(doc);
    return rc;
}

/* What is said about the model in READY. */
static json_t *describe(const detector_t *d, const an_loaded_t *files, int n)
{
    json_t *list = json_array();
    json_t *doc = NULL;
    int rc = list != NULL ? 0 : -1;

    for (int i = 0; i < n; i++) {
        rc |= json_array_append_new(
            list, json_pack("{s:s,s:s}", "name", files[i].name, "sha256", files[i].sha256));
    }
    if (rc == 0) {
        doc = json_pack("{s:s,s:s,s:O}", "kind", an_kind_name(d->kind), "opencv", cv_shim_version(),
                        "files", list);
    }
    json_decref(list);
    return doc;
}

/* Which of the files it is: OpenCV names none. */
static void name_broken(const an_loaded_t *files, int n, const media_err_t *cause, media_err_t *ei)
{
    char names[sizeof(ei->text)] = "";
    size_t at = 0;

    for (int i = 0; i < n && at < sizeof(names) - 1; i++) {
        at += (size_t)snprintf(names + at, sizeof(names) - at, "%s%s", i > 0 ? ", " : "",
                               files[i].name);
    }
    (void)media_err_set(ei, MEDIA_E_REJECT, "The model %.100s cannot be loaded: %.60s", names,
                        cause->text);
}

/* 0, or the exit code after telling why. */
static int load(detector_t *d)
{
    static an_loaded_t files[AN_MODEL_FILES];
    cv_shim_file_t in[CV_SHIM_FILES];
    media_err_t ei = {""}, cause = {""};
    const an_model_t *model = an_model_find(d->kind, d->dir, &ei);
    int n = model != NULL ? an_model_load(model, d->dir, files, &ei) : MEDIA_E_GONE;

    if (n >= 0) {
        for (int i = 0; i < n; i++) {
            in[i] = (cv_shim_file_t){files[i].path, files[i].bytes, files[i].len};
        }
        d->shim = cv_shim_open(d->kind, in, (size_t)n, &cause);
        d->about = describe(d, files, n);
        if (d->shim == NULL) {
            name_broken(files, n, &cause, &ei);
            n = MEDIA_E_REJECT;
        } else if (d->about == NULL) {
            n = media_err_set(&ei, MEDIA_E_NOMEM, "No memory.");
        }
    }
    an_model_free(files);
    if (n < 0) {
        (void)send_error(n == MEDIA_E_GONE     ? "model_missing"
                         : n == MEDIA_E_REJECT ? "model_broken"
                                               : "detector_memory",
                         ei.text);
        return WK_EXIT_START;
    }
    return 0;
}

static int lock_down(detector_t *d)
{
    if (wk_sandbox_drop(d->uid) != 0 || wk_sandbox_lock() != 0) {
        (void)send_error("sandbox_failed", "The detector could not be locked down.");
        return WK_EXIT_SANDBOX;
    }
    return 0;
}

/* The answer to one PICTURE whose payload is there. 0, or the parent is gone. */
static int answer(detector_t *d, uint32_t len)
{
    static an_hit_t hits[AN_HITS_MAX];
    media_err_t ei = {""};
    an_size_t size = {0, 0};
    an_head_t head = {AN_F_HITS, 0, 0};
    int n;

    if (len >= sizeof(size)) {
        memcpy(&size, d->picture, sizeof(size));
    }
    if (size.width == 0 || size.height == 0 ||
        (uint64_t)size.width * size.height * 3 + sizeof(size) != len) {
        return send_error("detector_request", "The picture is not of the size it says.");
    }
    n = cv_shim_detect(d->shim, size.width, size.height, d->picture + sizeof(size), hits,
                       AN_HITS_MAX, &ei);
    if (n < 0) {
        return send_error("detector_failed", ei.text);
    }
    head.len = (uint32_t)((size_t)n * sizeof(hits[0]));
    return an_wire_send(AN_WIRE_FD, &head, hits, head.len, NULL, 0, -1);
}

static int serve(detector_t *d)
{
    const uint32_t most = AN_PICTURE_MAX + sizeof(an_size_t);
    an_head_t head;

    d->picture = malloc(most);
    if (d->picture == NULL) {
        (void)send_error("detector_memory", "No memory for pictures.");
        return WK_EXIT_START;
    }
    if (send_json(AN_F_READY, d->about) != 0) {
        return 0;
    }
    while (an_wire_recv(AN_WIRE_FD, &head, sizeof(head), -1) == 0) {
        if (head.type != AN_F_PICTURE || head.len > most) {
            /* where the next frame begins is not known any more */
            (void)send_error("detector_request", "The picture is too large, or none.");
            return WK_EXIT_START;
        }
        if (an_wire_recv(AN_WIRE_FD, d->picture, head.len, -1) != 0 || answer(d, head.len) != 0) {
            break;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    static detector_t d;
    int kind = argc == 2 ? an_kind_parse(argv[1]) : -1;
    int rc;

    if (kind < 0 || read_start(&d) != 0) {
        (void)fprintf(stderr, "media-detector is started by media-anonymizer, not by hand\n");
        return WK_EXIT_START;
    }
    d.kind = (enum an_kind)kind;
    (void)mallopt(M_ARENA_MAX, 1); /* more would count against the memory limit */
    json_object_seed(0);           /* opens /dev/urandom at its first use otherwise */
    rc = load(&d);
    if (rc == 0) {
        rc = lock_down(&d);
    }
    if (rc == 0) {
        rc = serve(&d);
    }
    /* not exit(): the destructors of OpenCV's libraries have nothing to save here */
    _exit(rc);
}
