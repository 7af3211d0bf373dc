/* media-detector, the real one: what each kind finds, that it is locked down, and what its parent
 * is told when a model, a picture or the process is broken. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "an_detector.h"
#include "an_onnx.h"
#include "an_photo.h"
#include "an_wire.h"
#include "wk_host.h"
#include "wk_log.h"

#define WORKER_UID 65534
#define TIMEOUT_MS 20000 /* under a sanitizer's shadow, beside other tests */

static char models[1024]; /* of ../shared; "": absent */
static char own[] = "/tmp/test_an_detector.XXXXXX";
static an_hit_t hits[AN_HITS_MAX];

static an_spec_t spec_of(enum an_kind kind, const char *dir)
{
    return (an_spec_t){.kind = kind, .models = dir, .uid = geteuid() == 0 ? WORKER_UID : -1};
}

static an_detector_t *open_kind(enum an_kind kind)
{
    const an_spec_t spec = spec_of(kind, models);
    an_fault_t fault = {"", ""};
    an_detector_t *d = an_detector_open(&spec, MEDIA_DETECTOR, &fault);

    CHECK_STR(fault.detail, "");
    return d;
}

static int ask(an_detector_t *d, const an_picture_t *p, an_fault_t *fault)
{
    return an_detector_ask(d, (uint32_t)p->width, (uint32_t)p->height, p->bgr, hits, AN_HITS_MAX,
                           TIMEOUT_MS, fault);
}

static int count(int n, enum an_class c, float least)
{
    int found = 0;

    for (int i = 0; i < n; i++) {
        found += hits[i].label == (int)c && hits[i].score >= least;
    }
    return found;
}

static void finds(enum an_kind kind, const char *photo, enum an_class what, float least, int want)
{
    an_picture_t p = photo_open(photo, 640);
    an_detector_t *d = p.bgr != NULL ? open_kind(kind) : NULL;
    an_fault_t fault = {"", ""};
    int n = d != NULL ? ask(d, &p, &fault) : 0;

    if (d != NULL) {
        CHECK(count(n, what, least) >= want);
        CHECK_STR(fault.detail, "");
        /* the same picture gives the same answer */
        an_hit_t first = n > 0 ? hits[0] : (an_hit_t){.x = 0};
        CHECK_INT(ask(d, &p, &fault), n);
        CHECK(n <= 0 || memcmp(&first, &hits[0], sizeof(first)) == 0);
    }
    an_detector_close(d);
    photo_free(&p);
}

static void test_an_detector_kinds_find_what_they_are_for(void)
{
    if (models[0] != '\0') {
        finds(AN_KIND_YUNET, "face_az_group6.jpg", AN_FACE, 0.8F, 6);
        finds(AN_KIND_YUNET_2022MAR, "face_az_group6.jpg", AN_FACE, 0.8F, 6);
        finds(AN_KIND_DNN, "face_az_group6.jpg", AN_PERSON, 0.5F, 4);
        finds(AN_KIND_DNN, "none_az_plate.jpg", AN_VEHICLE, 0.2F, 0);
    }
    finds(AN_KIND_HAAR, "face_az_group6.jpg", AN_FACE, 0.75F, 4);
    finds(AN_KIND_PLATES, "none_az_plate.jpg", AN_PLATE, 0.75F, 0);
    finds(AN_KIND_HOG, "none_ax_tokyo.jpg", AN_PERSON, 0.2F, 0);
}

/* The value of a line of /proc/PID/status. */
static void status_of(pid_t pid, const char *name, char *value, size_t cap)
{
    char path[64], line[256];
    FILE *f;

    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    f = fopen(path, "r");
    value[0] = '\0';
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':') {
            line[strcspn(line, "\n")] = '\0';
            (void)snprintf(value, cap, "%.*s", (int)cap - 1, line + strlen(name) + 2);
        }
    }
    if (f != NULL) {
        (void)fclose(f);
    }
}

