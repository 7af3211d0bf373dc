/* Objects between two stores, both scripted: what is asked of which, and what a store that fails,
 * lies or goes away leaves behind. */
#define _GNU_SOURCE
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "fake_s3.h"
#include "ob_copy.h"
#include "test.h"
#include "wk_log.h"

#define KEY "media/0193a000-0000-7000-8000-00000000000a/original"
#define HELLO "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
#define TEN "72399361da6a7754fec986dca5b7cbaf1c810a28ded4abaf56b2106d06cb78b0" /* of abcdefghij */
#define NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define NO_KEY "<Error><Code>NoSuchKey</Code></Error>"
#define CREATED                                                                                    \
    "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>"
#define COMPLETED                                                                                  \
    "<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>"

static media_err_t ei;
static wk_conf_t conf, backup_conf;
static fake_s3_t *live, *backup;
static char urls[2][64], keys_file[] = "/tmp/test_ob_copy.XXXXXX";
static ob_t ob;

static void begin(const fake_s3_step_t *of_live, int n_live, const fake_s3_step_t *of_backup,
                  int n_backup)
{
    live = fake_s3_start(of_live, n_live);
    backup = fake_s3_start(of_backup, n_backup);
    live->total = backup->total = 10;
    conf = (wk_conf_t){.backup_piece = 4, .await_s = 3};
    conf.s3[MEDIA_STORE_INPUT] =
        (wk_store_conf_t){.endpoint = wk_fmt(urls[0], 64, "http://127.0.0.1:%d", live->port),
                          .access_key = "AKLIVE",
                          .secret_key = "secret-live",
                          .region = "eu-1",
                          .bucket = "uploads"};
    conf.s3_backup =
        (wk_store_conf_t){.endpoint = wk_fmt(urls[1], 64, "http://127.0.0.1:%d", backup->port),
                          .credentials_file = keys_file,
                          .region = "us-2",
                          .bucket = "copies"};
    backup_conf = wk_conf_backup(&conf);
    CHECK_INT(ob_open(&ob, NULL, &conf, &backup_conf), 0);
    ei.text[0] = '\0';
}

static void end(int of_live, int of_backup)
{
    fake_s3_end(live);
    fake_s3_end(backup);
    CHECK_INT(live->requests, of_live);
    CHECK_INT(backup->requests, of_backup);
}

static void away(void)
{
    ob_close(&ob);
    fake_s3_free(live);
    fake_s3_free(backup);
}

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))
#define LIVE(...) static const fake_s3_step_t of_live[] = {__VA_ARGS__}
#define BACKUP(...) static const fake_s3_step_t of_backup[] = {__VA_ARGS__}
#define BEGIN() begin(of_live, COUNT(of_live), of_backup, COUNT(of_backup))

static ob_line_t line_of(int64_t size, const char *sha256)
{
    ob_line_t line = {.key = KEY, .size = size};

    (void)wk_fmt(line.sha256, sizeof(line.sha256), "%s", sha256);
    return line;
}

static int begins(const fake_s3_t *f, int i, const char *text)
{
    return strncmp(f->head[i], text, strlen(text)) == 0;
}

static int has(const fake_s3_t *f, int i, const char *text)
{
    return strcasestr(f->head[i], text) != NULL;
}

/* ---- backup ---- */

static void test_ob_backup_goes_from_store_to_store(void)
{
    ob_line_t line = line_of(5, HELLO);
    LIVE({200, "hello", 0});
    BACKUP({200, "", 0});

    BEGIN();
    ob.piece_max = 100;
    CHECK_INT(ob_backup(&ob, &line, &ei), 0);
    end(1, 1);
    CHECK(begins(live, 0, "GET /uploads/" KEY " HTTP/1.1\r\n"));
    CHECK(has(live, 0, "Credential=AKLIVE/") && has(live, 0, "/eu-1/s3/"));
    CHECK(begins(backup, 0, "PUT /copies/objects/" KEY " HTTP/1.1\r\n"));
    CHECK(has(backup, 0, "Credential=AKBACKUP/") && has(backup, 0, "/us-2/s3/"));
    CHECK(has(backup, 0, "x-amz-content-sha256: " HELLO "\r\n"));
    CHECK_MEM(backup->body[0], backup->body_len[0], "hello");
    away();
}

