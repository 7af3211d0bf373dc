/* The index step: what it says about clips, what it reads of them, what it refuses and why. */
#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#include "vd_range.h"
#include "vd_synth.h"

/* Fails as expected, or prints why not. */
static void expect(clip_t *c, const char *name, const tc_limits_t *limits, const char *code,
                   const char *words)
{
    const vd_source_t source = clip_source(c);
    tc_fail_t f = {{0}, {0}, 0};
    vd_indexed_t x;

    CHECK_INT(vd_index(&source, limits, &x, &f), -1);
    if (strcmp(f.code, code) != 0 || strstr(f.detail, words) == NULL) {
        printf("%s: %s: %s\n", name, f.code, f.detail);
        CHECK(0);
    }
    vd_indexed_free(&x);
}

static int open_shared(clip_t *c, const char *dir, const char *name)
{
    char path[512];

    (void)snprintf(path, sizeof(path), "%s/%s/%s", clip_dir(), dir, name);
    if (clip_open(c, path) == 0) {
        return 1;
    }
    printf("# skipped: %s\n", name);
    return 0;
}

/* ---- what it says ---- */

static json_t *stream(const vd_indexed_t *x, size_t i)
{
    return json_array_get(json_object_get(x->probe, "streams"), i);
}

static const char *text(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

static int index_shared(const char *name, clip_t *c, vd_indexed_t *x)
{
    tc_fail_t f = {{0}, {0}, 0};

    if (!open_shared(c, "video", name)) {
        return 0;
    }
    CHECK_INT(clip_index(c, x, &f), 0);
    return 1;
}

static void done(clip_t *c, vd_indexed_t *x)
{
    vd_indexed_free(x);
    clip_close(c);
}

static void test_vd_index_tracks_chapters_languages(void)
{
    vd_indexed_t x;
    clip_t c;

    if (!index_shared("heads_720p_51_2audio_2subs_chapters.mkv", &c, &x)) {
        return;
    }
    CHECK_INT(x.index.track, 0);
    CHECK_INT(x.naudio, 2);
    CHECK_INT(x.audio[1], 2);
    CHECK_INT(x.ntext, 2);
    CHECK_INT(x.text[0], 3);
    CHECK_STR(text(stream(&x, 2), "language"), "deu");
    CHECK_INT(json_array_size(json_object_get(x.probe, "chapters")), 2);
    CHECK_STR(text(json_array_get(json_object_get(x.probe, "chapters"), 1), "title"), "two");
    done(&c, &x);
}

static void test_vd_index_picture_subtitles_are_not_text(void)
{
    vd_indexed_t x;
    clip_t c;

    if (index_shared("ax_face_pgs.mkv", &c, &x)) {
        CHECK_INT(x.ntext, 0);
        done(&c, &x);
    }
}

static void test_vd_index_hdr_in_the_stream_is_seen(void)
{
    vd_indexed_t x;
    clip_t c;
    json_t *hdr;

    if (!index_shared("sign_hdr10_hevc.mp4", &c, &x)) {
        return;
    }
    hdr = json_object_get(stream(&x, 0), "hdr");
    CHECK_STR(text(hdr, "transfer"), "pq");
    CHECK(json_is_object(json_object_get(hdr, "mastering_display")));
    CHECK_STR(text(stream(&x, 0), "pix_fmt"), "yuv420p10le");
    CHECK_STR(text(stream(&x, 0), "color_primaries"), "bt2020");
    done(&c, &x);
}

static void test_vd_index_shapes(void)
{
    static const struct {
        const char *name;
        int width, height, sar_num, sar_den, rotation, flip;
        const char *field_order;
    } cases[] = {{"sign_1080i30_h264_ac3_51.ts", 1440, 1080, 4, 3, 0, 0, "tt"},
                 {"sign_576i25_mpeg2.mpg", 720, 576, 16, 15, 0, 0, "tt"},
                 {"talk_anamorphic_sar45.mp4", 720, 576, 4, 5, 0, 0, "progressive"},
                 {"phone_rot90_720p.mov", 1280, 720, 0, 1, 90, 0, "progressive"},
                 {"ax_face_rotate_reflect.mp4", 1080, 720, 1, 1, 270, 1, "progressive"},
                 {"talk_odd_479x319_yuv444.mp4", 479, 319, 0, 1, 0, 0, "progressive"}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        vd_indexed_t x;
        clip_t c;
        if (!index_shared(cases[i].name, &c, &x)) {
            continue;
        }
        printf("# %s\n", cases[i].name);
        CHECK_INT(x.index.width, cases[i].width);
        CHECK_INT(x.index.height, cases[i].height);
        CHECK_INT(x.index.sar_num, cases[i].sar_num);
        CHECK_INT(x.index.sar_den, cases[i].sar_den);
        CHECK_INT(x.index.rotation, cases[i].rotation);
        CHECK_INT(x.index.flip, cases[i].flip);
        CHECK_STR(text(stream(&x, (size_t)x.index.track), "field_order"), cases[i].field_order);
        done(&c, &x);
    }
}

/* ---- what it reads ---- */

/* A busy film of some 50 MB. */
#define BUSY 400, 224, 500, 0, 0, 100, 0
#define BUSY_X264 "preset=ultrafast;qp=18;g=25"

static const synth_t busy[] = {
    {"MP4", "mp4", "libx264", BUSY_X264, "", BUSY},
    {"TS", "mpegts", "libx264", BUSY_X264, "", BUSY},
    {"MKV", "matroska", "libx264", BUSY_X264, "", BUSY},
    {"FLV", "flv", "libx264", BUSY_X264, "", BUSY},
    {"PS", "vob", "mpeg2video", "qmin=2;qmax=2;bf=2", "", BUSY},
    {"ASF", "asf", "wmv2", "qmin=2;qmax=2;g=25", "", BUSY},
};

/* Sum of what all ranges of so many pictures fetch. */
static int64_t fetched_by_ranges(clip_t *c, const media_vindex_t *v, uint32_t size)
{
    const vd_source_t source = clip_source(c);
    AVFrame *frame = av_frame_alloc();
    tc_fail_t f = {{0}, {0}, 0};
    int64_t sum = 0;
    uint32_t number;

    for (uint32_t first = 0; first < v->nframes; first += size) {
        uint32_t end = first + size < v->nframes ? first + size : v->nframes;
        vd_range_t *r = NULL;
        int64_t from, to;
        CHECK_INT(vd_range_open(&r, &source, v, first, end, 1, &f), 0);
        while (vd_range_frame(r, frame, &number, &f) > 0) {
        }
        vd_range_bytes(v, first, end, &from, &to);
        CHECK(from < to && to <= c->size);
        CHECK(!v->plain || vd_range_stats(r)->fetched <= to - from + 2 * VD_IO_BLOCK);
        sum += vd_range_stats(r)->fetched;
        vd_range_close(r);
    }
    av_frame_free(&frame);
    return sum;
}

static void test_vd_index_ranges_read_little_more_than_the_file(void)
{
    for (size_t i = 0; i < sizeof(busy) / sizeof(busy[0]); i++) {
        tc_fail_t f = {{0}, {0}, 0};
        vd_indexed_t x = {0};
        int64_t sum;
        clip_t c;

        if (synth_make(&busy[i], &c) != 0 || clip_index(&c, &x, &f) != 0) {
            printf("# skipped: %s %s\n", busy[i].name, f.detail);
        } else {
            sum = fetched_by_ranges(&c, &x.index, 125);
            printf("# %s: %.1f MB, index read %.1f MB, four ranges read %.2f times the file\n",
                   busy[i].name, (double)c.size / 1e6, (double)x.fetched / 1e6,
                   (double)sum / (double)c.size);
            CHECK(c.size > 40000000);
            CHECK(sum <= c.size * 13 / 10);
            /* at most read once and decoded once */
            CHECK(x.fetched <=
                  (strstr(busy[i].name, "MP4") != NULL ? 0 : 2 * c.size) + 4 * VD_IO_BLOCK);
            CHECK_INT(c.least_read, VD_IO_BLOCK);
        }
        vd_indexed_free(&x);
        synth_free(&c);
    }
}

/* ---- what it refuses ---- */

static void test_vd_index_limits_are_named(void)
{
    static const synth_t film = {"film", "mp4", "mpeg4", "", "", 320, 180, 100, 0, 0, 0, 0};
    static const struct {
        tc_limits_t limits;
        const char *words;
    } cases[] = {
        {{3, 1 << 20, 1000, 100, NULL}, "4 seconds long; the limit is 3"},
        {{100, 57599, 1000, 100, NULL}, "320x180 = 57600 pixels; the limit is 57599"},
        {{100, 1 << 20, 99, 100, NULL}, "100 pictures; the limit is 99"},
        {{100, 1 << 20, 1000, 0, NULL}, "1 tracks; the limit is 0"},
        {{100, 1 << 20, 1000, 100, "h264,aac"}, "coded as mpeg4; allowed are: h264,aac."},
    };
    const tc_limits_t enough = {4, 57600, 100, 1, "h264,mpeg4"};
    tc_fail_t f = {{0}, {0}, 0};
    vd_indexed_t x;
    vd_source_t source;
    clip_t c;

    CHECK_INT(synth_make(&film, &c), 0);
    source = clip_source(&c);
    CHECK_INT(vd_index(&source, &enough, &x, &f), 0);
    vd_indexed_free(&x);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect(&c, film.name, &cases[i].limits, "limits", cases[i].words);
    }
    synth_free(&c);
}

