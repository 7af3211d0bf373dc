/* One MP4 out of CMAF segments: what libav reads from it is what it reads from the segments, at
 * the times the source had. */
#include "test.h"

#include "vd_box.h"
#include "vd_cmaf.h"
#include "vd_make.h"
#include "vd_mp4.h"

#define GOP 40
#define SEGMENTS 5
#define BURST 60000
#define TRACKS 3

static int64_t even_pts(int i)
{
    return (int64_t)i * 1001;
}

static int64_t late_pts(int i)
{
    return 9000 + (int64_t)i * 3000 + (i % 2) * 700;
}

static const video_t even = {160, 90, {1, 24000}, GOP, even_pts, "main"};
static const video_t late = {160, 90, {1, 90000}, GOP, late_pts, "main"};

/* Tracks as objects in a bucket. */
typedef struct {
    media_buf_t init;
    media_buf_t segments[16];
    int n;
} stored_t;

typedef struct {
    stored_t tracks[TRACKS];
    int ntracks;
    media_buf_t out;
    size_t most; /* bytes asked for at once */
    int writes_left;
} store_t;

static ssize_t store_read(void *ctx, int track, int64_t segment, int64_t off, void *dst, size_t len)
{
    store_t *s = ctx;
    stored_t *t = &s->tracks[track];
    if (segment > t->n) {
        return -1;
    }
    media_buf_t *b = segment == 0 ? &t->init : &t->segments[segment - 1];
    size_t left = (size_t)off < b->len ? b->len - (size_t)off : 0;
    size_t n = left < len ? left : len;
    s->most = len > s->most ? len : s->most;
    if (n > 0) {
        memcpy(dst, b->p + off, n);
    }
    return (ssize_t)n;
}

static int store_write(void *ctx, const void *src, size_t len)
{
    store_t *s = ctx;
    if (s->writes_left-- == 0) {
        return -1;
    }
    return media_buf_add(&s->out, src, len);
}

static void store_free(store_t *s)
{
    for (int i = 0; i < s->ntracks; i++) {
        media_buf_free(&s->tracks[i].init);
        for (int k = 0; k < s->tracks[i].n; k++) {
            media_buf_free(&s->tracks[i].segments[k]);
        }
    }
    media_buf_free(&s->out);
}

/* Packs packets as a track; without a video to go by, 30 to a segment. */
static void store_add(store_t *s, const made_t *m, const vd_cmaf_track_t *track, const video_t *v,
                      int64_t end)
{
    stored_t *t = &s->tracks[s->ntracks++];
    tc_fail_t f = {0};
    vd_cmaf_t *c = vd_cmaf_open(track, &f);
    must(c != NULL, "vd_cmaf_open");
    media_buf_init(&t->init, 1 << 20);
    media_buf_str(&t->init, vd_cmaf_init(c));
    for (int i = 0; i < m->n; i++) {
        int last = i + 1 == m->n;
        int cut = v != NULL ? made_is_last(m, i, v, t->n + 1) : last || i % 30 == 29;
        CHECK_INT(vd_cmaf_add(c, m->packets[i], &f), 0);
        if (cut) {
            vd_cmaf_segment_t g;
            int64_t next = last ? end : m->packets[i + 1]->pts;
            CHECK_INT(vd_cmaf_cut(c, t->n + 1, next, &g, &f), 0);
            media_buf_init(&t->segments[t->n], 16 << 20);
            media_buf_str(&t->segments[t->n], g.head);
            media_buf_str(&t->segments[t->n++], g.body);
        }
    }
    CHECK_STR(f.detail, "");
    vd_cmaf_close(c);
}

/* A film with two languages. */
static void store_make(store_t *s, const video_t *v, int64_t edit)
{
    made_t *m = calloc(1, sizeof(*m));
    memset(s, 0, sizeof(*s));
    s->writes_left = -1;
    media_buf_init(&s->out, 64 << 20);
    made_video(m, v, 0, SEGMENTS * GOP);
    AVCodecParameters *par = made_par(m);
    vd_cmaf_track_t track = {par, v->time_base.den, edit, NULL};
    store_add(s, m, &track, v, v->pts(SEGMENTS * GOP));
    avcodec_parameters_free(&par);
    made_free(m);
    for (int i = 0; i < 2; i++) {
        made_audio(m, 300 * 1024, BURST + i * 7000);
        par = made_par(m);
        track = (vd_cmaf_track_t){par, 48000, 1024, i == 0 ? "ger" : "eng"};
        store_add(s, m, &track, NULL, 300 * 1024);
        avcodec_parameters_free(&par);
        made_free(m);
    }
    free(m);
}

static int store_join(store_t *s, tc_fail_t *f)
{
    vd_mp4_io_t io = {s, store_read, store_write};
    int64_t n[TRACKS];
    for (int i = 0; i < s->ntracks; i++) {
        n[i] = s->tracks[i].n;
    }
    media_buf_reset(&s->out);
    memset(f, 0, sizeof(*f));
    return vd_mp4_write(&io, n, s->ntracks, f);
}

