/* media-transcoder: the worker of the pipelines `audio` and `video`. The same binary is the decoder
 * child (WK_CHILD_FLAG), which is all of it that ever touches a client's bytes.
 *
 * A process serves one queue: jobs of minutes in `long` never keep those of seconds waiting. */
#include <string.h>

#include "ladder_file.h"
#include "package.h"
#include "tc.h"
#include "tc_work.h"
#include "vd_work.h"

#define OUTPUT_BYTES (20ll << 30)
#define STALL_S 60
#define SMALL_MEMORY (1ll << 30) /* of steps that do not encode video */
#define CPU_BASE_S 600
#define CPU_PER_MIB_S 10
#define CPU_PER_SECOND_S 120 /* of video: a ladder up to 2160p by the slowest preset */
#define CPU_MAX_S (6 * 3600)

typedef struct {
    const char *step;
    enum wk_end (*run)(wk_ctx_t *ctx, const wk_job_t *job, const wk_child_limits_t *limits,
                       wk_outcome_t *out);
    int by_range; /* encodes video: work grows with the range's seconds, not with the file */
    int is_video;
} step_t;

static const step_t steps[] = {
    {"audio", wk_child_run, 0, 0},  {"index", wk_child_run, 0, 1},
    {"sound", wk_child_run, 0, 1},  {"text", wk_child_run, 0, 1},
    {"encode", wk_child_run, 1, 1}, {"encode_first", wk_child_run, 1, 1},
    {"mp4", ladder_file_run, 0, 1},
};

static const step_t *step_find(const char *name)
{
    for (size_t i = 0; name != NULL && i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (strcmp(steps[i].step, name) == 0) {
            return &steps[i];
        }
    }
    return NULL;
}

/* An hour of Opus at 6 kbit/s is 2.7 MiB and takes a minute to encode. */
static int64_t cpu_of(const step_t *s, const wk_job_t *job)
{
    json_int_t seconds = json_integer_value(json_object_get(job->range, "seconds"));

    if (!s->by_range) {
        return CPU_BASE_S + (job->size >> 20) * CPU_PER_MIB_S;
    }
    return seconds < 0 || seconds > CPU_MAX_S ? CPU_MAX_S : CPU_BASE_S + seconds * CPU_PER_SECOND_S;
}

/* What tc_limits_read() reads. */
static json_t *policy(const wk_conf_t *conf)
{
    return json_pack("{s:i,s:i,s:i,s:i,s:s*}", "duration_s", conf->limit_duration_s, "pixels",
                     conf->limit_pixels, "frames", conf->limit_frames, "streams",
                     conf->limit_streams, "codecs", conf->limit_codecs);
}

static enum wk_end run(wk_ctx_t *ctx, const wk_job_t *job, wk_outcome_t *out)
{
    const step_t *s = step_find(job->step);
    int64_t memory_bytes = (int64_t)ctx->conf->child_memory_mib << 20;
    wk_child_limits_t limits = {.output_bytes = OUTPUT_BYTES, .stall_s = STALL_S};
    enum wk_end end;
    int64_t cpu_s;

    if (s == NULL) {
        return package_run(ctx, job, out);
    }
    cpu_s = cpu_of(s, job);
    limits.memory_bytes = s->by_range || memory_bytes < SMALL_MEMORY ? memory_bytes : SMALL_MEMORY;
    limits.cpu_s = (int)(cpu_s < CPU_MAX_S ? cpu_s : CPU_MAX_S);
    limits.wall_s = 3 * limits.cpu_s;
    limits.policy = policy(ctx->conf);
    end = s->run(ctx, job, &limits, out);
    json_decref(limits.policy);
    return end;
}

static int work(wk_peer_t *peer, const wk_child_input_t *in)
{
    const step_t *s = step_find(in->step);

    return s != NULL && s->is_video ? vd_work(peer, in) : tc_work(peer, in);
}

int main(int argc, char **argv)
{
    wk_engine_t engine = {
        .name = "media-transcoder",
        .steps = "{audio,index,sound,text,encode_first,encode,package_first,package,mp4}",
        .run = run};
    wk_conf_t conf;

    if (argc == 2 && strcmp(argv[1], WK_CHILD_FLAG) == 0) {
        wk_child_main(tc_warm, work);
    }
    wk_conf_load(&conf, "media-transcoder", argc, argv);
    engine.queue = wk_conf_queue(&conf, MEDIA_QUEUE_SHORT, MEDIA_QUEUE_LONG);
    return wk_run(&engine, &conf);
}
