/* Ranges of every shared clip, joined, are the decode of the whole file, picture by picture. */
#include <stdio.h>
#include <stdlib.h>

#include "vd_clip.h"
#include "vd_entry.h"
#include "vd_range.h"
#include "vd_synth.h"

/* One picture each from all over the clip, and ranges of so many. */
#define SPOTS 5
#define RANGE_FRAMES 130

static const char *const clips[] = {"ax_avi_mpeg4_mp3.avi",
                                    "ax_bbb_1080p60_vp8_vorbis51.webm",
                                    "ax_bbb_642x642_vp9.webm",
                                    "ax_bear_161x121_vp9.webm",
                                    "ax_chapters.mp4",
                                    "ax_dovi_1080p60.mp4",
                                    "ax_face.flv",
                                    "ax_face_1080x720.mp4",
                                    "ax_face_ass.mkv",
                                    "ax_face_hevc.mp4",
                                    "ax_face_pgs.mkv",
                                    "ax_face_rotate_reflect.mp4",
                                    "ax_h262_mp2.ts",
                                    "ax_h263.3gp",
                                    "ax_hdr10_1080p_hevc.mp4",
                                    "ax_hdr10_av1_720x1280.mp4",
                                    "ax_hlg_1080p_rot90_editlist.mp4",
                                    "ax_selfie_motionphoto_2videotracks_rot90.mp4",
                                    "ax_silent_black_10s.mp4",
                                    "ax_slowmotion_sef.mp4",
                                    "cars_768x432_aac.mp4",
                                    "crowd_1080p30_6faces_faststart.mp4",
                                    "hands_640x360_moov_end.mp4",
                                    "heads_720p25_moov_end.mp4",
                                    "heads_720p_51_2audio_2subs_chapters.mkv",
                                    "paper_vfr.mov",
                                    "people_backs_768x432_10fps.mp4",
                                    "phone_rot90_720p.mov",
                                    "selfie_rot90.mov",
                                    "sign_1080i30_h264_ac3_51.ts",
                                    "sign_480p30_faststart.mp4",
                                    "sign_480p30_moov_end.mp4",
                                    "sign_576i25_mpeg2.mpg",
                                    "sign_again_640x480.mkv",
                                    "sign_av1_opus.mkv",
                                    "sign_hdr10_hevc.mp4",
                                    "sign_night_640x480.mkv",
                                    "sign_vp9_opus.webm",
                                    "sign_walk_640x480.mkv",
                                    "sign_want_640x480.mkv",
                                    "talk_480x320_faststart.mp4",
                                    "talk_anamorphic_sar45.mp4",
                                    "talk_flv1.flv",
                                    "talk_mjpeg_321x241.avi",
                                    "talk_odd_479x319_yuv444.mp4",
                                    "talk_vfr.mp4",
                                    "talk_wmv2.wmv"};

typedef struct {
    clip_t *clip;
    const media_vindex_t *v;
    const clip_decoded_t *whole;
    int64_t fetched;
    uint32_t wrong;
    int threads;
} run_t;

/* Decodes [first, end) and compares; counts, so that one broken clip prints one line. */
static void run_range(run_t *r, uint32_t first, uint32_t end)
{
    const vd_source_t source = clip_source(r->clip);
    AVFrame *frame = av_frame_alloc();
    tc_fail_t f = {{0}, {0}, 0};
    vd_range_t *range = NULL;
    uint32_t number = 0, due = first;
    int rc = vd_range_open(&range, &source, r->v, first, end, r->threads, &f);

    while (rc == 0 && (rc = vd_range_frame(range, frame, &number, &f)) > 0) {
        r->wrong += number != due || number >= r->whole->n ||
                    clip_hash(frame) != r->whole->frames[number].hash ||
                    frame->pts != r->v->frames[number].pts;
        due++;
        rc = 0;
    }
    if (rc != 0) {
        printf("# %s: %s\n", f.code, f.detail);
    }
    CHECK_INT(rc, 0);
    CHECK_INT(due, end);
    if (range != NULL) {
        r->fetched += vd_range_stats(range)->fetched;
        r->wrong += (uint32_t)vd_range_stats(range)->repaired;
    }
    vd_range_close(range);
    av_frame_free(&frame);
}

