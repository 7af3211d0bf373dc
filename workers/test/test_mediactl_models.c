/* mediactl models, without a database and without the publishers: what is fetched comes from a
 * directory, a broken one from another. */
#define _GNU_SOURCE
#include <sys/stat.h>

#include "scratch_db.h"

#define ONNX "yunet_n_640_640.onnx"

static char dir[] = "/tmp/test_mediactl_models.XXXXXX";
static char from[1200]; /* file://..., of ../shared; "": absent */

static int files_in_dir(void)
{
    char command[64];
    struct stat st;
    int n = 0;

    /* the files of models, and what an ended fetch might leave */
    for (const char *const *f = (const char *const[]){ONNX, "coco.names", "yolo-fastest-1.1-xl.cfg",
                                                      "yolo-fastest-1.1-xl.weights", NULL};
         *f != NULL; f++) {
        n += stat(wk_fmt(command, sizeof(command), "%s/%s", dir, *f), &st) == 0;
    }
    return n;
}

static void put(const char *name, const char *text)
{
    char path[256];
    FILE *f = fopen(wk_fmt(path, sizeof(path), "%s/%s", dir, name), "w");

    fputs(text, f);
    fclose(f);
}

static void take_away(const char *name)
{
    char path[256];

    (void)unlink(wk_fmt(path, sizeof(path), "%s/%s", dir, name));
}

static int has(const char *where, const char *text)
{
    if (strstr(where, text) == NULL) {
        printf("no \"%s\" in: %s\n", text, where);
        return 0;
    }
    return 1;
}

static void test_models_list_tells_what_is_there(void)
{
    CHECK_INT(CTL("models", "list"), 0);
    CHECK(has(scratch_last.out, "yunet            yunet          missing  yes      Apache-2.0"));
    CHECK(has(scratch_last.out, "hog              hog            present  no "));
    put(ONNX, "abc");
    CHECK_INT(CTL("models", "list"), 0);
    CHECK(has(scratch_last.out, "yunet            yunet          broken "));
    CHECK(has(scratch_last.out, ONNX " is not the published one: its SHA-256 begins with ba7816"));
    CHECK_INT(CTL("--json", "models", "list"), 0);
    CHECK(has(scratch_last.out, "\"state\": \"broken\""));
    take_away(ONNX);
    CHECK_INT(CTL("models", "list", "x"), 2);
    CHECK_INT(CTL("models"), 2);
}

static void test_models_fetch_failure_says_what_was_tried(void)
{
    CHECK_INT(CTL("models", "fetch", "--from", "http://127.0.0.1:1", "yunet"), 1);
    CHECK(has(scratch_last.err, "tried http://127.0.0.1:1/" ONNX ": "));
    CHECK_INT(CTL("--json", "models", "fetch", "--from", "file:///nonexistent", "yunet"), 3);
    CHECK(has(scratch_last.err, "{\"error\":{\"code\":\"not_fetched\""));
    CHECK_INT(CTL("models", "fetch", "--from", "ftp://127.0.0.1", "yunet"), 1);
    CHECK(has(scratch_last.err, "ftp"));
    CHECK_INT(CTL("models", "fetch", "nope"), 3);
    CHECK_INT(CTL("models", "fetch", "haar"), 1);
    CHECK(has(scratch_last.err, "opencv-data"));
    CHECK_INT(CTL("models", "fetch", "--from"), 2);
    CHECK_INT(CTL("models", "fetch", "--force"), 2);
    CHECK_INT(files_in_dir(), 0);
}

/* Another file under a model's name: refused, and neither it nor a part of it is left. */
static void test_models_fetch_wrong_bytes_leave_nothing(void)
{
    char other[] = "/tmp/test_mediactl_other.XXXXXX", path[256], url[256];
    FILE *f;

    CHECK(mkdtemp(other) != NULL);
    f = fopen(wk_fmt(path, sizeof(path), "%s/%s", other, ONNX), "w");
    fputs("not the network", f);
    fclose(f);
    CHECK_INT(
        CTL("models", "fetch", "--from", wk_fmt(url, sizeof(url), "file://%s", other), "yunet"), 1);
    CHECK(has(scratch_last.err, "is not the published one"));
    (void)unlink(path);
    CHECK_INT(rmdir(other), 0);
    CHECK_INT(files_in_dir(), 0);
}

static void test_models_fetch_puts_them_in_place(void)
{
    struct stat st;
    char path[256];

    if (from[0] == '\0') {
        return;
    }
    CHECK_INT(CTL("models", "fetch", "--from", from, "yunet", "yolo-fastest"), 0);
    CHECK(has(scratch_last.out, "licence: Apache-2.0 (https://"));
    CHECK_INT(files_in_dir(), 4);
    CHECK_INT(stat(wk_fmt(path, sizeof(path), "%s/" ONNX, dir), &st), 0);
    CHECK_INT(st.st_mode & 0777, 0644);
    put("coco.names", "x");
    CHECK_INT(CTL("--json", "models", "fetch", "--from", from, "yunet", "yolo-fastest"), 0);
    CHECK(has(scratch_last.out, "\"state\": \"present\""));
    CHECK(has(scratch_last.out, "\"state\": \"fetched\""));
    CHECK_INT(CTL("models", "fetch", "--from", "file:///nonexistent", "yunet", "yolo-fastest"), 0);
    CHECK_STR(scratch_last.out, "yunet: is there\nyolo-fastest: is there\n");
}

static void test_models_fetch_needs_a_place(void)
{
    CHECK_INT(setenv("MEDIA_MODELS", "/nonexistent", 1), 0);
    CHECK_INT(CTL("models", "fetch", "--from", "file:///", "yunet"), 1);
    CHECK(has(scratch_last.err, "/nonexistent cannot be written: No such file or directory"));
    CHECK_INT(unsetenv("MEDIA_MODELS"), 0);
    CHECK_INT(CTL("models", "fetch", "yunet"), 2);
    CHECK(has(scratch_last.err, "MEDIA_MODELS is not set"));
    CHECK_INT(CTL("models", "list"), 0);
}

int main(void)
{
    const char *shared = getenv("MEDIA_SHARED");
    struct stat st;

    (void)snprintf(from, sizeof(from), "file://%s/model",
                   shared != NULL ? shared : MEDIA_SHARED_DEFAULT);
    if (stat(from + strlen("file://"), &st) != 0) {
        printf("%s is absent: nothing is fetched\n", from);
        from[0] = '\0';
    }
    CHECK(mkdtemp(dir) != NULL);
    CHECK_INT(setenv("MEDIA_MODELS", dir, 1), 0);
    test_models_list_tells_what_is_there();
    test_models_fetch_failure_says_what_was_tried();
    test_models_fetch_wrong_bytes_leave_nothing();
    test_models_fetch_puts_them_in_place();
    test_models_fetch_needs_a_place();
    for (const char *const *f = (const char *const[]){ONNX, "coco.names", "yolo-fastest-1.1-xl.cfg",
                                                      "yolo-fastest-1.1-xl.weights", NULL};
         *f != NULL; f++) {
        take_away(*f);
    }
    CHECK_INT(rmdir(dir), 0); /* nothing else was left in it */
    return test_report();
}
