/* Rows of the database -> text -> outputs. */
#define _GNU_SOURCE
#include "package.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "media/dash.h"
#include "media/hls.h"
#include "wk_log.h"

#define TEXT_MAX (32u << 20) /* of one playlist or manifest: ten rungs of a day */

typedef struct {
    wk_ctx_t *ctx;
    const wk_job_t *job;
    wk_outcome_t *out;
    const media_cmafset_t *set;
    json_t *outputs;
    media_buf_t text;
} package_t;

static enum wk_end end_of(package_t *p, int rc, const char *detail)
{
    switch (rc) {
    case 0:
        return WK_DONE;
    case MEDIA_E_GONE:
        return WK_LOST;
    case MEDIA_E_AGAIN:
        return WK_RELEASE;
    default:
        return wk_outcome(p->out, WK_RETRY, "storage_unavailable", "%s", detail);
    }
}

/* Uploads the text as an output and empties it. */
static enum wk_end save(package_t *p, const char *name, const char *kind, const char *type)
{
    json_t *meta = json_pack("{s:s,s:s,s:s}", "name", name, "kind", kind, "content_type", type);
    media_err_t ei = {""};
    enum wk_end end;
    int fd = -1;

    if (p->text.failed || meta == NULL) {
        json_decref(meta);
        return wk_outcome(p->out, WK_REJECT, "limits",
                          "The playlists would be larger than is allowed.");
    }
    fd = memfd_create("playlist", MFD_CLOEXEC);
    if (fd < 0 || write(fd, p->text.p, p->text.len) != (ssize_t)p->text.len) {
        json_decref(meta);
        end = wk_outcome(p->out, WK_RETRY, "worker_memory", "The worker is out of memory.");
    } else {
        end = end_of(p,
                     wk_job_output(p->ctx, p->job, fd, (int64_t)p->text.len, meta, p->outputs, &ei),
                     ei.text);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    media_buf_reset(&p->text);
    return end;
}

static enum wk_end save_track(package_t *p, const media_track_t *t)
{
    char name[96];
    enum wk_end end;

    (void)wk_fmt(name, sizeof(name), "hls/%s" MEDIA_HLS_EXT, t->name);
    (void)media_hls_media(p->set, t, &p->text);
    end = save(p, name, "playlist", MEDIA_HLS_TYPE);
    if (end == WK_DONE && t->kind == MEDIA_TRACK_VIDEO && media_track_has_iframes(t)) {
        (void)wk_fmt(name, sizeof(name), "hls/%s" MEDIA_HLS_IFRAMES_EXT, t->name);
        (void)media_hls_iframes(p->set, t, &p->text);
        end = save(p, name, "playlist", MEDIA_HLS_TYPE);
    }
    return end;
}

/* The masters last: what they name is there by then. */
static enum wk_end save_all(package_t *p)
{
    enum wk_end end = WK_DONE;

    for (size_t i = 0; end == WK_DONE && i < p->set->ntracks; i++) {
        end = save_track(p, &p->set->tracks[i]);
    }
    if (end == WK_DONE) {
        (void)media_hls_master(p->set, &p->text);
        end = save(p, "hls/" MEDIA_HLS_MASTER, "playlist", MEDIA_HLS_TYPE);
    }
    if (end == WK_DONE) {
        (void)media_dash_manifest(p->set, &p->text);
        end = save(p, "dash/" MEDIA_DASH_MANIFEST, "manifest", MEDIA_DASH_TYPE);
    }
    return end;
}

/* The tracks of the run. WK_DONE: *set is owned. */
static enum wk_end load(package_t *p, media_cmafset_t **set)
{
    wk_pg_result_t *res = NULL;
    const char *text = NULL;
    media_err_t ei = {""};
    enum wk_end end = wk_job_ask(p->ctx, p->job, MEDIA_STMT_JOB_SET, &res, &text, p->out);

    if (end == WK_DONE && media_cmafset_read(media_str(text), set, &ei) != 0) {
        wk_log(MEDIA_LOG_ERROR, "tracks not usable", "job", p->job->id, "cause", ei.text, NULL);
        end = wk_outcome(p->out, WK_REJECT, "internal", "%s", ei.text);
    }
    wk_pg_result_free(res);
    return end;
}

enum wk_end package_run(wk_ctx_t *ctx, const wk_job_t *job, wk_outcome_t *out)
{
    package_t p = {.ctx = ctx, .job = job, .out = out, .outputs = json_array()};
    media_cmafset_t *set = NULL;
    enum wk_end end = load(&p, &set);

    media_buf_init(&p.text, TEXT_MAX);
    p.set = set;
    if (end == WK_DONE) {
        end = save_all(&p);
    }
    if (end == WK_DONE) {
        out->result = json_pack("{s:O}", "outputs", p.outputs);
    }
    media_buf_free(&p.text);
    media_cmafset_free(set);
    json_decref(p.outputs);
    return end;
}