static void run_ranges_of(run_t *r, uint32_t size)
{
    r->fetched = 0;
    for (uint32_t first = 0; first < r->v->nframes; first += size) {
        uint32_t left = r->v->nframes - first;
        run_range(r, first, first + (left < size ? left : size));
    }
}

/* From each key frame shown to the next. */
static void run_groups(run_t *r)
{
    uint32_t first = 0;

    for (uint32_t i = 1; i <= r->v->nframes; i++) {
        if (i == r->v->nframes ||
            (r->v->packets[r->v->frames[i].packet].flags & MEDIA_VINDEX_KEY)) {
            /* a coding of key frames alone: some of them */
            if (i - first > 1 || i % 16 == 0) {
                run_range(r, first, i);
            }
            first = i;
        }
    }
}

/* How many pictures come at another time after the first than libav says, where it says one. */
static uint32_t times_off(const clip_decoded_t *whole, const media_vindex_t *v)
{
    int64_t first = whole->n > 0 ? whole->frames[0].pts : AV_NOPTS_VALUE;
    uint32_t off = 0;

    for (uint32_t i = 0; first != AV_NOPTS_VALUE && i < whole->n && i < v->nframes; i++) {
        off += whole->frames[i].pts != AV_NOPTS_VALUE &&
               whole->frames[i].pts - first != v->frames[i].pts - v->frames[0].pts;
    }
    return off;
}

/* jumps: the times of the source go back on the way, those of the index must not. */
static void compare(clip_t *c, const char *name, int jumps)
{
    static clip_decoded_t whole;
    tc_fail_t f = {{0}, {0}, 0};
    run_t r = {.clip = c, .whole = &whole, .threads = 3};
    uint32_t late = 0, wrong[4];
    vd_indexed_t x;

    if (clip_index(c, &x, &f) != 0) {
        printf("%s: %s: %s\n", name, f.code, f.detail);
        CHECK(0);
        vd_indexed_free(&x);
        return;
    }
    clip_decode(c, (int)x.index.track, &whole);
    r.v = &x.index;
    CHECK_INT(x.index.nframes, whole.n);
    late = times_off(&whole, &x.index);
    if (x.index.nframes == whole.n) {
        run_ranges_of(&r, x.index.nframes);
        wrong[0] = r.wrong;
        r.threads = 1;
        run_ranges_of(&r, RANGE_FRAMES);
        wrong[1] = r.wrong;
        run_groups(&r);
        wrong[2] = r.wrong;
        for (uint32_t i = 0; i < SPOTS && x.index.nframes > SPOTS; i++) {
            uint32_t at = (uint32_t)((uint64_t)x.index.nframes * (2 * i + 1) / (2 * SPOTS));
            run_range(&r, at, at + 1);
        }
        wrong[3] = r.wrong;
        printf("# %-46s %4u pictures, %s%s, times off %u, wrong %u %u %u %u\n", name,
               x.index.nframes, x.index.plain ? "plain" : "demuxed",
               x.ordered_by_decoding ? ", decoded" : "", late, wrong[0], wrong[1], wrong[2],
               wrong[3]);
    } else {
        printf("# %s: %u pictures in the index, %u decoded\n", name, x.index.nframes, whole.n);
    }
    CHECK_INT(r.wrong, 0);
    CHECK_INT(late, jumps ? late : 0);
    vd_indexed_free(&x);
}

#define BYTES_MAX 600000 /* of a clip, unless all are asked for: the others take minutes */

