/* A packaged set as a player sees it: segments in a directory, playlists and manifest made from
 * their description alone, played by libav's HLS and DASH demuxers; and looked at by ffprobe, where
 * it is installed. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

#include "media/dash.h"
#include "media/hls.h"
#include "vd_cmaf.h"
#include "vd_make.h"

#define GOP 48
#define SEGMENTS 4
#define FRAMES (SEGMENTS * GOP)
#define SAMPLES (376 * 1024)

static int64_t film_pts(int i)
{
    return (int64_t)i * 1001;
}

static const video_t small = {160, 90, {1, 24000}, GOP, film_pts, "main"};
static const video_t large = {320, 180, {1, 24000}, GOP, film_pts, "high"};

static char root[] = "/tmp/vd_package.XXXXXX";

static void save(const char *path, media_str_t head, media_str_t body)
{
    char full[300];
    (void)snprintf(full, sizeof(full), "%s/%s", root, path);
    FILE *f = fopen(full, "wb");
    must(f != NULL && fwrite(head.p, 1, head.len, f) == head.len, full);
    must(body.len == 0 || fwrite(body.p, 1, body.len, f) == body.len, full);
    must(fclose(f) == 0, full);
}

static void make_dir(const char *path)
{
    char full[300];
    (void)snprintf(full, sizeof(full), "%s/%s", root, path);
    must(mkdir(full, 0700) == 0, full);
}

/* Stores a track's segments and describes them. */
static void store(const char *name, const made_t *m, const video_t *v, int64_t timescale,
                  int64_t end, const char *special, media_buf_t *json)
{
    AVCodecParameters *par = made_par(m);
    vd_cmaf_track_t track = {par, timescale, v != NULL ? 0 : par->initial_padding, NULL};
    tc_fail_t f = {0};
    char path[100];
    int number = 0;
    vd_cmaf_t *c = vd_cmaf_open(&track, &f);
    must(c != NULL, "vd_cmaf_open");
    (void)snprintf(path, sizeof(path), "cmaf/1/%s", name);
    make_dir(path);
    (void)snprintf(path, sizeof(path), "cmaf/1/%s/" MEDIA_CMAFSET_INIT, name);
    save(path, vd_cmaf_init(c), MEDIA_STR_NULL);
    media_buf_fmt(json,
                  "%s{\"name\":\"%s\",\"kind\":\"%s\",\"revision\":1,\"codecs\":\"%s\","
                  "\"timescale\":%lld,%s,\"segments\":[",
                  json->p[json->len - 1] == '[' ? "" : ",", name, v != NULL ? "video" : "audio",
                  vd_cmaf_codecs(c), (long long)timescale, special);
    for (int i = 0; i < m->n; i++) {
        int last = i + 1 == m->n;
        int cut = v != NULL ? made_is_last(m, i, v, number + 1) : last || i % 94 == 93;
        CHECK_INT(vd_cmaf_add(c, m->packets[i], &f), 0);
        if (cut) {
            vd_cmaf_segment_t s;
            CHECK_INT(vd_cmaf_cut(c, ++number, last ? end : m->packets[i + 1]->pts, &s, &f), 0);
            (void)snprintf(path, sizeof(path), "cmaf/1/%s/%d.m4s", name, number);
            save(path, s.head, s.body);
            media_buf_fmt(json, "%s[%lld,%lld", number > 1 ? "," : "", (long long)s.duration,
                          (long long)s.bytes);
            media_buf_fmt(json, v != NULL ? ",%lld,%lld]" : "]", (long long)s.iframe_offset,
                          (long long)s.iframe_bytes);
        }
    }
    media_buf_cstr(json, "]}");
    CHECK_STR(f.detail, "");
    vd_cmaf_close(c);
    avcodec_parameters_free(&par);
}