static void test_vd_index_sound_alone_is_no_video(void)
{
    const tc_limits_t limits = TC_LIMITS_DEFAULT;
    static const char *const names[] = {"audio_only_named.mp4", "ax_eac3_51.mp4"};
    clip_t c;

    for (size_t i = 0; i < 2; i++) {
        if (open_shared(&c, "video", names[i])) {
            expect(&c, names[i], &limits, "no_video", "no video track");
            clip_close(&c);
        }
    }
}

static ssize_t broken_read(void *ctx, int64_t off, void *dst, size_t len)
{
    return off < 2 * VD_IO_BLOCK ? clip_read(ctx, off, dst, len) : -1;
}

/* An object store that fails is no fault of the file. */
static void test_vd_index_lost_source_is_ours(void)
{
    const tc_limits_t limits = TC_LIMITS_DEFAULT;
    tc_fail_t f = {{0}, {0}, 0};
    vd_source_t source;
    vd_indexed_t x;
    clip_t c;

    CHECK_INT(synth_make(&busy[1], &c), 0);
    source = clip_source(&c);
    source.read = broken_read;
    CHECK_INT(vd_index(&source, &limits, &x, &f), -1);
    CHECK_STR(f.code, "internal");
    CHECK_INT(f.retry, 1);
    vd_indexed_free(&x);
    synth_free(&c);
}

