/* CMAF segments of real encoders' packets: read back by libav, compared byte for byte between
 * workers, searched for encoders' names. */
#define _GNU_SOURCE
#include "test.h"

#include "vd_cmaf.h"
#include "vd_make.h"

#define SEGMENTS 4
#define GOP 50
#define TICKS 1001

static int64_t film_pts(int i)
{
    return (int64_t)i * TICKS;
}

/* VFR, and a beginning after 0 */
static int64_t uneven_pts(int i)
{
    return 5000 + (int64_t)i * 900 + (i % 3) * 211 + (i >= 70 ? 12345 : 0);
}

static const video_t film = {160, 90, {1, 24000}, GOP, film_pts, "main"};
static const video_t uneven = {90, 160, {1, 90000}, GOP, uneven_pts, "high"};

static const vd_cmaf_segment_t none;

static vd_cmaf_t *open_track(const made_t *m, int64_t timescale, int64_t edit, const char *lang)
{
    AVCodecParameters *par = made_par(m);
    vd_cmaf_track_t track = {par, timescale, edit, lang};
    tc_fail_t f = {0};
    vd_cmaf_t *c = vd_cmaf_open(&track, &f);
    CHECK_STR(f.detail, "");
    must(c != NULL, "vd_cmaf_open");
    avcodec_parameters_free(&par);
    return c;
}

/* Cuts the packets into segments of GOP frames, numbered from `first`; their bytes are appended to
 * `out`, what each is goes to `list`. */
static void write_segments(vd_cmaf_t *c, const made_t *m, const video_t *v, int first,
                           media_buf_t *out, vd_cmaf_segment_t *list)
{
    tc_fail_t f = {0};
    int number = first;
    for (int i = 0; i < m->n; i++) {
        CHECK_INT(vd_cmaf_add(c, m->packets[i], &f), 0);
        if (made_is_last(m, i, v, number)) {
            vd_cmaf_segment_t s = none;
            CHECK_INT(vd_cmaf_cut(c, number, v->pts(number * GOP), &s, &f), 0);
            media_buf_str(out, s.head);
            media_buf_str(out, s.body);
            CHECK_INT(s.bytes, s.head.len + s.body.len);
            *list++ = s;
            number++;
        }
    }
    CHECK_STR(f.detail, "");
}

/* Four segments as two workers make them, two each. */
typedef struct {
    made_t ranges[2];
    media_buf_t init;
    media_buf_t bytes[2];
    vd_cmaf_segment_t list[SEGMENTS];
} film_t;

static void film_make(film_t *t, const video_t *v, int64_t edit)
{
    media_buf_init(&t->init, 1 << 20);
    for (int i = 0; i < 2; i++) {
        made_video(&t->ranges[i], v, i * 2 * GOP, (i + 1) * 2 * GOP);
        vd_cmaf_t *c = open_track(&t->ranges[i], v->time_base.den, edit, "ger");
        media_buf_init(&t->bytes[i], 64 << 20);
        write_segments(c, &t->ranges[i], v, 1 + 2 * i, &t->bytes[i], t->list + 2 * i);
        if (i == 0) {
            media_buf_str(&t->init, vd_cmaf_init(c));
        } else {
            media_str_t init = vd_cmaf_init(c);
            CHECK(media_str_eq(init, media_buf_view(&t->init)));
        }
        vd_cmaf_close(c);
    }
}

static void film_free(film_t *t)
{
    for (int i = 0; i < 2; i++) {
        made_free(&t->ranges[i]);
        media_buf_free(&t->bytes[i]);
    }
    media_buf_free(&t->init);
}

static void film_join(const film_t *t, media_buf_t *out)
{
    media_buf_init(out, 64 << 20);
    media_buf_str(out, media_buf_view(&t->init));
    media_buf_str(out, media_buf_view(&t->bytes[0]));
    media_buf_str(out, media_buf_view(&t->bytes[1]));
}

/* By how much a picture is shown earlier than at its turn of decoding, at most. */
static int64_t reorder(const film_t *t, const video_t *v)
{
    int64_t most = 0;
    for (int i = 0; i < SEGMENTS * GOP; i++) {
        const made_t *m = &t->ranges[i / (2 * GOP)];
        int64_t early = v->pts(i) - m->packets[i % (2 * GOP)]->pts;
        most = early > most ? early : most;
    }
    return most;
}