static void write_texts(const media_cmafset_t *set)
{
    char path[100];
    media_buf_t b;
    media_buf_init(&b, 1 << 20);
    CHECK_INT(media_hls_master(set, &b), 0);
    save("hls/" MEDIA_HLS_MASTER, media_buf_view(&b), MEDIA_STR_NULL);
    media_buf_reset(&b);
    CHECK_INT(media_dash_manifest(set, &b), 0);
    save("dash/" MEDIA_DASH_MANIFEST, media_buf_view(&b), MEDIA_STR_NULL);
    for (size_t i = 0; i < set->ntracks; i++) {
        const media_track_t *t = &set->tracks[i];
        media_buf_reset(&b);
        CHECK_INT(media_hls_media(set, t, &b), 0);
        (void)snprintf(path, sizeof(path), "hls/%s" MEDIA_HLS_EXT, t->name);
        save(path, media_buf_view(&b), MEDIA_STR_NULL);
        if (media_track_has_iframes(t)) {
            media_buf_reset(&b);
            CHECK_INT(media_hls_iframes(set, t, &b), 0);
            (void)snprintf(path, sizeof(path), "hls/%s" MEDIA_HLS_IFRAMES_EXT, t->name);
            save(path, media_buf_view(&b), MEDIA_STR_NULL);
        }
    }
    media_buf_free(&b);
}

static void package(void)
{
    made_t *m = calloc(1, sizeof(*m));
    media_cmafset_t *set = NULL;
    media_err_t ei = {""};
    media_buf_t json;
    must(mkdtemp(root) != NULL, "mkdtemp");
    make_dir("cmaf");
    make_dir("cmaf/1");
    make_dir("hls");
    make_dir("dash");
    media_buf_init(&json, 1 << 20);
    media_buf_cstr(&json, "{\"segments\":\"../cmaf/\",\"tracks\":[");
    made_video(m, &small, 0, FRAMES);
    store("small", m, &small, 24000, film_pts(FRAMES),
          "\"width\":160,\"height\":90,\"fps\":[24000,1001]", &json);
    made_free(m);
    made_video(m, &large, 0, FRAMES);
    store("large", m, &large, 24000, film_pts(FRAMES),
          "\"width\":320,\"height\":180,\"fps\":[24000,1001]", &json);
    made_free(m);
    made_audio(m, SAMPLES, 100000);
    store("audio", m, NULL, 48000, SAMPLES, "\"channels\":1,\"rate\":48000,\"language\":\"de\"",
          &json);
    made_free(m);
    free(m);
    media_buf_cstr(&json, "]}");
    CHECK_INT(media_cmafset_read(media_buf_view(&json), &set, &ei), 0);
    CHECK_STR(ei.text, "");
    must(set != NULL, "media_cmafset_read");
    write_texts(set);
    media_cmafset_free(set);
    media_buf_free(&json);
}

/* What a demuxer finds behind a playlist or manifest. */
typedef struct {
    int width; /* 0: audio */
    int packets;
    int64_t first, last; /* presentation times, ticks of 1/240000000 */
    int ascending;
} seen_t;

/* `only`: of this stream alone; -1: of all. The number of streams. */
static int play(const char *path, int only, seen_t *seen, int max)
{
    char full[300];
    AVFormatContext *in = NULL;
    AVPacket *p = av_packet_alloc();
    (void)snprintf(full, sizeof(full), "%s/%s", root, path);
    must(avformat_open_input(&in, full, NULL, NULL) == 0, full);
    must(avformat_find_stream_info(in, NULL) >= 0, full);
    int n = (int)in->nb_streams;
    must(n <= max, "the number of streams");
    for (int i = 0; i < n; i++) {
        seen[i] = (seen_t){.width = in->streams[i]->codecpar->width,
                           .first = INT64_MAX,
                           .last = INT64_MIN,
                           .ascending = 1};
        if (only >= 0 && i != only) {
            in->streams[i]->discard = AVDISCARD_ALL;
        }
    }
    int64_t dts[8] = {0};
    while (av_read_frame(in, p) == 0) {
        seen_t *s = &seen[p->stream_index];
        int64_t pts = av_rescale_q(p->pts, in->streams[p->stream_index]->time_base,
                                   (AVRational){1, 240000000});
        s->first = pts < s->first ? pts : s->first;
        s->last = pts > s->last ? pts : s->last;
        s->ascending &= s->packets == 0 || p->dts > dts[p->stream_index];
        dts[p->stream_index] = p->dts;
        s->packets++;
        av_packet_unref(p);
    }
    av_packet_free(&p);
    avformat_close_input(&in);
    return n;
}

static void check_seen(const seen_t *s)
{
    CHECK(s->ascending);
    if (s->width > 0) {
        CHECK_INT(s->packets, FRAMES);
        CHECK_INT(s->last - s->first, (FRAMES - 1) * INT64_C(10010000));
    } else {
        CHECK_INT(s->packets, 377);
        CHECK_INT(s->last - s->first, 376 * INT64_C(5120000));
    }
}