static void test_vd_range_union_is_the_whole_decode(void)
{
    int is_all = getenv("MEDIA_ALL_CLIPS") != NULL;
    char path[512];
    clip_t c;

    for (size_t i = 0; i < sizeof(clips) / sizeof(clips[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/video/%s", clip_dir(), clips[i]);
        if (clip_open(&c, path) != 0) {
            printf("# skipped: %s\n", clips[i]);
            continue;
        }
        if (!is_all && c.size > BYTES_MAX) {
            printf("# skipped: %s (MEDIA_ALL_CLIPS=1 takes all)\n", clips[i]);
        } else {
            compare(&c, clips[i], 0);
        }
        clip_close(&c);
    }
}

#define OPEN_X264 "preset=veryfast;bf=3;x264-params=open-gop=1:b-adapt=0:scenecut=0:keyint=25"
#define OPEN_X265                                                                                  \
    "preset=ultrafast;x265-params=open-gop=1:bframes=3:keyint=25:min-keyint=25:b-adapt=0:log-"     \
    "level=none"
#define MPEG2 "bf=2;sc_threshold=1000000000"
#define SMALL 320, 180, 160

static const synth_t made[] = {
    {"open H.264, TS", "mpegts", "libx264", OPEN_X264, "", SMALL, 0, 0, 16, 0},
    {"open H.264, MP4", "mp4", "libx264", OPEN_X264, "", SMALL, 0, 0, 16, 0},
    {"open H.264, MKV", "matroska", "libx264", OPEN_X264, "", SMALL, 0, 0, 16, 0},
    {"open H.264, FLV", "flv", "libx264", OPEN_X264, "", SMALL, 0, 0, 16, 0},
    {"open H.264, AVI", "avi", "libx264", OPEN_X264, "", SMALL, 0, 0, 16, 0},
    {"open H.264, no container", "h264", "libx264", OPEN_X264, "", SMALL, 0, 0, 16, 0},
    {"open H.264, fragments", "mp4", "libx264", OPEN_X264,
     "movflags=frag_keyframe+empty_moov+default_base_moof", SMALL, 0, 0, 16, 0},
    {"refreshed H.264, TS", "mpegts", "libx264", "preset=veryfast;bf=0;x264-params=intra-refresh=1",
     "", SMALL, 0, 0, 16, 0},
    {"refreshed H.264, MP4", "mp4", "libx264", "preset=veryfast;bf=0;x264-params=intra-refresh=1",
     "", SMALL, 0, 0, 16, 0},
    {"interlaced H.264, TS", "mpegts", "libx264", "flags=+ildct+ilme;preset=veryfast", "", SMALL, 0,
     0, 16, 0},
    {"open HEVC, TS", "mpegts", "libx265", OPEN_X265, "", SMALL, 0, 0, 16, 0},
    {"open HEVC, MP4", "mp4", "libx265", OPEN_X265, "", SMALL, 0, 0, 16, 0},
    {"MPEG-2, PS", "vob", "mpeg2video", MPEG2, "", SMALL, 0, 0, 16, 0},
    {"MPEG-2, TS", "mpegts", "mpeg2video", MPEG2, "", SMALL, 0, 0, 16, 0},
    {"MPEG-2, MP4", "mp4", "mpeg2video", MPEG2, "", SMALL, 0, 0, 16, 0},
    {"MPEG-2, low rate PS", "vob", "mpeg2video", MPEG2 ";qmin=31;qmax=31", "", SMALL, 0, 0, 0, 0},
    {"MPEG-1, no container", "mpeg1video", "mpeg1video", MPEG2, "", SMALL, 0, 0, 16, 0},
    {"MPEG-4 B, AVI", "avi", "mpeg4", "bf=2", "", SMALL, 0, 0, 16, 0},
    {"MPEG-4 B, MP4", "mp4", "mpeg4", "bf=2", "", SMALL, 0, 0, 16, 0},
    {"VP8 with hidden frames", "webm", "libvpx",
     "lag-in-frames=16;auto-alt-ref=1;deadline=realtime;cpu-used=8;b=200000", "", SMALL, 0, 0, 8,
     0},
    {"VP9 with hidden frames", "webm", "libvpx-vp9",
     "lag-in-frames=16;auto-alt-ref=1;deadline=realtime;cpu-used=8;b=200000", "", SMALL, 0, 0, 8,
     0},
    {"VP9, MP4", "mp4", "libvpx-vp9",
     "lag-in-frames=16;auto-alt-ref=1;deadline=realtime;cpu-used=8;b=200000", "", SMALL, 0, 0, 8,
     0},
    {"Theora, Ogg", "ogg", "libtheora", "b=500000", "", SMALL, 0, 0, 16, 0},
    {"WMV2, ASF", "asf", "wmv2", "b=500000", "", SMALL, 0, 0, 16, 0},
    {"variable rate, MP4", "mp4", "libx264", OPEN_X264, "", SMALL, 1, 0, 16, 0},
    {"variable rate, MKV", "matroska", "libx264", OPEN_X264, "", SMALL, 1, 0, 16, 0},
    {"variable rate, TS", "mpegts", "libx264", OPEN_X264, "", SMALL, 1, 0, 16, 0},
    {"late start, MP4", "mp4", "libx264", OPEN_X264, "", SMALL, 0, 50, 16, 0},
    {"negative start, MP4", "mp4", "libx264", OPEN_X264, "avoid_negative_ts=disabled", SMALL, 0,
     -30, 16, 0},
    {"negative offsets, MP4", "mp4", "libx264", OPEN_X264, "movflags=negative_cts_offsets", SMALL,
     0, 0, 16, 0},
    {"negative start, MKV", "matroska", "libx264", OPEN_X264, "avoid_negative_ts=disabled", SMALL,
     0, -30, 16, 0},
    {"false sync samples, MP4", "mp4", "libx264",
     "preset=veryfast;bf=0;x264-params=ref=4:keyint=1000:min-keyint=500", "", SMALL, 0, 0, 4, 1},
    {"false sync samples, MKV", "matroska", "libx264",
     "preset=veryfast;bf=0;x264-params=ref=4:keyint=1000:min-keyint=500", "", SMALL, 0, 0, 4, 1},
};

static void test_vd_range_made_clips_too(void)
{
    clip_t c;

    for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
        if (synth_make(&made[i], &c) == 0) {
            compare(&c, made[i].name, 0);
        } else {
            printf("# skipped: %s\n", made[i].name);
        }
        synth_free(&c);
    }
}

/* Two recordings in one stream, the second beginning at the time of the first. */
static void test_vd_range_joined_streams(void)
{
    const synth_t *t = &made[0];
    clip_t one, two;
    uint8_t *p;

    if (synth_make(t, &one) == 0) {
        p = malloc((size_t)one.size * 2);
        memcpy(p, one.p, (size_t)one.size);
        memcpy(p + one.size, one.p, (size_t)one.size);
        two = (clip_t){.fd = -1, .p = p, .size = 2 * one.size, .least_read = INT64_MAX};
        compare(&two, "two TS, joined", 1);
        free(p);
    }
    synth_free(&one);
}

static const synth_t *made_named(const char *name)
{
    for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
        if (strcmp(made[i].name, name) == 0) {
            return &made[i];
        }
    }
    return NULL;
}