static double cpu_s(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Index, then everything decoded; either may fail with a cause, none may crash or hang. */
static void survive(clip_t *c, const char *name)
{
    const vd_source_t source = clip_source(c);
    AVFrame *frame = av_frame_alloc();
    tc_fail_t f = {{0}, {0}, 0};
    vd_range_t *r = NULL;
    double began = cpu_s();
    uint32_t number, got = 0;
    vd_indexed_t x;
    int rc = clip_index(c, &x, &f);

    if (rc == 0) {
        rc = vd_range_open(&r, &source, &x.index, 0, x.index.nframes, 1, &f);
    }
    while (rc == 0 && vd_range_frame(r, frame, &number, &f) > 0) {
        got++;
    }
    if (rc != 0) {
        CHECK(f.code[0] != '\0' && strlen(f.detail) > 10 && !f.retry);
    } else {
        CHECK_INT(got, x.index.nframes);
    }
    printf("# %-48s %5.2f s, %s%s\n", name, cpu_s() - began, rc != 0 ? f.code : "decoded",
           rc == 0 && vd_range_stats(r)->repaired > 0 ? ", with repairs" : "");
    CHECK(cpu_s() - began < 60);
    vd_range_close(r);
    vd_indexed_free(&x);
    av_frame_free(&frame);
}

static void test_vd_index_broken_files_have_a_cause(void)
{
    static const struct {
        const char *name, *code, *words;
    } cases[] = {
        {"amp_60_audio_tracks.mkv", "no_video", "no video track"},
        {"ax_sample_vvc.mp4", "unsupported_codec", "vvc"},
        {"ax_invalid-bitstream.webm", "unreadable_media", "damaged"},
        {"polyglot_mp4_html.mp4", "unreadable_media", "damaged"},
        {"truncated_half_mdat.mp4", "truncated_media", "406213 of at least 812426"},
        {"truncated_no_moov.mp4", "truncated_media", "ends early"},
        {"truncated_in_moov.mp4", "truncated_media", "ends early"},
        {"ssrf_file_as.mp4", "unsupported_format", "Apple HTTP Live Streaming"},
        {"ssrf_ffconcat_as.mp4", "unsupported_format", "concatenation"},
        {"zero.mp4", "unreadable_media", "empty"},
        {"zip_as.mp4", "unreadable_media", "no video or sound"},
        {"bomb_header_60000x60000.png", "unsupported_format", "picture"},
    };
    const tc_limits_t limits = TC_LIMITS_DEFAULT;
    char path[512];
    clip_t c;
    DIR *d;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (open_shared(&c, "broken", cases[i].name)) {
            expect(&c, cases[i].name, &limits, cases[i].code, cases[i].words);
            clip_close(&c);
        }
    }
    (void)snprintf(path, sizeof(path), "%s/broken", clip_dir());
    d = opendir(path);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        if (e->d_name[0] != '.' && open_shared(&c, "broken", e->d_name)) {
            survive(&c, e->d_name);
            clip_close(&c);
        }
    }
    if (d != NULL) {
        (void)closedir(d);
    }
}