static void check_file(const video_t *v, int64_t edit)
{
    static track_read_t r[TRACKS];
    static track_read_t parts;
    static store_t s;
    tc_fail_t f;
    media_buf_t film;
    store_make(&s, v, edit);
    CHECK_INT(store_join(&s, &f), 0);
    CHECK_STR(f.detail, "");
    CHECK(s.most <= 256 << 10);
    CHECK_INT(read_back(&s.out, r, TRACKS), TRACKS);
    CHECK_INT(r[0].nframes, SEGMENTS * GOP);
    for (int i = 0; i < r[0].nframes; i++) {
        CHECK_INT(r[0].pts[i], v->pts(i));
    }
    for (int i = 1; i < TRACKS; i++) {
        int at = BURST + (i - 1) * 7000;
        CHECK(r[i].loudest >= at - 1 && r[i].loudest <= at + 1);
        CHECK_STR(r[i].language, i == 1 ? "ger" : "eng");
        CHECK_INT(r[i].npackets, 301);
    }
    /* the same pictures as the segments' */
    media_buf_init(&film, 64 << 20);
    media_buf_str(&film, media_buf_view(&s.tracks[0].init));
    for (int i = 0; i < s.tracks[0].n; i++) {
        media_buf_str(&film, media_buf_view(&s.tracks[0].segments[i]));
    }
    CHECK_INT(read_back(&film, &parts, 1), 1);
    CHECK_INT(r[0].keys, parts.keys);
    CHECK(memcmp(parts.sum, r[0].sum, sizeof(parts.sum)) == 0);
    media_buf_free(&film);
    store_free(&s);
}

static void test_vd_mp4_is_the_film(void)
{
    check_file(&even, 0);
    check_file(&even, 2002);
    check_file(&late, 0);
}

static void test_vd_mp4_index_is_in_front(void)
{
    static store_t s;
    tc_fail_t f;
    store_make(&s, &even, 0);
    CHECK_INT(store_join(&s, &f), 0);
    const uint8_t *p = (const uint8_t *)s.out.p;
    size_t moov = vd_get32(p);
    size_t mdat = moov + vd_get32(p + moov);
    CHECK(memcmp(p + 4, "ftyp", 4) == 0);
    CHECK(memcmp(p + moov + 4, "moov", 4) == 0);
    CHECK(memcmp(p + mdat + 4, "mdat", 4) == 0);
    CHECK_INT(mdat + vd_get32(p + mdat), s.out.len);
    /* sound and picture take turns: the second segment of sound lies before the last of the film */
    vd_bytes_t file = {p + moov, s.out.len - moov};
    vd_bytes_t trak = vd_box_path(file, "moov/trak");
    vd_bytes_t stco = vd_box_path(trak, "mdia/minf/stbl/stco");
    CHECK_INT(vd_get32(stco.p + 4), SEGMENTS);
    vd_bytes_t rest = {trak.p + trak.len, s.out.len - (size_t)(trak.p + trak.len - p)};
    vd_bytes_t sound = vd_box_path(rest, "trak/mdia/minf/stbl/stco");
    CHECK(vd_get32(sound.p + 12) < vd_get32(stco.p + 4 + SEGMENTS * 4));
    store_free(&s);
}

static void test_vd_mp4_refuses_what_does_not_fit(void)
{
    static store_t s;
    tc_fail_t f;
    store_make(&s, &even, 0);
    media_buf_t *g = &s.tracks[0].segments[2];
    uint8_t *p = (uint8_t *)g->p;
    /* a segment is missing: the next does not follow */
    media_buf_t kept = s.tracks[0].segments[1];
    s.tracks[0].segments[1] = *g;
    CHECK_INT(store_join(&s, &f), -1);
    CHECK(strstr(f.detail, "follow") != NULL);
    CHECK_INT(s.out.len, 0);
    s.tracks[0].segments[1] = kept;
    /* cut in its head, and in its data */
    size_t len = g->len;
    g->len = 100;
    CHECK_INT(store_join(&s, &f), -1);
    CHECK_INT(s.out.len, 0);
    g->len = len - 1;
    CHECK_INT(store_join(&s, &f), -1);
    CHECK(strstr(f.detail, "cut off") != NULL);
    g->len = len;
    /* the disk is full */
    s.writes_left = 3;
    CHECK_INT(store_join(&s, &f), -1);
    CHECK_INT(f.retry, 1);
    s.writes_left = -1;
    /* every byte of a head counts: nothing crashes, nothing reads beyond it */
    for (size_t i = 0; i < 200; i++) {
        p[i] ^= 0xff;
        int rc = store_join(&s, &f);
        CHECK(rc == 0 || f.detail[0] != '\0');
        p[i] ^= 0xff;
    }
    media_buf_t *init = &s.tracks[1].init;
    for (size_t i = 0; i < init->len; i++) {
        init->p[i] = (char)(init->p[i] ^ 0xff);
        int rc = store_join(&s, &f);
        CHECK(rc == 0 || f.detail[0] != '\0');
        init->p[i] = (char)(init->p[i] ^ 0xff);
    }
    CHECK_INT(store_join(&s, &f), 0);
    /* too much */
    vd_mp4_io_t io = {&s, store_read, store_write};
    int64_t n[TRACKS] = {1, INT64_MAX, 1};
    memset(&f, 0, sizeof(f));
    CHECK_INT(vd_mp4_write(&io, n, TRACKS, &f), -1);
    CHECK_STR(f.code, "limits");
    memset(&f, 0, sizeof(f));
    CHECK_INT(vd_mp4_write(&io, n, 0, &f), -1);
    store_free(&s);
}