/* How many of the key packets behind the first are places to begin. */
static void count_entries(const char *name, uint32_t *keys, uint32_t *safe)
{
    tc_fail_t f = {{0}, {0}, 0};
    vd_indexed_t x = {0};
    vd_source_t source;
    vd_io_t io;
    clip_t c;

    *keys = *safe = 0;
    CHECK_INT(synth_make(made_named(name), &c), 0);
    CHECK_INT(clip_index(&c, &x, &f), 0);
    source = clip_source(&c);
    CHECK_INT(vd_io_open(&io, &source, &f), 0);
    for (uint32_t i = 1; i < x.index.npackets; i++) {
        if (x.index.packets[i].flags & MEDIA_VINDEX_KEY) {
            (*keys)++;
            *safe += vd_entry_safe(&io, &x.index, i) != 0;
        }
    }
    vd_io_close(&io);
    vd_indexed_free(&x);
    synth_free(&c);
}

static void test_vd_range_only_real_entry_points(void)
{
    uint32_t keys, safe;

    count_entries("open H.264, MP4", &keys, &safe); /* recovery points, no IDR */
    CHECK(keys >= 5);
    CHECK_INT(safe, keys);
    count_entries("false sync samples, MP4", &keys, &safe);
    CHECK(keys >= 4);
    CHECK_INT(safe, 0);
}

int main(int argc, char **argv)
{
    clip_t c;

    av_log_set_level(AV_LOG_QUIET);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1 && strcmp(argv[1], "made") == 0) {
        test_vd_range_made_clips_too();
        test_vd_range_joined_streams();
        test_vd_range_only_real_entry_points();
        return test_report();
    }
    if (argc > 1) { /* one file by hand */
        CHECK_INT(clip_open(&c, argv[1]), 0);
        compare(&c, argv[1], 1);
        clip_close(&c);
        return test_report();
    }
    test_vd_range_made_clips_too();
    test_vd_range_joined_streams();
    test_vd_range_only_real_entry_points();
    test_vd_range_union_is_the_whole_decode();
    return test_report();
}