static void test_ob_backup_fills_in_what_the_line_lacks(void)
{
    ob_line_t line = line_of(-1, "");
    LIVE({200, "hello", 0});
    BACKUP({404, NO_KEY, 0}, {200, "", 0}, {200, "hello", 0});

    BEGIN();
    ob.piece_max = 100;
    CHECK_INT(ob_backup(&ob, &line, &ei), 0);
    CHECK_INT(line.size, 5);
    CHECK_STR(line.sha256, HELLO);
    /* the copy that is there knows it as well */
    line = line_of(5, "");
    CHECK_INT(ob_backup(&ob, &line, &ei), 0);
    CHECK_STR(line.sha256, HELLO);
    end(1, 3);
    away();
}

static void test_ob_backup_empty_object(void)
{
    ob_line_t line = line_of(0, NOTHING);
    LIVE({416, "<Error><Code>InvalidRange</Code></Error>", 0});
    BACKUP({200, "", 0});

    BEGIN();
    CHECK_INT(ob_backup(&ob, &line, &ei), 0);
    end(1, 1);
    CHECK(begins(backup, 0, "PUT ") && has(backup, 0, "\r\nContent-Length: 0\r\n"));
    away();
}

static void test_ob_backup_missing_is_gone(void)
{
    ob_line_t line = line_of(5, HELLO);
    LIVE({404, NO_KEY, 0}, {200, "hell", 0});
    BACKUP({200, "", 0});

    BEGIN();
    ob.piece_max = 100;
    CHECK_INT(ob_backup(&ob, &line, &ei), MEDIA_E_GONE);
    CHECK_INT(ob_backup(&ob, &line, &ei), MEDIA_E_GONE); /* of another size */
    end(2, 0);
    away();
}

static void test_ob_backup_other_bytes_are_not_sent(void)
{
    ob_line_t line = line_of(5, HELLO);
    LIVE({200, "jello", 0});
    BACKUP({200, "", 0});

    BEGIN();
    ob.piece_max = 100;
    CHECK_INT(ob_backup(&ob, &line, &ei), MEDIA_E_REJECT);
    CHECK_STR(ei.text, "its bytes are not those of its row");
    end(1, 0);
    away();
}

static void test_ob_backup_in_pieces(void)
{
    ob_line_t line = line_of(10, TEN);
    LIVE({206, "abcd", 0}, {206, "efgh", 0}, {206, "ij", 0});
    BACKUP({200, CREATED, 0}, {200, "", 0}, {200, "", 0}, {200, "", 0}, {200, COMPLETED, 0},
           {200, "0123456789", 0});

    BEGIN();
    CHECK_INT(ob_backup(&ob, &line, &ei), 0);
    end(3, 6);
    CHECK(has(live, 1, "Range: bytes=4-7\r\n") && has(live, 2, "Range: bytes=8-9\r\n"));
    CHECK(begins(backup, 2, "PUT /copies/objects/" KEY "?partNumber=2&uploadId=u1 "));
    CHECK_MEM(backup->body[2], backup->body_len[2], "efgh");
    CHECK(begins(backup, 4, "POST ") && begins(backup, 5, "HEAD "));
    away();
}

static void test_ob_backup_other_bytes_in_pieces_are_taken_back(void)
{
    ob_line_t line = line_of(10, HELLO);
    LIVE({206, "abcd", 0}, {206, "efgh", 0}, {206, "ij", 0});
    BACKUP({200, CREATED, 0}, {200, "", 0}, {200, "", 0}, {200, "", 0}, {204, "", 0});

    BEGIN();
    CHECK_INT(ob_backup(&ob, &line, &ei), MEDIA_E_REJECT);
    end(3, 5);
    CHECK(begins(backup, 4, "DELETE /copies/objects/" KEY "?uploadId=u1 "));
    away();
}