/* Every kind of container with a hundred wounds: nothing but a cause or pictures comes out. */
static void test_vd_index_wounded_clips_are_survived(void)
{
    static const synth_t kinds[] = {
        {"MP4", "mp4", "libx264", "preset=veryfast", "", 160, 96, 60, 0, 0, 8, 0},
        {"fragments", "mp4", "libx264", "preset=veryfast", "movflags=frag_keyframe+empty_moov", 160,
         96, 60, 0, 0, 8, 0},
        {"TS", "mpegts", "mpeg2video", "bf=2", "", 160, 96, 60, 0, 0, 8, 0},
        {"PS", "vob", "mpeg2video", "bf=2", "", 160, 96, 60, 0, 0, 8, 0},
        {"MKV", "matroska", "libx264", "preset=veryfast", "", 160, 96, 60, 0, 0, 8, 0},
        {"AVI", "avi", "mpeg4", "bf=2", "", 160, 96, 60, 0, 0, 8, 0},
        {"FLV", "flv", "flv", "", "", 160, 96, 60, 0, 0, 8, 0},
        {"ASF", "asf", "wmv2", "", "", 160, 96, 60, 0, 0, 8, 0}};
    uint32_t x = 1;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        clip_t c, w;
        uint8_t *copy;
        if (synth_make(&kinds[i], &c) != 0) {
            synth_free(&c);
            continue;
        }
        copy = malloc((size_t)c.size);
        for (int round = 0; round < 12; round++) {
            memcpy(copy, c.p, (size_t)c.size);
            for (int k = 0; k < 1 << (round % 6); k++) {
                x = x * 1664525u + 1013904223u;
                /* headers, wherever they are, are hit as often as the rest */
                copy[(x >> 3) % (round % 2 ? (uint32_t)c.size : 4096u)] = (uint8_t)(x >> 24);
            }
            w = (clip_t){.fd = -1,
                         .p = copy,
                         .size = c.size - (round % 4 == 3 ? 500 : 0),
                         .least_read = INT64_MAX};
            survive(&w, kinds[i].name);
        }
        free(copy);
        synth_free(&c);
    }
}

int main(void)
{
    struct rusage use;

    av_log_set_level(AV_LOG_QUIET);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    test_vd_index_tracks_chapters_languages();
    test_vd_index_picture_subtitles_are_not_text();
    test_vd_index_hdr_in_the_stream_is_seen();
    test_vd_index_shapes();
    test_vd_index_limits_are_named();
    test_vd_index_sound_alone_is_no_video();
    test_vd_index_lost_source_is_ours();
    test_vd_index_broken_files_have_a_cause();
    test_vd_index_wounded_clips_are_survived();
    (void)getrusage(RUSAGE_SELF, &use);
    printf("# at most %ld MiB so far\n", use.ru_maxrss >> 10);
    test_vd_index_ranges_read_little_more_than_the_file();
    return test_report();
}
