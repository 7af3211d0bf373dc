/* media-transcoder: the worker of the `audio` step. The same binary is the decoder child
 * (WK_CHILD_FLAG), which is all of it that ever touches a client's bytes. */
#include <string.h>

#include "tc_work.h"

#define MEMORY_BYTES (1ll << 30)
#define OUTPUT_BYTES (20ll << 30)
#define STALL_S 60
#define CPU_BASE_S 600
#define CPU_PER_MIB_S 10
#define CPU_MAX_S (6 * 3600)

/* Work grows with the file: an hour of Opus at 6 kbit/s is 2.7 MiB and takes a minute to encode. */
static enum wk_end run_audio(wk_ctx_t *ctx, const wk_job_t *job, wk_outcome_t *out)
{
    int64_t cpu_s = CPU_BASE_S + (job->size >> 20) * CPU_PER_MIB_S;
    wk_child_limits_t limits = {
        .memory_bytes = MEMORY_BYTES, .output_bytes = OUTPUT_BYTES, .stall_s = STALL_S};

    limits.cpu_s = (int)(cpu_s < CPU_MAX_S ? cpu_s : CPU_MAX_S);
    limits.wall_s = 3 * limits.cpu_s;
    return wk_child_run(ctx, job, &limits, out);
}

int main(int argc, char **argv)
{
    static const wk_engine_t engine = {.name = "media-transcoder",
                                       .queue = MEDIA_QUEUE_SHORT,
                                       .steps = "{audio}",
                                       .run = run_audio};
    wk_conf_t conf;

    if (argc == 2 && strcmp(argv[1], WK_CHILD_FLAG) == 0) {
        wk_child_main(tc_warm, tc_work);
    }
    wk_conf_load(&conf, "media-transcoder", argc, argv);
    return wk_run(&engine, &conf);
}