static void test_ob_backup_that_loses_a_piece_is_taken_back(void)
{
    ob_line_t line = line_of(10, TEN);
    LIVE({206, "abcd", 0}, {404, NO_KEY, 0});
    BACKUP({200, CREATED, 0}, {200, "", 0}, {204, "", 0});

    BEGIN();
    CHECK_INT(ob_backup(&ob, &line, &ei), MEDIA_E_REJECT);
    end(2, 3);
    CHECK(begins(backup, 2, "DELETE /copies/objects/" KEY "?uploadId=u1 "));
    away();
}

/* Something of another size stood there before, so that the lost completion seemed to be found. */
static void test_ob_backup_that_does_not_stand_is_told(void)
{
    ob_line_t line = line_of(10, TEN);
    LIVE({206, "abcd", 0}, {206, "efgh", 0}, {206, "ij", 0});
    BACKUP({200, CREATED, 0}, {200, "", 0}, {200, "", 0}, {200, "", 0}, {404, NO_KEY, 0},
           {200, "old", 0}, {200, "old", 0});

    BEGIN();
    CHECK_INT(ob_backup(&ob, &line, &ei), MEDIA_E_RETRY);
    end(3, 7);
    away();
}

static void test_ob_backup_store_that_fails_is_asked_again(void)
{
    ob_line_t line = line_of(5, HELLO);
    LIVE({503, "<Error><Code>SlowDown</Code></Error>", 0}, {0, "", 0}, {200, "hello", 0});
    BACKUP({503, "", 0}, {200, "", 0});

    BEGIN();
    ob.piece_max = 100;
    wk_s3_patience(ob.live, 60000);
    CHECK_INT(ob_backup(&ob, &line, &ei), 0);
    end(3, 2);
    away();
}

/* ---- restore, check ---- */

static void test_ob_restore_leaves_what_is_there(void)
{
    ob_line_t line = line_of(5, HELLO);
    LIVE({200, "hello", 0}, {200, "jello", 0});
    BACKUP({200, "hello", 0});

    BEGIN();
    ob.piece_max = 100;
    CHECK_INT(ob_restore(&ob, &line, &ei), 0);
    CHECK_INT(ob_restore(&ob, &line, &ei), MEDIA_E_REJECT);
    CHECK_STR(ei.text, "there with other bytes");
    end(2, 0);
    away();
}

static void test_ob_restore_copies_what_is_not(void)
{
    ob_line_t line = line_of(5, HELLO);
    LIVE({404, NO_KEY, 0}, {200, "", 0}, {200, "hell", 0}, {200, "", 0});
    BACKUP({200, "hello", 0}, {200, "hello", 0});

    BEGIN();
    ob.piece_max = 100;
    CHECK_INT(ob_restore(&ob, &line, &ei), 0);
    CHECK_INT(ob_restore(&ob, &line, &ei), 0); /* over one of another size */
    end(4, 2);
    CHECK(begins(live, 1, "PUT /uploads/" KEY " "));
    CHECK_MEM(live->body[3], live->body_len[3], "hello");
    away();
}

static void test_ob_restore_of_a_bad_copy_writes_nothing(void)
{
    ob_line_t line = line_of(5, HELLO);
    LIVE({404, NO_KEY, 0}, {404, NO_KEY, 0});
    BACKUP({200, "jello", 0}, {404, NO_KEY, 0});

    BEGIN();
    ob.piece_max = 100;
    CHECK_INT(ob_restore(&ob, &line, &ei), MEDIA_E_REJECT);
    CHECK_INT(ob_restore(&ob, &line, &ei), MEDIA_E_REJECT);
    CHECK_STR(ei.text, "it has no copy of its size");
    end(2, 2);
    away();
}

static void test_ob_check_reads(void)
{
    ob_line_t line = line_of(10, TEN);
    LIVE({500, "", 0});
    BACKUP({206, "abcd", 0}, {206, "efgh", 0}, {206, "ij", 0}, {206, "abcd", 0}, {206, "efgh", 0},
           {206, "ik", 0}, {200, "abc", 0});

    BEGIN();
    CHECK_INT(ob_check(&ob, &line, &ei), 0);
    CHECK_INT(ob_check(&ob, &line, &ei), MEDIA_E_REJECT);
    CHECK_STR(ei.text, "its copy has other bytes");
    CHECK_INT(ob_check(&ob, &line, &ei), MEDIA_E_REJECT);
    CHECK_STR(ei.text, "it has no copy of its size");
    end(0, 7);
    away();
}