static int files_of(pid_t pid)
{
    char path[64];
    DIR *dir;
    int n = 0;

    (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    dir = opendir(path);
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        n += e->d_name[0] != '.';
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return n;
}

/* Whatever kind: no privilege, no file but null, stderr and the socket, no thread to race with. */
static void test_an_detector_process_is_locked_down(void)
{
    for (int k = 0; k < AN_KIND_COUNT; k++) {
        int is_cascade = k == AN_KIND_HAAR || k == AN_KIND_PLATES || k == AN_KIND_HOG;
        an_detector_t *d = is_cascade || models[0] != '\0' ? open_kind((enum an_kind)k) : NULL;
        char value[256];

        if (d == NULL) {
            continue;
        }
        status_of(an_detector_pid(d), "Seccomp", value, sizeof(value));
        CHECK_STR(value, "2");
        status_of(an_detector_pid(d), "NoNewPrivs", value, sizeof(value));
        CHECK_STR(value, "1");
        status_of(an_detector_pid(d), "Threads", value, sizeof(value));
        CHECK_STR(value, "1");
        if (geteuid() == 0) {
            status_of(an_detector_pid(d), "Uid", value, sizeof(value));
            CHECK_STR(value, "65534\t65534\t65534\t65534");
            status_of(an_detector_pid(d), "CapEff", value, sizeof(value));
            CHECK_STR(value, "0000000000000000");
            CHECK_INT(files_of(an_detector_pid(d)), 4);
        }
        an_detector_close(d);
    }
}

/* ---- models ---- */

static void put(const char *name, const void *bytes, size_t len)
{
    char path[1200];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", own, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    CHECK(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
    (void)close(fd);
}

static void take_away(const char *name)
{
    char path[1200];

    (void)snprintf(path, sizeof(path), "%s/%s", own, name);
    (void)unlink(path);
}

static void fails(enum an_kind kind, const char *dir, const char *code, const char *detail)
{
    const an_spec_t spec = spec_of(kind, dir);
    an_fault_t fault = {"", ""};
    an_detector_t *d = an_detector_open(&spec, MEDIA_DETECTOR, &fault);

    CHECK(d == NULL);
    CHECK_STR(fault.code, code);
    if (strstr(fault.detail, detail) == NULL) {
        CHECK_STR(fault.detail, detail);
    }
    an_detector_close(d);
}

static void test_an_detector_broken_model_is_named(void)
{
    static const char onnx[] = "yunet_n_640_640.onnx";

    fails(AN_KIND_YUNET, own, "model_missing", onnx);
    fails(AN_KIND_YUNET, NULL, "model_missing", "MEDIA_MODELS, which is not set");
    fails(AN_KIND_DNN, own, "model_missing", "yolo-fastest-1.1-xl.cfg");
    put(onnx, "", 0);
    fails(AN_KIND_YUNET, own, "model_broken", "yunet_n_640_640.onnx is empty");
    put(onnx, "abc", 3);
    fails(AN_KIND_YUNET, own, "model_broken", "its SHA-256 begins with ba7816bf8f01, not 25a606");
    take_away(onnx);
    /* an operator's own: no digest to be compared, OpenCV has the word */
    put("objects.onnx", "abc", 3);
    fails(AN_KIND_DNN, own, "model_missing", "objects.names");
    put("objects.names", "giraffe\nzebra\n", 14);
    fails(AN_KIND_DNN, own, "model_broken", "names no person");
    put("objects.names", "person\n", 7);
    fails(AN_KIND_DNN, own, "model_broken", "objects.onnx, objects.names cannot be loaded");
    take_away("objects.onnx");
    put("objects.cfg", "[net]\nwidth=1\n", 14);
    put("objects.weights", "abc", 3);
    fails(AN_KIND_DNN, own, "model_broken", "objects.cfg");
    take_away("objects.cfg");
    put("haarcascade_profileface.xml", "<x>", 3);
    fails(AN_KIND_HAAR, own, "model_broken", "haarcascade_profileface.xml");
    take_away("haarcascade_profileface.xml");
    take_away("objects.weights");
    take_away("objects.names");
}

static void own_network(int rows, int cols, const float *table, const char *names)
{
    media_buf_t model = onnx_says(640, rows, cols, table);

    put("objects.onnx", model.p, model.len);
    put("objects.names", names, strlen(names));
    media_buf_free(&model);
}

/* 320 x 160 is looked at as 640 x 320 and grey below. */
static void finds_car_and_person(void)
{
    static uint8_t bgr[320 * 160 * 3];
    const an_picture_t p = {bgr, 320, 160, 0};
    const an_spec_t spec = spec_of(AN_KIND_DNN, own);
    an_fault_t fault = {"", ""};
    an_detector_t *d = an_detector_open(&spec, MEDIA_DETECTOR, &fault);

    CHECK_STR(fault.detail, "");
    if (d != NULL) {
        CHECK_INT(ask(d, &p, &fault), 2);
        CHECK(hits[0].label == AN_VEHICLE && fabsf(hits[0].score - 0.8F) < 0.01F);
        CHECK(hits[0].x == 40 && hits[0].y == 20 && hits[0].w == 20 && hits[0].h == 10);
        CHECK(hits[1].label == AN_PERSON && hits[1].x == 140);
    }
    an_detector_close(d);
}

/* Both layouts of exported networks, and names that are not the network's. */
static void test_an_detector_own_network_is_read(void)
{
    static const char names[] = "giraffe\r\ncar\r\nperson\r\nbus\r\n";
    /* cx, cy, w, h, objectness, a score per name */
    static const float five[4][9] = {{100, 50, 40, 20, 0.9F, 0.1F, 0.8889F, 0, 0.3F},
                                     {101, 50, 40, 20, 0.9F, 0, 0.2F, 0, 0.6F}, /* of the same */
                                     {300, 50, 40, 20, 1, 0, 0, 0.5F, 0},
                                     {500, 50, 40, 20, 1, 0.9F, 0, 0, 0}}; /* a giraffe */
    /* the same without objectness, transposed; as many columns as candidates */
    static const float eight[8][6] = {{100, 101, 300, 500, 1, 1}, {50, 50, 50, 50, 1, 1},
                                      {40, 40, 40, 40, 1, 1},     {20, 20, 20, 20, 1, 1},
                                      {0, 0, 0, 0.9F, 0, 0},      {0.8F, 0.2F, 0, 0, 0, 0},
                                      {0, 0, 0.5F, 0, 0, 0},      {0.3F, 0.5F, 0, 0, 0, 0}};

    own_network(4, 9, five[0], names);
    finds_car_and_person();
    own_network(8, 6, eight[0], names);
    finds_car_and_person();
    own_network(4, 9, five[0], "car\nbus\n");
    fails(AN_KIND_DNN, own, "model_broken", "its output has 9 columns and its names file 2 names");
    take_away("objects.onnx");
    take_away("objects.names");
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* A hit that is no box might be something to mask: it is not left out. */
static void test_an_detector_hit_that_is_no_box_fails(void)
{
    static const struct {
        float row[6]; /* cx, cy, w, h, objectness, score */
        const char *why;
    } cases[] = {{{100, 50, 0, 20, 1, 0.9F}, "it found what is no box"},
                 {{100, 50, 40, -20, 1, 0.9F}, "it found what is no box"},
                 {{NAN, 50, 40, 20, 1, 0.9F}, "it found what is no box"},
                 {{100, 50, INFINITY, 20, 1, 0.9F}, "it found what is no box"},
                 {{100, 50, 40, 20, 1, NAN}, "it found what is no box"},
                 {{100, 50, 0, 20, 1, 0.1F}, ""}}; /* nobody would ask for it */
    static uint8_t bgr[64 * 64 * 3];
    const an_picture_t p = {bgr, 64, 64, 0};
    const an_spec_t spec = spec_of(AN_KIND_DNN, own);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        an_fault_t fault = {"", ""};
        an_detector_t *d;

        own_network(1, 6, cases[i].row, "person\n");
        d = an_detector_open(&spec, MEDIA_DETECTOR, &fault);
        CHECK_STR(fault.detail, "");
        if (d != NULL && cases[i].why[0] != '\0' && SANITIZED) {
            /* its sanitizer cannot look at /proc when an exception is thrown, and ends it */
            CHECK(ask(d, &p, &fault) < 0);
        } else if (d != NULL) {
            CHECK_INT(ask(d, &p, &fault), cases[i].why[0] != '\0' ? MEDIA_E_REJECT : 0);
            CHECK_STR(fault.code, cases[i].why[0] != '\0' ? "detector_failed" : "");
            CHECK_STR(fault.detail, cases[i].why);
        }
        an_detector_close(d);
    }
    take_away("objects.onnx");
    take_away("objects.names");
}

static void test_an_detector_says_what_it_is(void)
{
    an_detector_t *d = open_kind(AN_KIND_HAAR);
    const json_t *about = an_detector_about(d);

    CHECK_STR(json_string_value(json_object_get(about, "kind")), "haar");
    CHECK_INT(json_array_size(json_object_get(about, "files")), 2);
    CHECK_INT(strlen(an_detector_digest(d)), 64);
    an_detector_close(d);
}

/* ---- pictures ---- */

static void test_an_detector_picture_of_any_size_is_answered(void)
{
    static const int sizes[][2] = {{1, 1}, {1, 5}, {31, 7}, {640, 640}, {1, 65535}, {1182, 1182}};
    an_detector_t *d[] = {open_kind(models[0] != '\0' ? AN_KIND_YUNET : AN_KIND_HOG),
                          models[0] != '\0' ? open_kind(AN_KIND_YUNET_2022MAR) : NULL,
                          models[0] != '\0' ? open_kind(AN_KIND_DNN) : NULL,
                          open_kind(AN_KIND_PLATES)};
    uint8_t *bgr = calloc(1, AN_PICTURE_MAX);

    for (size_t k = 0; k < sizeof(d) / sizeof(d[0]); k++) {
        for (size_t i = 0; d[k] != NULL && i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            const an_picture_t p = {bgr, sizes[i][0], sizes[i][1], 0};
            an_fault_t fault = {"", ""};

            CHECK(ask(d[k], &p, &fault) >= 0);
            CHECK_STR(fault.detail, "");
        }
        an_detector_close(d[k]);
    }
    free(bgr);
}

static void test_an_detector_picture_too_large_is_refused(void)
{
    an_detector_t *d = open_kind(AN_KIND_HOG);
    const an_picture_t large = {NULL, 2000, 2000, 0}, none = {NULL, 0, 5, 0};
    an_fault_t fault = {"", ""};

    CHECK_INT(ask(d, &large, &fault), MEDIA_E_REJECT);
    CHECK_STR(fault.code, "detector_request");
    CHECK_INT(ask(d, &none, &fault), MEDIA_E_REJECT);
    CHECK(an_detector_pid(d) > 0);
    an_detector_close(d);
}

/* The process alone, without the parent's side that would not send such things. */
static void start_bare(wk_proc_t *proc)
{
    static const char start[] = "{\"models\":\"\"}";
    static char text[AN_TEXT_MAX];
    const wk_child_limits_t limits = {.memory_bytes = 1ll << 31};
    char name[] = "media-detector", kind[] = "hog", *argv[] = {name, kind, NULL};
    an_head_t head = {AN_F_START, sizeof(start) - 1, geteuid() == 0 ? WORKER_UID : -1};

    CHECK_INT(wk_spawn(MEDIA_DETECTOR, argv, &limits, proc, NULL), 0);
    CHECK_INT(an_wire_send(proc->sock, &head, start, sizeof(start) - 1, NULL, 0, -1), 0);
    CHECK_INT(an_wire_recv(proc->sock, &head, sizeof(head), -1), 0);
    CHECK_INT(head.type, AN_F_READY);
    CHECK_INT(an_wire_recv(proc->sock, text, head.len, -1), 0);
}

/* Sends a frame, gives the type of the answer. */
static uint32_t say(const wk_proc_t *proc, uint32_t type, uint32_t len, const void *bytes, size_t n)
{
    static char text[AN_TEXT_MAX];
    an_head_t head = {type, len, 0};

    CHECK_INT(an_wire_send(proc->sock, &head, bytes, n, NULL, 0, -1), 0);
    if (an_wire_recv(proc->sock, &head, sizeof(head), -1) != 0 || head.len > sizeof(text) ||
        an_wire_recv(proc->sock, text, head.len, -1) != 0) {
        return 0;
    }
    return head.type;
}

static void test_an_detector_request_that_lies_gets_an_error(void)
{
    static struct {
        an_size_t size;
        uint8_t bgr[64 * 128 * 3];
    } p = {.size = {64, 128}};
    const an_size_t overflowing = {0x80000001, 0x80000000};
    wk_proc_t proc;
    int status;

    start_bare(&proc);
    CHECK_INT(say(&proc, AN_F_PICTURE, sizeof(p) - 1, &p, sizeof(p) - 1), AN_F_ERROR);
    CHECK_INT(say(&proc, AN_F_PICTURE, 3, "abc", 3), AN_F_ERROR);
    CHECK_INT(say(&proc, AN_F_PICTURE, 0, NULL, 0), AN_F_ERROR);
    CHECK_INT(say(&proc, AN_F_PICTURE, sizeof(overflowing), &overflowing, sizeof(overflowing)),
              AN_F_ERROR);
    CHECK_INT(say(&proc, AN_F_PICTURE, sizeof(p), &p, sizeof(p)), AN_F_HITS);
    /* what follows such a head cannot be told from pixels: an error, and the end */
    CHECK_INT(say(&proc, AN_F_PICTURE, 64u << 20, "abc", 3), AN_F_ERROR);
    CHECK_INT(waitpid(proc.pid, &status, 0), proc.pid);
    CHECK(WIFEXITED(status));
    proc.pid = -1;
    (void)wk_spawn_end(&proc);
}

static void test_an_detector_ends_with_its_socket(void)
{
    wk_proc_t proc;
    int status = -1;

    start_bare(&proc);
    (void)close(proc.sock);
    proc.sock = -1;
    CHECK_INT(waitpid(proc.pid, &status, 0), proc.pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    proc.pid = -1;
    (void)wk_spawn_end(&proc);
}

/* ---- deaths ---- */

static void test_an_detector_killed_is_replaced(void)
{
    const an_spec_t spec = spec_of(AN_KIND_HOG, NULL);
    static uint8_t bgr[64 * 128 * 3];
    const an_picture_t p = {bgr, 64, 128, 0};
    an_detector_t *d = NULL;
    an_fault_t fault = {"", ""};
    pid_t first;

    CHECK_INT(an_detector_keep(&d, &spec, MEDIA_DETECTOR, &fault), 0);
    first = an_detector_pid(d);
    CHECK_INT(an_detector_keep(&d, &spec, MEDIA_DETECTOR, &fault), 0);
    CHECK_INT(an_detector_pid(d), first);
    (void)kill(first, SIGKILL);
    CHECK_INT(ask(d, &p, &fault), MEDIA_E_RETRY);
    CHECK_STR(fault.code, "detector_died");
    CHECK_STR(fault.detail, "The detector \"hog\" ended: signal 9.");
    CHECK_INT(ask(d, &p, &fault), MEDIA_E_RETRY);
    CHECK_INT(an_detector_keep(&d, &spec, MEDIA_DETECTOR, &fault), 0);
    CHECK(an_detector_pid(d) > 0 && an_detector_pid(d) != first);
    CHECK(ask(d, &p, &fault) >= 0);
    an_detector_close(d);
}

/* Nobody was asking it anything: the next job does not pay for that with an attempt. */
static void test_an_detector_died_idle_is_replaced_before_it_is_asked(void)
{
    const an_spec_t spec = spec_of(AN_KIND_HOG, NULL);
    static uint8_t bgr[64 * 128 * 3];
    const an_picture_t p = {bgr, 64, 128, 0};
    an_detector_t *d = NULL;
    an_fault_t fault = {"", ""};
    siginfo_t info;
    pid_t first;

    CHECK_INT(an_detector_keep(&d, &spec, MEDIA_DETECTOR, &fault), 0);
    first = an_detector_pid(d);
    (void)kill(first, SIGKILL);
    CHECK_INT(waitid(P_PID, (id_t)first, &info, WEXITED | WNOWAIT), 0);
    CHECK_INT(an_detector_keep(&d, &spec, MEDIA_DETECTOR, &fault), 0);
    CHECK(an_detector_pid(d) > 0 && an_detector_pid(d) != first);
    CHECK(ask(d, &p, &fault) >= 0);
    CHECK_STR(fault.detail, "");
    CHECK(waitpid(first, NULL, WNOHANG) < 0 && errno == ECHILD);
    an_detector_close(d);
}

static void test_an_detector_silent_is_ended(void)
{
    static uint8_t bgr[64 * 128 * 3];
    an_detector_t *d = open_kind(AN_KIND_HOG);
    an_fault_t fault = {"", ""};

    (void)kill(an_detector_pid(d), SIGSTOP);
    CHECK_INT(an_detector_ask(d, 64, 128, bgr, hits, AN_HITS_MAX, 100, &fault), MEDIA_E_RETRY);
    CHECK_STR(fault.code, "detector_silent");
    CHECK_INT(an_detector_pid(d), -1);
    an_detector_close(d);
}

static void test_an_detector_without_a_program_fails(void)
{
    const an_spec_t spec = spec_of(AN_KIND_HOG, NULL);
    an_fault_t fault = {"", ""};

    CHECK(an_detector_open(&spec, "/nonexistent", &fault) == NULL);
    CHECK_STR(fault.code, "detector_died");
    /* it needs more than 16 MiB */
    fault = (an_fault_t){"", ""};
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    CHECK(an_detector_open(&(an_spec_t){.kind = AN_KIND_HAAR, .uid = spec.uid, .memory_mib = 16},
                           MEDIA_DETECTOR, &fault) == NULL);
    CHECK(fault.code[0] != '\0');
#endif
}

int main(void)
{
    struct stat st;

    wk_log_init("test_an_detector", MEDIA_LOG_ERROR);
    (void)snprintf(models, sizeof(models), "%s/model", photo_shared());
    if (stat(models, &st) != 0) {
        printf("%s is absent: without yunet and dnn\n", models);
        models[0] = '\0';
    }
    CHECK(mkdtemp(own) != NULL);
    CHECK_INT(chmod(own, 0755), 0);
    test_an_detector_kinds_find_what_they_are_for();
    test_an_detector_process_is_locked_down();
    test_an_detector_broken_model_is_named();
    test_an_detector_own_network_is_read();
    test_an_detector_hit_that_is_no_box_fails();
    test_an_detector_says_what_it_is();
    test_an_detector_picture_of_any_size_is_answered();
    test_an_detector_picture_too_large_is_refused();
    test_an_detector_request_that_lies_gets_an_error();
    test_an_detector_ends_with_its_socket();
    test_an_detector_killed_is_replaced();
    test_an_detector_died_idle_is_replaced_before_it_is_asked();
    test_an_detector_silent_is_ended();
    test_an_detector_without_a_program_fails();
    CHECK_INT(rmdir(own), 0);
    return test_report();
}
