/* Real and hostile files, each in a child that is locked down as a decoder child is, with its limit
 * of memory: what comes of them, in bounded time. */
#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "an_pictures.h"
#include "test.h"
#include "wk_sandbox.h"

#define MEMORY (1ll << 30)
#define CPU_S 20

typedef struct {
    char code[48], detail[300], name[32];
    int width, height, tracks;
} outcome_t;

static const char *shared(void)
{
    const char *dir = getenv("MEDIA_SHARED");

    return dir != NULL ? dir : MEDIA_SHARED_DEFAULT;
}

static bytes_t read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    bytes_t b = {NULL, 0};
    struct stat st;

    if (f != NULL && fstat(fileno(f), &st) == 0) {
        b.p = malloc((size_t)st.st_size + 1);
        b.n = fread(b.p, 1, (size_t)st.st_size, f);
    }
    if (f != NULL) {
        fclose(f);
    }
    return b;
}

/* In the child. */
static void work(bytes_t in, const char *params, int fd)
{
    finder_t finder = {{0.25F, 0.25F, 0.25F, 0.25F}, -1, 0, 0, 0};
    struct rlimit cpu = {CPU_S, CPU_S};
    outcome_t o = {{0}, {0}, {0}, 0, 0, 0};
    ran_t r;

    an_image_warm();
    av_log_set_level(AV_LOG_QUIET);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* their shadows count, too */
    setrlimit(RLIMIT_DATA, &(struct rlimit){MEMORY, MEMORY});
#endif
    setrlimit(RLIMIT_CPU, &cpu);
    if (wk_sandbox_lock() != 0) {
        _exit(3);
    }
    r = run(in, params, &finder);
    memcpy(o.code, r.f.code, sizeof(o.code));
    memcpy(o.detail, r.f.detail, sizeof(o.detail));
    memcpy(o.name, r.name, sizeof(o.name));
    o.width = r.width;
    o.height = r.height;
    o.tracks = (int)json_array_size(json_object_get(r.report, "tracks"));
    _exit(write(fd, &o, sizeof(o)) == (ssize_t)sizeof(o) && (r.rc == 0) == (r.puts == 1) ? 0 : 4);
}

/* code "killed": by a signal (memory, time). */
static outcome_t locked_bytes(bytes_t in, const char *params)
{
    outcome_t o = {"killed", "", "", 0, 0, 0};
    int fds[2], status = 0;
    pid_t pid;

    if (pipe(fds) != 0 || (pid = fork()) < 0) {
        die("a child");
    }
    if (pid == 0) {
        close(fds[0]);
        work(in, params, fds[1]);
    }
    close(fds[1]);
    if (read(fds[0], &o, sizeof(o)) != (ssize_t)sizeof(o)) {
        (void)snprintf(o.code, sizeof(o.code), "killed");
    }
    close(fds[0]);
    (void)waitpid(pid, &status, 0);
    if (status != 0) {
        (void)snprintf(o.code, sizeof(o.code), "status %d", status);
    }
    return o;
}

static outcome_t locked(const char *path, const char *params)
{
    bytes_t in = read_file(path);
    outcome_t o;

    if (in.p == NULL) {
        die(path);
    }
    o = locked_bytes(in, params);
    free(in.p);
    return o;
}

/* ---- hostile ---- */

