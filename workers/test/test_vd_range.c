/* Ranges of every shared clip, joined, are the decode of the whole file, picture by picture. */
#include <stdio.h>

#include "vd_clip.h"
#include "vd_range.h"

/* One picture each from all over the clip, and ranges of so many. */
#define SPOTS 12
#define RANGE_FRAMES 90

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
} run_t;

/* Decodes [first, end) and compares; counts, so that one broken clip prints one line. */
static void run_range(run_t *r, uint32_t first, uint32_t end)
{
    const vd_source_t source = clip_source(r->clip);
    AVFrame *frame = av_frame_alloc();
    tc_fail_t f = {{0}, {0}, 0};
    vd_range_t *range = NULL;
    uint32_t number = 0, due = first;
    int rc = vd_range_open(&range, &source, r->v, first, end, 1, &f);

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

static void compare(clip_t *c, const char *name)
{
    static clip_decoded_t whole;
    tc_fail_t f = {{0}, {0}, 0};
    run_t r = {.clip = c, .whole = &whole};
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
    for (uint32_t i = 0; i < whole.n && i < x.index.nframes; i++) {
        late += whole.frames[i].pts - whole.frames[0].pts !=
                x.index.frames[i].pts - x.index.frames[0].pts;
    }
    if (x.index.nframes == whole.n) {
        run_ranges_of(&r, x.index.nframes);
        wrong[0] = r.wrong;
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
    CHECK_INT(late, 0);
    vd_indexed_free(&x);
}

static void test_vd_range_union_is_the_whole_decode(void)
{
    char path[512];
    clip_t c;

    for (size_t i = 0; i < sizeof(clips) / sizeof(clips[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/video/%s", clip_dir(), clips[i]);
        if (clip_open(&c, path) != 0) {
            printf("# skipped: %s\n", clips[i]);
            continue;
        }
        compare(&c, clips[i]);
        clip_close(&c);
    }
}

int main(int argc, char **argv)
{
    clip_t c;

    av_log_set_level(AV_LOG_QUIET);
    if (argc > 1) { /* one file by hand */
        CHECK_INT(clip_open(&c, argv[1]), 0);
        compare(&c, argv[1]);
        clip_close(&c);
        return test_report();
    }
    test_vd_range_union_is_the_whole_decode();
    return test_report();
}
