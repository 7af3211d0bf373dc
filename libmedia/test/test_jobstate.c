#include "test.h"

#include "media/jobstate.h"

#define SCHEMA VECTORS "/../../../sql/0001_schema.sql"

static const char *const media_states[] = {
#define X(name, text) text,
    MEDIA_MEDIA_STATES(X)
#undef X
};

static void test_jobstate_names_round_trip(void)
{
    for (int i = 0; i < MEDIA_JOB_STATE_COUNT; i++) {
        CHECK_INT(media_job_state_parse(media_str(media_job_state_name((enum media_job_state)i))),
                  i);
    }
    CHECK_STR(media_job_state_name(MEDIA_JOB_SUCCEEDED), "succeeded");
    CHECK_STR(media_job_state_name(MEDIA_JOB_STATE_COUNT), "unknown");
    CHECK_INT(media_job_state_parse(MEDIA_STR("done")), MEDIA_E_REJECT);
    CHECK_INT(media_job_state_parse(MEDIA_STR("Queued")), MEDIA_E_REJECT);
}

static void test_jobstate_moves(void)
{
    CHECK(media_job_may_move(MEDIA_JOB_QUEUED, MEDIA_JOB_RUNNING));
    CHECK(!media_job_may_move(MEDIA_JOB_SUCCEEDED, MEDIA_JOB_QUEUED));
    CHECK(!media_job_may_move(MEDIA_JOB_WAITING, MEDIA_JOB_RUNNING));
    CHECK(!media_job_may_move(MEDIA_JOB_RUNNING, MEDIA_JOB_RUNNING));
    CHECK(!media_job_may_move(MEDIA_JOB_STATE_COUNT, MEDIA_JOB_QUEUED));
    CHECK(!media_job_may_move(MEDIA_JOB_QUEUED, MEDIA_JOB_STATE_COUNT));
}

/* The next 'quoted' word before `end`, copied to dst; where to go on, NULL at the end. */
static const char *next_word(const char *p, const char *end, char *dst, size_t cap)
{
    const char *a = memchr(p, '\'', (size_t)(end - p));
    const char *b = a == NULL ? NULL : memchr(a + 1, '\'', (size_t)(end - a - 1));
    if (b == NULL || (size_t)(b - a) > cap) {
        return NULL;
    }
    memcpy(dst, a + 1, (size_t)(b - a - 1));
    dst[b - a - 1] = '\0';
    return b + 1;
}

static void test_jobstate_moves_equal_those_of_the_database(void)
{
    char *sql = test_read(SCHEMA, NULL);
    int db[MEDIA_JOB_STATE_COUNT][MEDIA_JOB_STATE_COUNT] = {{0}};
    char from[32];
    char to[32];
    int pairs = 0;
    const char *p = strstr(sql, "INSERT INTO media.job_moves VALUES");
    const char *end = p == NULL ? NULL : strchr(p, ';');
    CHECK(end != NULL);
    while (end != NULL && (p = next_word(p, end, from, sizeof(from))) != NULL &&
           (p = next_word(p, end, to, sizeof(to))) != NULL) {
        int a = media_job_state_parse(media_str(from));
        int b = media_job_state_parse(media_str(to));
        CHECK(a >= 0 && b >= 0);
        if (a >= 0 && b >= 0) {
            db[a][b] = 1;
            pairs++;
        }
    }
    CHECK(pairs > 0);
    for (int a = 0; a < MEDIA_JOB_STATE_COUNT; a++) {
        for (int b = 0; b < MEDIA_JOB_STATE_COUNT; b++) {
            CHECK_INT(media_job_may_move((enum media_job_state)a, (enum media_job_state)b),
                      db[a][b]);
        }
    }
    free(sql);
}

/* The list in the first "CHECK (state IN (...))" after `table` holds exactly these names. */
static void check_states(const char *sql, const char *table, const char *const *names, size_t n)
{
    char word[32];
    size_t found = 0;
    const char *p = strstr(sql, table);
    p = p == NULL ? NULL : strstr(p, "CHECK (state IN (");
    const char *end = p == NULL ? NULL : strchr(p, '\n');
    CHECK(end != NULL);
    while (end != NULL && (p = next_word(p, end, word, sizeof(word))) != NULL) {
        CHECK(found < n);
        if (found < n) {
            CHECK_STR(word, names[found]);
        }
        found++;
    }
    CHECK_INT(found, n);
}

static void test_jobstate_states_equal_those_of_the_database(void)
{
    char *sql = test_read(SCHEMA, NULL);
    const char *jobs[MEDIA_JOB_STATE_COUNT];
    for (int i = 0; i < MEDIA_JOB_STATE_COUNT; i++) {
        jobs[i] = media_job_state_name((enum media_job_state)i);
    }
    check_states(sql, "CREATE TABLE media.jobs (", jobs, MEDIA_JOB_STATE_COUNT);
    check_states(sql, "CREATE TABLE media.media (", media_states,
                 sizeof(media_states) / sizeof(media_states[0]));
    free(sql);
}

int main(void)
{
    test_jobstate_names_round_trip();
    test_jobstate_moves();
    test_jobstate_moves_equal_those_of_the_database();
    test_jobstate_states_equal_those_of_the_database();
    return test_report();
}