/* Without edit list libav shows a fragmented track later by what was reordered. */
static void check_video(const video_t *v, int64_t edit)
{
    static film_t t;
    static track_read_t r;
    media_buf_t file;
    film_make(&t, v, edit);
    film_join(&t, &file);
    int64_t shift = edit > 0 ? 0 : reorder(&t, v);
    CHECK(reorder(&t, v) >= 2 * 900);
    CHECK_INT(read_back(&file, &r, 1), 1);
    CHECK_INT(r.nframes, SEGMENTS * GOP);
    CHECK_INT(r.npackets, SEGMENTS * GOP);
    CHECK_INT(r.keys, made_keys(&t.ranges[0]) + made_keys(&t.ranges[1]));
    CHECK(r.keys > SEGMENTS);
    CHECK_INT(r.time_base.num, 1);
    CHECK_INT(r.time_base.den, v->time_base.den);
    CHECK_STR(r.language, "ger");
    for (int i = 0; i < r.nframes; i++) {
        CHECK_INT(r.pts[i] - shift, v->pts(i));
        CHECK(i == 0 || r.dts[i] > r.dts[i - 1]);
    }
    for (int i = 0; i < SEGMENTS; i++) {
        CHECK_INT(t.list[i].start, v->pts(i * GOP));
        CHECK_INT(t.list[i].duration, v->pts((i + 1) * GOP) - v->pts(i * GOP));
        CHECK_INT(t.list[i].samples, GOP);
    }
    media_buf_free(&file);
    film_free(&t);
}

static void test_vd_cmaf_video_has_all_frames_and_times(void)
{
    check_video(&film, 0);
    check_video(&film, 2 * TICKS);
    check_video(&uneven, 0);
    check_video(&uneven, 90000);
}

/* One worker that writes everything, and one that has the second range alone. */
static void test_vd_cmaf_segments_do_not_know_their_neighbours(void)
{
    static film_t t;
    vd_cmaf_segment_t list[SEGMENTS];
    media_buf_t all;
    film_make(&t, &film, 0);
    media_buf_init(&all, 64 << 20);
    vd_cmaf_t *c = open_track(&t.ranges[0], 24000, 0, NULL);
    write_segments(c, &t.ranges[0], &film, 1, &all, list);
    write_segments(c, &t.ranges[1], &film, 3, &all, list + 2);
    CHECK_INT(all.len, t.bytes[0].len + t.bytes[1].len);
    CHECK(memcmp(all.p, t.bytes[0].p, t.bytes[0].len) == 0);
    CHECK(memcmp(all.p + t.bytes[0].len, t.bytes[1].p, t.bytes[1].len) == 0);
    vd_cmaf_close(c);
    media_buf_free(&all);
    film_free(&t);
}

/* A segment of the middle alone begins where it belongs. */
static void test_vd_cmaf_segment_stands_alone(void)
{
    static film_t t;
    static track_read_t r;
    media_buf_t file;
    film_make(&t, &film, 0);
    media_buf_init(&file, 64 << 20);
    media_buf_str(&file, media_buf_view(&t.init));
    media_buf_str(&file, media_buf_view(&t.bytes[1]));
    CHECK_INT(read_back(&file, &r, 1), 1);
    CHECK_INT(r.nframes, 2 * GOP);
    CHECK_INT(r.pts[0] - reorder(&t, &film), film_pts(2 * GOP));
    CHECK_INT(r.pts[2 * GOP - 1] - reorder(&t, &film), film_pts(4 * GOP - 1));
    media_buf_free(&file);
    film_free(&t);
}

/* The init segment and an I-frame's byte range are one whole picture. */
static void test_vd_cmaf_iframe_range_is_one_picture(void)
{
    static film_t t;
    static track_read_t whole;
    static track_read_t r;
    media_buf_t file;
    film_make(&t, &film, 0);
    film_join(&t, &file);
    CHECK_INT(read_back(&file, &whole, 1), 1);
    media_buf_reset(&file);
    media_buf_str(&file, media_buf_view(&t.init));
    media_buf_add(&file, t.bytes[1].p + t.list[2].iframe_offset, (size_t)t.list[2].iframe_bytes);
    CHECK(t.list[2].iframe_bytes < t.list[2].bytes / 2);
    CHECK_INT(read_back(&file, &r, 1), 1);
    CHECK(r.nframes >= 1);
    CHECK_INT(r.pts[0] - reorder(&t, &film), film_pts(2 * GOP));
    CHECK(r.sum[0] == whole.sum[2 * GOP]);
    media_buf_free(&file);
    film_free(&t);
}

static void test_vd_cmaf_names_no_encoder(void)
{
    static const char *const names[] = {"x264", "Lavc", "Lavf", "Handler"};
    static film_t t;
    media_buf_t file;
    film_make(&t, &film, 0);
    film_join(&t, &file);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        CHECK(memmem(file.p, file.len, names[i], strlen(names[i])) == NULL);
    }
    media_buf_free(&file);
    film_free(&t);
}

#define BURST 48000