/* ---- a file beyond 4 GiB, whose samples nobody stores ---- */

#define LARGE_SEGMENTS 30
#define LARGE_SAMPLE (150u << 20)

typedef struct {
    media_buf_t init;
    media_buf_t heads[LARGE_SEGMENTS];
    media_buf_t index; /* of the written file, without its data */
    int64_t written;
} large_t;

static ssize_t large_read(void *ctx, int track, int64_t segment, int64_t off, void *dst, size_t len)
{
    large_t *l = ctx;
    (void)track;
    const media_buf_t *b = segment == 0 ? &l->init : &l->heads[segment - 1];
    int64_t end = (int64_t)b->len + (segment == 0 ? 0 : LARGE_SAMPLE);
    size_t n = end - off < (int64_t)len ? (size_t)(end - off) : len;
    if (off < (int64_t)b->len) {
        n = b->len - (size_t)off < n ? b->len - (size_t)off : n;
        memcpy(dst, b->p + off, n);
    }
    return (ssize_t)n;
}

static int large_write(void *ctx, const void *src, size_t len)
{
    large_t *l = ctx;
    if (l->written == 0) {
        media_buf_add(&l->index, src, len);
    }
    l->written += (int64_t)len;
    return 0;
}

/* One sample of LARGE_SAMPLE bytes, `number` seconds from the beginning. */
static void large_head(media_buf_t *b, uint32_t number)
{
    media_buf_init(b, 1000);
    size_t moof = vd_box_open(b, "moof");
    size_t traf = vd_box_open(b, "traf");
    size_t box = vd_box_open_full(b, "tfhd", 0, 0x20008);
    vd_put32(b, 1);
    vd_put32(b, 24000);
    vd_box_close(b, box);
    box = vd_box_open_full(b, "tfdt", 1, 0);
    vd_put64(b, (uint64_t)number * 24000);
    vd_box_close(b, box);
    box = vd_box_open_full(b, "trun", 0, 0x205);
    vd_put32(b, 1);
    size_t offset = b->len;
    vd_put32(b, 0);
    vd_put32(b, 0x02000000);
    vd_put32(b, LARGE_SAMPLE);
    vd_box_close(b, box);
    vd_box_close(b, traf);
    vd_box_close(b, moof);
    vd_patch32(b, offset, (uint32_t)b->len + 8);
    vd_put32(b, LARGE_SAMPLE + 8);
    vd_put_tag(b, "mdat");
}

static void test_vd_mp4_beyond_4_gib(void)
{
    static large_t l;
    static store_t s;
    int64_t n = LARGE_SEGMENTS;
    tc_fail_t f = {0};
    vd_mp4_io_t io = {&l, large_read, large_write};
    store_make(&s, &even, 0);
    media_buf_init(&l.init, 1 << 20);
    media_buf_str(&l.init, media_buf_view(&s.tracks[0].init));
    media_buf_init(&l.index, 1 << 20);
    for (uint32_t i = 0; i < LARGE_SEGMENTS; i++) {
        large_head(&l.heads[i], i);
    }
    CHECK_INT(vd_mp4_write(&io, &n, 1, &f), 0);
    CHECK_STR(f.detail, "");
    int64_t data = (int64_t)LARGE_SEGMENTS * LARGE_SAMPLE;
    int64_t base = (int64_t)l.index.len;
    CHECK_INT(l.written, base + data);
    const uint8_t *mdat = (const uint8_t *)l.index.p + l.index.len - 16;
    CHECK_INT(vd_get32(mdat), 1);
    CHECK_INT(vd_get64(mdat + 8), data + 16);
    vd_bytes_t co64 = vd_box_path((vd_bytes_t){(const uint8_t *)l.index.p, l.index.len - 16},
                                  "moov/trak/mdia/minf/stbl/co64");
    CHECK_INT(co64.len, 8 + LARGE_SEGMENTS * 8);
    if (co64.len == 8 + LARGE_SEGMENTS * 8) {
        CHECK_INT(vd_get64(co64.p + 8), base);
        CHECK_INT(vd_get64(co64.p + co64.len - 8), base + data - LARGE_SAMPLE);
    }
    for (int i = 0; i < LARGE_SEGMENTS; i++) {
        media_buf_free(&l.heads[i]);
    }
    media_buf_free(&l.init);
    media_buf_free(&l.index);
    store_free(&s);
}

int main(void)
{
    av_log_set_level(AV_LOG_ERROR);
    test_vd_mp4_is_the_film();
    test_vd_mp4_index_is_in_front();
    test_vd_mp4_refuses_what_does_not_fit();
    test_vd_mp4_beyond_4_gib();
    return test_report();
}
