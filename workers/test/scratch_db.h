/* A database of its own for one test program: made, migrated by mediactl, dropped at the end. The
 * server is the one of PG*; its user must be allowed to create databases. */
#ifndef SCRATCH_DB_H
#define SCRATCH_DB_H

#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"
#include "wk_log.h"
#include "wk_pg.h"

extern char **environ;

typedef struct {
    int status; /* exit code; -1: died otherwise */
    char out[65536];
    char err[8192];
} scratch_run_t;

static wk_pg_t *scratch_pg; /* connected to the scratch database */
static char scratch_name[64];
static scratch_run_t scratch_last;

static inline void scratch_slurp(int fd, char *dst, size_t cap)
{
    ssize_t n = pread(fd, dst, cap - 1, 0);

    dst[n > 0 ? n : 0] = '\0';
    close(fd);
}

static inline int scratch_temp(const char *content)
{
    char path[] = "/tmp/scratch.XXXXXX";
    int fd = mkstemp(path);

    unlink(path);
    if (write(fd, content, strlen(content)) < 0) {
        exit(1);
    }
    lseek(fd, 0, SEEK_SET);
    return fd;
}

/* Runs mediactl with NULL-ended arguments and the given standard input. Returns its exit code;
 * output in scratch_last. */
static inline int scratch_ctl(const char *input, const char *const *args)
{
    posix_spawn_file_actions_t fa;
    int in = scratch_temp(input), out = scratch_temp(""), err = scratch_temp("");
    char *argv[32] = {(char *)(uintptr_t)MEDIACTL};
    int status = 0;
    pid_t pid;

    for (int i = 0; i < 30 && args[i] != NULL; i++) {
        argv[i + 1] = (char *)(uintptr_t)args[i];
    }
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_adddup2(&fa, in, 0);
    posix_spawn_file_actions_adddup2(&fa, out, 1);
    posix_spawn_file_actions_adddup2(&fa, err, 2);
    if (posix_spawn(&pid, MEDIACTL, &fa, NULL, argv, environ) != 0) {
        printf("cannot run %s\n", MEDIACTL);
        exit(1);
    }
    posix_spawn_file_actions_destroy(&fa);
    waitpid(pid, &status, 0);
    scratch_last.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    scratch_slurp(out, scratch_last.out, sizeof(scratch_last.out));
    scratch_slurp(err, scratch_last.err, sizeof(scratch_last.err));
    close(in);
    return scratch_last.status;
}
#define CTL(...) scratch_ctl("", (const char *const[]){__VA_ARGS__, NULL})
#define CTL_IN(input, ...) scratch_ctl(input, (const char *const[]){__VA_ARGS__, NULL})

/* Runs SQL in the scratch database; the first value of its last result, "" when there is none. */
static inline const char *scratch_sql(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static inline const char *scratch_sql(const char *fmt, ...)
{
    static char sql[8192], value[4096];
    wk_pg_result_t *res = NULL;
    media_err_t ei = {""};
    const char *v;
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(sql, sizeof(sql), fmt, ap);
    va_end(ap);
    if (wk_pg_exec(scratch_pg, sql, &res, &ei) != 0) {
        test_failed++;
        printf("SQL failed: %s: %s\n", sql, ei.text);
    }
    v = wk_pg_value(res, 0, 0);
    (void)snprintf(value, sizeof(value), "%s", v != NULL ? v : "");
    wk_pg_result_free(res);
    return value;
}

static inline void scratch_admin(const char *verb)
{
    wk_pg_t *pg = wk_pg_new("scratch");
    media_err_t ei = {""};
    char sql[128];

    if (wk_pg_exec(pg, wk_fmt(sql, sizeof(sql), "%s DATABASE %s", verb, scratch_name), NULL, &ei) !=
        0) {
        printf("%s: %s\n", sql, ei.text);
        exit(1);
    }
    wk_pg_free(pg);
}

/* Makes the empty database and points PGDATABASE at it. Ends the program with 77 without PGHOST. */
static inline void scratch_open(void)
{
    if (getenv("PGHOST") == NULL) {
        printf("skipped: PGHOST is not set\n");
        exit(77);
    }
    wk_log_init("test", MEDIA_LOG_ERROR);
    (void)wk_fmt(scratch_name, sizeof(scratch_name), "wk_test_%ld", (long)getpid());
    scratch_admin("CREATE");
    setenv("SCRATCH_HOME_DB", getenv("PGDATABASE") != NULL ? getenv("PGDATABASE") : "postgres", 1);
    setenv("PGDATABASE", scratch_name, 1);
    scratch_pg = wk_pg_new("scratch");
}

static inline void scratch_close(void)
{
    wk_pg_free(scratch_pg);
    setenv("PGDATABASE", getenv("SCRATCH_HOME_DB"), 1);
    scratch_admin("DROP");
}

/* Media with one job of the pipeline audio, queued. The first makes their owner. */
static inline void scratch_upload(const char *id)
{
    (void)scratch_sql("INSERT INTO media.users (email, password_hash)"
                      " VALUES ('a@example.test', '$y$hash') ON CONFLICT DO NOTHING");
    CHECK_STR(scratch_sql("SELECT code FROM media.upload_open('%s', (SELECT id FROM media.users), "
                          "'media/%s/original', 'Film.mp4', NULL, NULL, 'audio', NULL, 100, 100, "
                          "NULL, 'req-7', false, NULL, NULL, NULL)",
                          id, id),
              "ok");
    CHECK_STR(
        scratch_sql("SELECT code FROM media.upload_commit('%s', 'Film.mp4', NULL, 'video/mp4', "
                    "100, repeat('ab', 32), 'etag', 'audio', '{\"bitrate\":128}', NULL, "
                    "'req-7', '00-trace')",
                    id),
        "ok");
}

#endif