static const struct {
    const char *file, *code; /* "": read and masked */
} hostile[] = {
    {"amp_gif_4000x4000x100.gif", "limits"},
    {"bomb_header_60000x60000.png", "limits"},
    {"bomb_sof_65500.jpg", "limits"},
    {"bomb_valid_16000x16000_rgb.png", "limits"},
    {"bomb_ztxt.png", ""},
    {"exif_gps_facethumb.jpg", ""},
    {"mvg_as.jpg", "unsupported_media"},
    {"one_byte.jpg", "unsupported_media"},
    {"pl_broken.png", "unreadable_media"},
    {"pl_crash-0e16d3bfb83be87356d026d66919deaefca44dac.tif", "unreadable_media"},
    {"pl_crash-4f085cc12ece8cde18758d42608bed6a2a2cfb1c.tif", "unreadable_media"},
    {"pl_decompression_bomb.gif", "unreadable_media"},
    {"pl_oom-225817ca0f8c663be7ab4b9e717b02c661e66834.tif", "unreadable_media"},
    {"pl_png_decompression_dos.png", ""},
    {"polyglot_gif_html.gif", ""},
    {"polyglot_jpg_html.jpg", ""},
    {"ps_as.jpg", "unsupported_media"},
    {"ssrf_file_as.jpg", "unsupported_media"},
    {"svg_file_ref.svg", "unsupported_media"},
    {"svg_http_ref.svg", "unsupported_media"},
    {"svg_laughs.svg", "unsupported_media"},
    {"svg_script.svg", "unsupported_media"},
    {"svg_xxe.svg", "unsupported_media"},
    {"tb_image_invalid.jpg", "unsupported_media"},
    {"tb_invalid_quantization.jpg", ""},
    {"vi_17000x17000.avif", "limits"},
    {"vi_big-height.webp", ""},
    {"vi_invalid_multiframe.gif", "unreadable_media"},
    {"vi_looks-like-svg.webp", ""},
    {"vi_truncated.jpg", "unreadable_media"},
    {"vi_truncated.svgz", "unsupported_media"},
    {"zero.mp4", "unsupported_media"},
    {"page.mp4", "unsupported_media"},
    {"zip_as.mp4", "unsupported_media"},
    {"truncated_half_mdat.mp4", "unsupported_media"},
};

static void test_an_image_files_hostile_told_in_a_sentence(void)
{
    char path[512];

    for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
        outcome_t o;
        (void)snprintf(path, sizeof(path), "%s/broken/%s", shared(), hostile[i].file);
        o = locked(path, "{}");
        if (strcmp(o.code, hostile[i].code) != 0) {
            printf("%s: %s %s\n", hostile[i].file, o.code, o.detail);
        }
        CHECK_STR(o.code, hostile[i].code);
        CHECK((o.code[0] == '\0') == (o.detail[0] == '\0'));
    }
}

/* ---- real ---- */

static void test_an_image_files_real_masked(void)
{
    static const char *const styles[] = {
        "{}",
        "{\"mask\":\"mosaic\",\"feather\":8,\"keep_metadata\":[\"icc\",\"copyright\",\"date\"]}"};
    struct dirent **list;
    char path[512];
    int n;

    (void)snprintf(path, sizeof(path), "%s/image", shared());
    n = scandir(path, &list, NULL, alphasort);
    CHECK(n > 30);
    for (int i = 0; i < n; i++) {
        for (int k = 0;
             k < 2 && list[i]->d_name[0] != '.' && strstr(list[i]->d_name, ".tsv") == NULL; k++) {
            outcome_t o;
            (void)snprintf(path, sizeof(path), "%s/image/%s", shared(), list[i]->d_name);
            o = locked(path, styles[k]);
            if (o.code[0] != '\0') {
                printf("%s: %s %s\n", list[i]->d_name, o.code, o.detail);
            }
            CHECK_STR(o.code, "");
            CHECK(o.tracks >= 1);
        }
        free(list[i]);
    }
    free(list);
}

static void test_an_image_files_cut_refused(void)
{
    static const char *const files[] = {"none_ax_still.heic", "none_pl_flower.webp",
                                        "none_ax_ultrahdr.jpg", "face_tb_man_cmyk.jpg",
                                        "face_in_two_animated.gif"};
    char path[512];

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        bytes_t in;
        (void)snprintf(path, sizeof(path), "%s/image/%s", shared(), files[i]);
        in = read_file(path);
        for (int tenth = 2; tenth < 10; tenth += 3) {
            /* the second half of an Ultra HDR file is its gain map, which is not looked at */
            bytes_t part = {in.p, in.n * (size_t)tenth / (strstr(path, "ultrahdr") ? 20 : 10)};
            CHECK_STR(locked_bytes(part, "{}").code, "unreadable_media");
        }
        free(in.p);
    }
}

int main(void)
{
    if (access(shared(), R_OK) != 0) {
        return 77;
    }
    test_an_image_files_hostile_told_in_a_sentence();
    test_an_image_files_real_masked();
    test_an_image_files_cut_refused();
    return test_report();
}
