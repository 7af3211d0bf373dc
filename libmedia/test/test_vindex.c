/* The video index written and read; every cut and many a changed byte of it refused or harmless. */
#include "test.h"

#include "media/vindex.h"

/* Twelve packets of three, shown in the order 0 2 1; the first two are decoded only. */
static void fill(media_vindex_t *v)
{
    static const uint8_t extra[] = {1, 0x64, 0, 0x1f, 0xff};
    static const int order[3] = {0, 2, 1};

    memset(v, 0, sizeof(*v));
    v->file_size = 100000;
    v->tb_num = v->sar_den = 1;
    v->tb_den = 12800;
    v->width = 1280;
    v->height = 720;
    v->profile = -99;
    v->plain = 1;
    memcpy(v->container, "mov,mp4", 8);
    memcpy(v->codec, "h264", 5);
    memcpy(v->pix_fmt, "yuv420p", 8);
    v->extradata = malloc(sizeof(extra));
    memcpy(v->extradata, extra, sizeof(extra));
    v->extradata_len = sizeof(extra);
    v->npackets = 12;
    v->packets = calloc(v->npackets, sizeof(*v->packets));
    v->frames = calloc(v->npackets, sizeof(*v->frames));
    for (uint32_t i = 0; i < v->npackets; i++) {
        media_vindex_packet_t *p = &v->packets[i];
        p->dts = 512 * ((int64_t)i - 3);
        p->pts = 512 * ((int64_t)(i - i % 3) + order[i % 3] - 2);
        p->pos = 48 + 1000 * (int64_t)i;
        p->size = 900 + i;
        p->flags = i % 6 == 0 ? MEDIA_VINDEX_KEY : 0;
        p->frame = MEDIA_VINDEX_NO_FRAME;
    }
    v->packets[0].flags |= MEDIA_VINDEX_DISCARD;
    v->packets[2].flags |= MEDIA_VINDEX_DISCARD;
    for (uint32_t i = 2; i < v->npackets; i++) {
        uint32_t packet = i - i % 3 + (uint32_t)order[i % 3];
        v->frames[v->nframes].pts = v->packets[packet].pts;
        v->frames[v->nframes].packet = packet;
        v->packets[packet].frame = v->nframes++;
    }
    v->end = v->frames[v->nframes - 1].pts + 512;
}

static void serialize(const media_vindex_t *v, media_buf_t *buf)
{
    media_buf_init(buf, 1 << 20);
    CHECK_INT(media_vindex_write(v, buf, NULL), 0);
}

static void test_vindex_round_trip_keeps_everything(void)
{
    media_vindex_t v, w;
    media_buf_t buf;

    fill(&v);
    serialize(&v, &buf);
    CHECK(buf.len < 250);
    CHECK_INT(media_vindex_read(buf.p, buf.len, &w, NULL), 0);
#define X(name, min, max) CHECK_INT(w.name, v.name);
    MEDIA_VINDEX_NUMBERS(X)
#undef X
    CHECK_STR(w.container, v.container);
    CHECK_STR(w.codec, v.codec);
    CHECK_STR(w.pix_fmt, v.pix_fmt);
    CHECK_INT(w.extradata_len, v.extradata_len);
    CHECK(memcmp(w.extradata, v.extradata, v.extradata_len) == 0);
    CHECK_INT(w.npackets, v.npackets);
    CHECK(memcmp(w.packets, v.packets, v.npackets * sizeof(*v.packets)) == 0);
    CHECK_INT(w.nframes, 10);
    for (uint32_t i = 0; i < w.nframes; i++) {
        CHECK_INT(w.frames[i].pts, v.frames[i].pts);
        CHECK_INT(w.frames[i].packet, v.frames[i].packet);
    }
    CHECK_INT(media_vindex_frame_end(&w, 0), w.frames[1].pts);
    CHECK_INT(media_vindex_frame_end(&w, 9), w.end);
    media_vindex_free(&v);
    media_vindex_free(&w);
    media_buf_free(&buf);
}

static void test_vindex_cut_anywhere_is_refused(void)
{
    media_vindex_t v, w;
    media_buf_t buf;
    char *copy;

    fill(&v);
    serialize(&v, &buf);
    for (size_t n = 0; n < buf.len; n++) {
        copy = malloc(n + 1); /* exact but for the +1 that malloc(0) would need */
        memcpy(copy, buf.p, n);
        CHECK_INT(media_vindex_read(copy, n, &w, NULL), MEDIA_E_REJECT);
        free(copy);
    }
    CHECK_INT(media_buf_add(&buf, "", 1), 0);
    CHECK_INT(media_vindex_read(buf.p, buf.len, &w, NULL), MEDIA_E_REJECT);
    media_vindex_free(&v);
    media_buf_free(&buf);
}

static void test_vindex_changed_bytes_never_break_a_rule(void)
{
    media_vindex_t v, w;
    media_buf_t buf, again;

    fill(&v);
    serialize(&v, &buf);
    for (size_t n = 0; n < buf.len; n++) {
        char old = buf.p[n];
        for (int x = 1; x < 256; x++) {
            buf.p[n] = (char)(old ^ x);
            if (media_vindex_read(buf.p, buf.len, &w, NULL) == 0) {
                serialize(&w, &again);
                media_buf_free(&again);
                media_vindex_free(&w);
            }
        }
        buf.p[n] = old;
    }
    media_vindex_free(&v);
    media_buf_free(&buf);
}

static void expect_bug(media_vindex_t *v)
{
    media_buf_t buf;

    media_buf_init(&buf, 1 << 20);
    CHECK_INT(media_vindex_write(v, &buf, NULL), MEDIA_E_BUG);
    media_buf_free(&buf);
    media_vindex_free(v);
}

static void test_vindex_write_refuses_broken_rules(void)
{
    media_vindex_t v;

    fill(&v);
    v.frames[4].pts = v.frames[3].pts;
    expect_bug(&v);
    fill(&v);
    v.packets[11].size = 100000;
    expect_bug(&v);
    fill(&v);
    v.tb_den = 0;
    expect_bug(&v);
    fill(&v);
    v.end = v.frames[9].pts;
    expect_bug(&v);
}

static void test_vindex_claimed_counts_cost_no_memory(void)
{
    static const char head[] = "MVX1";
    char doc[64] = {0};
    media_vindex_t w;

    memcpy(doc, head, 4);
    memset(doc + 8, 0x02, 24); /* every number 1 */
    memset(doc + 32, 0xff, 3); /* two million packets in no bytes */
    CHECK_INT(media_vindex_read(doc, sizeof(doc), &w, NULL), MEDIA_E_REJECT);
}

int main(void)
{
    test_vindex_round_trip_keeps_everything();
    test_vindex_cut_anywhere_is_refused();
    test_vindex_changed_bytes_never_break_a_rule();
    test_vindex_write_refuses_broken_rules();
    test_vindex_claimed_counts_cost_no_memory();
    return test_report();
}
