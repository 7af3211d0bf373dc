/* media-anonymizer: the worker of the pipelines that anonymize. The same binary is the decoder
 * child (WK_CHILD_FLAG), which is all of it that ever touches a client's bytes; what is in a
 * picture it asks media-detector, through its parent.
 *
 * A process serves one queue, as the transcoder does. */
#include <string.h>

#include "an_associate.h"
#include "an_detectors.h"
#include "an_stamp.h"
#include "an_work.h"
#include "ladder_file.h"
#include "wk_host.h"

#define OUTPUT_BYTES (20ll << 30)
#define STALL_S 60
#define CPU_BASE_S 600
#define CPU_PER_MIB_S 20 /* of input: a film is decoded, looked at or encoded */
#define CPU_MAX_S (6 * 3600)

/* A picture has a child of its own, which starts in a tenth of the time. */
static int has_own_child(const wk_job_t *job, char *path, size_t cap)
{
    return strncmp(job->content_type, "image/", 6) == 0 && strcmp(job->step, "anonymize") == 0 &&
           wk_spawn_beside("media-picture", path, cap) == 0;
}

/* An edit of a picture masks what was found before. */
static int has_found(const wk_job_t *job, const an_params_t *params)
{
    return params->is_edit && strcmp(job->step, "anonymize") == 0 &&
           json_is_object(json_object_get(job->range, WK_KEPT));
}

/* A child that looks for something: its detectors run before it does. */
static enum wk_end looking(wk_ctx_t *ctx, const wk_job_t *job, const wk_child_limits_t *limits,
                           const an_params_t *params, wk_outcome_t *out)
{
    json_t *about = NULL;
    wk_asked_t asked;
    enum wk_end end;

    if (has_found(job, params)) {
        return wk_child_run(ctx, job, limits, out);
    }
    end = an_detectors_ready(ctx, job, params, &asked, &about, out);
    if (end == WK_DONE) {
        (void)json_object_set(limits->policy, "detectors", about);
        end = wk_child_run_asked(ctx, job, limits, &asked, out);
    }
    json_decref(about);
    return end;
}

static enum wk_end alone(wk_ctx_t *ctx, const wk_job_t *job, const wk_child_limits_t *limits,
                         const an_params_t *params, wk_outcome_t *out)
{
    (void)params;
    return wk_child_run(ctx, job, limits, out);
}

static enum wk_end associating(wk_ctx_t *ctx, const wk_job_t *job, const wk_child_limits_t *limits,
                               const an_params_t *params, wk_outcome_t *out)
{
    (void)params;
    return an_associate_run(ctx, job, limits, out);
}

static enum wk_end assembling(wk_ctx_t *ctx, const wk_job_t *job, const wk_child_limits_t *limits,
                              const an_params_t *params, wk_outcome_t *out)
{
    (void)params;
    return ladder_file_run(ctx, job, limits, out);
}

static const struct {
    const char *step;
    enum wk_end (*run)(wk_ctx_t *ctx, const wk_job_t *job, const wk_child_limits_t *limits,
                       const an_params_t *params, wk_outcome_t *out);
} steps[] = {
    {"anonymize", looking}, {"detect", looking}, {"associate", associating},
    {"render", alone},      {"voice", alone},    {"assemble", assembling},
};

static json_t *policy(const wk_conf_t *conf)
{
    return json_pack("{s:i,s:i,s:i,s:i,s:s*}", "duration_s", conf->limit_duration_s, "pixels",
                     conf->limit_pixels, "frames", conf->limit_frames, "streams",
                     conf->limit_streams, "codecs", conf->limit_codecs);
}

static enum wk_end run_step(wk_ctx_t *ctx, const wk_job_t *job, const wk_child_limits_t *limits,
                            const an_params_t *params, wk_outcome_t *out)
{
    media_err_t ei = {""};
    int rc = an_stamp_send(limits->policy, ctx->conf->mask_image, params, &ei);

    if (rc != 0) {
        return wk_outcome(out, rc == MEDIA_E_REJECT ? WK_REJECT : WK_RETRY, "no_mask_image", "%s",
                          ei.text);
    }
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (strcmp(steps[i].step, job->step) == 0) {
            return steps[i].run(ctx, job, limits, params, out);
        }
    }
    return wk_outcome(out, WK_REJECT, "internal", "This worker does not know the step.");
}

static enum wk_end run(wk_ctx_t *ctx, const wk_job_t *job, wk_outcome_t *out)
{
    int64_t cpu_s = CPU_BASE_S + (job->size >> 20) * CPU_PER_MIB_S;
    wk_child_limits_t limits = {
        .memory_bytes = (int64_t)ctx->conf->child_memory_mib << 20,
        .output_bytes = OUTPUT_BYTES,
        .stall_s = STALL_S,
        .cpu_s = (int)(cpu_s < CPU_MAX_S ? cpu_s : CPU_MAX_S),
    };
    tc_fail_t f = {{0}, {0}, 0};
    an_params_t params;
    char exe[512];
    enum wk_end end;

    if (an_params_read(job->params, &params, &f) != 0) {
        return wk_outcome(out, WK_REJECT, f.code, "%s", f.detail);
    }
    limits.wall_s = 3 * limits.cpu_s;
    limits.policy = policy(ctx->conf);
    limits.exe = has_own_child(job, exe, sizeof(exe)) ? exe : NULL;
    end = run_step(ctx, job, &limits, &params, out);
    json_decref(limits.policy);
    an_params_free(&params);
    return end;
}

int main(int argc, char **argv)
{
    wk_engine_t engine = {.name = "media-anonymizer",
                          .steps = "{anonymize,detect,associate,render,voice,assemble}",
                          .run = run};
    wk_conf_t conf;

    if (argc == 2 && strcmp(argv[1], WK_CHILD_FLAG) == 0) {
        wk_child_main(an_warm, an_work);
    }
    wk_conf_load(&conf, "media-anonymizer", argc, argv);
    engine.queue = wk_conf_queue(&conf, MEDIA_QUEUE_MASK, MEDIA_QUEUE_MASK_LONG);
    return wk_run(&engine, &conf);
}