static void test_package_plays_as_hls(void)
{
    seen_t seen[8];
    CHECK_INT(play("hls/" MEDIA_HLS_MASTER, -1, seen, 8), 3);
    CHECK_INT(seen[0].width + seen[1].width + seen[2].width, 480);
    for (int i = 0; i < 3; i++) {
        check_seen(&seen[i]);
    }
    CHECK_INT(play("hls/large" MEDIA_HLS_EXT, -1, seen, 8), 1);
    CHECK_INT(seen[0].width, 320);
    check_seen(&seen[0]);
}

/* libav's demuxer ends with the first stream that does: one at a time. */
static void test_package_plays_as_dash(void)
{
    for (int i = 0; i < 3; i++) {
        seen_t seen[8];
        CHECK_INT(play("dash/" MEDIA_DASH_MANIFEST, i, seen, 8), 3);
        CHECK_INT(seen[0].width + seen[1].width + seen[2].width, 480);
        check_seen(&seen[i]);
    }
}

/* ffprobe's standard output and error of a track's init segment and segments in one file. */
static int probe(const char *track, char *out, size_t cap)
{
    char full[300];
    char list[600];
    int fds[2];
    int status = 0;
    pid_t pid;
    size_t n = 0;
    posix_spawn_file_actions_t fa;
    (void)snprintf(list, sizeof(list), "concat:%s/cmaf/1/%s/init.mp4", root, track);
    for (int i = 1; i <= SEGMENTS; i++) {
        (void)snprintf(full, sizeof(full), "|%s/cmaf/1/%s/%d.m4s", root, track, i);
        must(strlen(list) + strlen(full) < sizeof(list), "room for a list");
        memcpy(list + strlen(list), full, strlen(full) + 1);
    }
    char *argv[] = {(char *)(uintptr_t) "ffprobe",
                    (char *)(uintptr_t) "-v",
                    (char *)(uintptr_t) "warning",
                    (char *)(uintptr_t) "-count_frames",
                    (char *)(uintptr_t) "-show_entries",
                    (char *)(uintptr_t) "stream=codec_tag_string,profile,time_base,nb_read_frames",
                    (char *)(uintptr_t) "-of",
                    (char *)(uintptr_t) "csv=p=0",
                    list,
                    NULL};
    must(pipe2(fds, O_CLOEXEC) == 0, "pipe2");
    (void)posix_spawn_file_actions_init(&fa);
    (void)posix_spawn_file_actions_adddup2(&fa, fds[1], 1);
    (void)posix_spawn_file_actions_adddup2(&fa, fds[1], 2);
    int rc = posix_spawnp(&pid, "ffprobe", &fa, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&fa);
    close(fds[1]);
    for (ssize_t got; rc == 0 && n + 1 < cap && (got = read(fds[0], out + n, cap - 1 - n)) > 0;) {
        n += (size_t)got;
    }
    out[n] = '\0';
    close(fds[0]);
    if (rc == 0) {
        (void)waitpid(pid, &status, 0);
    }
    return rc == 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == 127);
}

static void test_package_is_what_ffprobe_says(void)
{
    char out[2000];
    if (!probe("small", out, sizeof(out))) {
        printf("# no ffprobe here\n");
        return;
    }
    CHECK_STR(out, "Main,avc1,1/24000,192\n");
    CHECK(probe("large", out, sizeof(out)));
    CHECK_STR(out, "High,avc1,1/24000,192\n");
    CHECK(probe("audio", out, sizeof(out)));
    CHECK_STR(out, "LC,mp4a,1/48000,376\n");
}

static void remove_all(void)
{
    char *argv[] = {(char *)(uintptr_t) "rm", (char *)(uintptr_t) "-r", root, NULL};
    pid_t pid;
    must(posix_spawnp(&pid, "rm", NULL, NULL, argv, environ) == 0, "rm");
    (void)waitpid(pid, NULL, 0);
}

int main(void)
{
    av_log_set_level(AV_LOG_WARNING);
    package();
    test_package_plays_as_hls();
    test_package_plays_as_dash();
    test_package_is_what_ffprobe_says();
    remove_all();
    return test_report();
}
