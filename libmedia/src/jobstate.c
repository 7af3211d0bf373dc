#include "media/jobstate.h"

static const char *const state_names[] = {
#define X(name, text) text,
    MEDIA_JOB_STATES(X)
#undef X
};

static const uint8_t moves[MEDIA_JOB_STATE_COUNT][MEDIA_JOB_STATE_COUNT] = {
#define X(from, to) [MEDIA_JOB_##from][MEDIA_JOB_##to] = 1,
    MEDIA_JOB_MOVES(X)
#undef X
};

const char *media_job_state_name(enum media_job_state s)
{
    return (size_t)s < MEDIA_JOB_STATE_COUNT ? state_names[s] : "unknown";
}

int media_job_state_parse(media_str_t name)
{
    for (int i = 0; i < MEDIA_JOB_STATE_COUNT; i++) {
        if (media_str_eq(name, media_str(state_names[i]))) {
            return i;
        }
    }
    return MEDIA_E_REJECT;
}

int media_job_may_move(enum media_job_state a, enum media_job_state b)
{
    return (size_t)a < MEDIA_JOB_STATE_COUNT && (size_t)b < MEDIA_JOB_STATE_COUNT && moves[a][b];
}