/* ---- the program ---- */

typedef struct {
    int status;
    char out[4096];
} ran_t;

static pid_t start(const char *command, const char *text, int fds[2])
{
    char *argv[] = {(char *)(uintptr_t) "media-objects", (char *)(uintptr_t)command, NULL};
    int in = memfd_create("stdin", MFD_CLOEXEC);
    posix_spawn_file_actions_t fa;
    pid_t pid = -1;

    CHECK_INT(pipe(fds), 0);
    CHECK_INT(pwrite(in, text, strlen(text), 0), strlen(text));
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_adddup2(&fa, in, 0);
    posix_spawn_file_actions_adddup2(&fa, fds[1], 1);
    posix_spawn_file_actions_adddup2(&fa, fds[1], 2);
    posix_spawn_file_actions_addclose(&fa, fds[0]);
    CHECK_INT(posix_spawn(&pid, MEDIA_OBJECTS, &fa, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&fa);
    (void)close(in);
    (void)close(fds[1]);
    return pid;
}

static ran_t finish(pid_t pid, int fd)
{
    ran_t r = {.status = -1};
    size_t n = 0;
    ssize_t got;
    int status;

    while (n < sizeof(r.out) - 1 && (got = read(fd, r.out + n, sizeof(r.out) - 1 - n)) > 0) {
        n += (size_t)got;
    }
    (void)close(fd);
    CHECK_INT(waitpid(pid, &status, 0), pid);
    r.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return r;
}

static ran_t run(const char *command, const char *text)
{
    int fds[2];
    pid_t pid = start(command, text, fds);

    return finish(pid, fds[0]);
}

static void environment(const char *url)
{
    (void)setenv("AWS_ENDPOINT_URL", url, 1);
    (void)setenv("AWS_SHARED_CREDENTIALS_FILE", keys_file, 1);
    (void)setenv("MEDIA_S3_CREDENTIALS", "file", 1);
    (void)setenv("MEDIA_BACKUP_PARALLEL", "1", 1);
    (void)setenv("MEDIA_AWAIT_S", "1", 1);
    (void)unsetenv("AWS_ENDPOINT_URL_S3");
    (void)unsetenv("MEDIA_BACKUP_ENDPOINT_URL");
}

static void check_run(const char *command, const char *text, int status, const char *says)
{
    ran_t r = run(command, text);

    CHECK_INT(r.status, status);
    CHECK(strstr(r.out, says) != NULL);
    if (strstr(r.out, says) == NULL) {
        printf("  no \"%s\" in: %s\n", says, r.out);
    }
}

static void test_ob_program_names_bad_lines(void)
{
    char text[2000];

    environment("http://127.0.0.1:1");
    check_run("backup", "", 0, "");
    check_run("backup", "input\t" KEY "\tx\t-\n", 2, "media-objects: line 1: no size\n");
    check_run("check", "input\t" KEY "\t5\t-\n", 2, "line 1: size and sha256 have to be known");
    check_run("restore", "input\t" KEY "\t-1\t" HELLO "\n", 2, "line 1: size and sha256");
    check_run("remove", "\n", 2, "line 1: no key");
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    check_run("remove", text, 2, "line 1: too long");
    check_run("what", "", 2, "--help");
    check_run("list", "", 2, "--help");
}

static void test_ob_program_gives_up_a_store_that_is_away(void)
{
    ran_t r;

    environment("http://127.0.0.1:1");
    r = run("backup", "input\t" KEY "\t5\t" HELLO "\ninput\t" KEY "\t5\t" HELLO "\n");
    CHECK_INT(r.status, 1);
    CHECK(strstr(r.out, "media-objects: " KEY ": object store: ") == r.out);
    CHECK(strstr(r.out, "; given up\n") != NULL);
    CHECK(strchr(r.out, '\n') == strrchr(r.out, '\n')); /* the second line is not tried */
}

static void test_ob_program_names_objects_and_goes_on(void)
{
    static const fake_s3_step_t script[] = {{200, "jello", 0}, {404, NO_KEY, 0}, {200, "hello", 0}};
    fake_s3_t *f = fake_s3_start(script, COUNT(script));
    char url[64], line[] = "input\t" KEY "\t5\t" HELLO "\n", text[3 * sizeof(line)];
    ran_t r;

    environment(wk_fmt(url, sizeof(url), "http://127.0.0.1:%d", f->port));
    r = run("check", wk_fmt(text, sizeof(text), "%s%s%s", line, line, line));
    CHECK_INT(r.status, 1);
    CHECK_STR(r.out, "media-objects: " KEY ": its copy has other bytes\n"
                     "media-objects: " KEY ": it has no copy of its size\n");
    fake_s3_end(f);
    CHECK_INT(f->requests, 3);
    fake_s3_free(f);
}

static void test_ob_program_takes_back_what_term_ended(void)
{
    static const fake_s3_step_t of_live[] = {{206, "abcd", 0}, {-1, "", 0}};
    static const fake_s3_step_t of_backup[] = {{200, CREATED, 0}, {200, "", 0}, {204, "", 0}};
    static char piece[5242880 + 1];
    fake_s3_step_t first = of_live[0], script[2];
    fake_s3_t *f, *b = fake_s3_start(of_backup, COUNT(of_backup));
    char url[2][64];
    int fds[2];
    pid_t pid;
    ran_t r;

    memset(piece, 'a', sizeof(piece) - 1);
    first.body = piece;
    script[0] = first;
    script[1] = of_live[1];
    f = fake_s3_start(script, COUNT(script));
    f->total = 10000000;
    environment(wk_fmt(url[0], 64, "http://127.0.0.1:%d", f->port));
    (void)setenv("MEDIA_BACKUP_ENDPOINT_URL", wk_fmt(url[1], 64, "http://127.0.0.1:%d", b->port),
                 1);
    (void)setenv("MEDIA_BACKUP_PIECE", "5242880", 1);
    pid = start("backup", "input\t" KEY "\t10000000\t" HELLO "\n", fds);
    while (f->requests < 2) { /* it waits for the second piece */
        (void)poll(NULL, 0, 10);
    }
    CHECK_INT(kill(pid, SIGTERM), 0);
    r = finish(pid, fds[0]);
    CHECK_INT(r.status, 1);
    CHECK_STR(r.out, "media-objects: told to end: not all lines were read\n");
    fake_s3_end(f);
    fake_s3_end(b);
    CHECK_INT(b->requests, 3);
    CHECK(strncmp(b->head[2], "DELETE ", 7) == 0);
    fake_s3_free(f);
    fake_s3_free(b);
    (void)unsetenv("MEDIA_BACKUP_PIECE");
}

int main(void)
{
    static const char keys[] =
        "[default]\naws_access_key_id = A\naws_secret_access_key = S\n"
        "[backup]\naws_access_key_id = AKBACKUP\naws_secret_access_key = S2\n";
    int fd = mkstemp(keys_file);

    (void)signal(SIGPIPE, SIG_IGN);
    wk_log_init("test", MEDIA_LOG_ERROR);
    CHECK_INT(write(fd, keys, sizeof(keys) - 1), sizeof(keys) - 1);
    (void)close(fd);
    test_ob_backup_goes_from_store_to_store();
    test_ob_backup_fills_in_what_the_line_lacks();
    test_ob_backup_empty_object();
    test_ob_backup_missing_is_gone();
    test_ob_backup_other_bytes_are_not_sent();
    test_ob_backup_in_pieces();
    test_ob_backup_other_bytes_in_pieces_are_taken_back();
    test_ob_backup_that_loses_a_piece_is_taken_back();
    test_ob_backup_that_does_not_stand_is_told();
    test_ob_backup_store_that_fails_is_asked_again();
    test_ob_restore_leaves_what_is_there();
    test_ob_restore_copies_what_is_not();
    test_ob_restore_of_a_bad_copy_writes_nothing();
    test_ob_check_reads();
    test_ob_program_names_bad_lines();
    test_ob_program_gives_up_a_store_that_is_away();
    test_ob_program_names_objects_and_goes_on();
    test_ob_program_takes_back_what_term_ended();
    (void)unlink(keys_file);
    return test_report();
}