/* Sound is where it was, to the sample: the priming is told, and left out. */
static void test_vd_cmaf_audio_is_in_time(void)
{
    static made_t m;
    static track_read_t r;
    media_buf_t file;
    tc_fail_t f = {0};
    int64_t next = 0;
    int number = 1;
    made_audio(&m, 96 * 1024, BURST);
    CHECK_INT(m.encoder->initial_padding, 1024);
    CHECK_INT(m.packets[0]->pts, -1024);
    vd_cmaf_t *c = open_track(&m, 48000, m.encoder->initial_padding, NULL);
    CHECK_STR(vd_cmaf_codecs(c), "mp4a.40.2");
    media_buf_init(&file, 1 << 20);
    media_buf_str(&file, vd_cmaf_init(c));
    for (int i = 0; i < m.n; i++) {
        CHECK_INT(vd_cmaf_add(c, m.packets[i], &f), 0);
        if (i % 20 == 19 || i + 1 == m.n) {
            vd_cmaf_segment_t s = none;
            int64_t end = i + 1 == m.n ? 96 * 1024 : m.packets[i + 1]->pts;
            CHECK_INT(vd_cmaf_cut(c, number++, end, &s, &f), 0);
            CHECK_INT(s.start, next);
            next = s.start + s.duration;
            CHECK_INT(s.iframe_bytes, 0);
            media_buf_str(&file, s.head);
            media_buf_str(&file, s.body);
        }
    }
    CHECK_STR(f.detail, "");
    CHECK_INT(next, 96 * 1024);
    CHECK_INT(read_back(&file, &r, 1), 1);
    CHECK_INT(r.npackets, m.n);
    CHECK_INT(r.packet_pts[0], -1024);
    CHECK(r.loudest >= BURST - 1 && r.loudest <= BURST + 1);
    if (r.loudest < BURST - 1 || r.loudest > BURST + 1) {
        printf("# the burst is at %d\n", r.loudest);
    }
    vd_cmaf_close(c);
    media_buf_free(&file);
    made_free(&m);
}

static void test_vd_cmaf_refuses(void)
{
    static made_t m;
    tc_fail_t f = {0};
    vd_cmaf_segment_t s;
    made_video(&m, &film, 0, GOP);
    vd_cmaf_t *c = open_track(&m, 24000, 0, NULL);
    /* nothing to cut */
    CHECK_INT(vd_cmaf_cut(c, 1, film_pts(GOP), &s, &f), -1);
    /* no key at the front */
    f.code[0] = '\0';
    CHECK_INT(vd_cmaf_add(c, m.packets[1], &f), 0);
    CHECK_INT(vd_cmaf_cut(c, 1, film_pts(GOP), &s, &f), -1);
    CHECK(strstr(f.detail, "first picture") != NULL);
    vd_cmaf_close(c);

    /* the same time twice, an end before the last picture */
    c = open_track(&m, 24000, 0, NULL);
    f.code[0] = '\0';
    CHECK_INT(vd_cmaf_add(c, m.packets[0], &f), 0);
    CHECK_INT(vd_cmaf_add(c, m.packets[0], &f), 0);
    CHECK_INT(vd_cmaf_cut(c, 1, film_pts(GOP), &s, &f), -1);
    vd_cmaf_close(c);
    c = open_track(&m, 24000, 0, NULL);
    f.code[0] = '\0';
    CHECK_INT(vd_cmaf_add(c, m.packets[0], &f), 0);
    CHECK_INT(vd_cmaf_add(c, m.packets[1], &f), 0);
    CHECK_INT(vd_cmaf_cut(c, 1, 1, &s, &f), -1);

    /* no time; a codec without a place */
    AVPacket *p = av_packet_clone(m.packets[2]);
    p->pts = AV_NOPTS_VALUE;
    f.code[0] = '\0';
    CHECK_INT(vd_cmaf_add(c, p, &f), -1);
    av_packet_free(&p);
    vd_cmaf_close(c);
    AVCodecParameters *par = made_par(&m);
    vd_cmaf_track_t track = {par, 24000, 0, NULL};
    par->codec_id = AV_CODEC_ID_MJPEG;
    f.code[0] = '\0';
    CHECK(vd_cmaf_open(&track, &f) == NULL);
    CHECK_STR(f.code, "unsupported_media");
    /* no parameter sets; a bad language */
    par->codec_id = AV_CODEC_ID_H264;
    par->extradata_size = 0;
    f.code[0] = '\0';
    CHECK(vd_cmaf_open(&track, &f) == NULL);
    track.language = "de";
    f.code[0] = '\0';
    CHECK(vd_cmaf_open(&track, &f) == NULL);
    avcodec_parameters_free(&par);
    made_free(&m);
}

int main(void)
{
    av_log_set_level(AV_LOG_ERROR);
    test_vd_cmaf_video_has_all_frames_and_times();
    test_vd_cmaf_segments_do_not_know_their_neighbours();
    test_vd_cmaf_segment_stands_alone();
    test_vd_cmaf_iframe_range_is_one_picture();
    test_vd_cmaf_names_no_encoder();
    test_vd_cmaf_audio_is_in_time();
    test_vd_cmaf_refuses();
    return test_report();
}
