/* The video index: whatever is read obeys the rules and survives being written and read again. */
#include "fuzz.h"

#include "media/vindex.h"

static void same(const media_vindex_t *a, const media_vindex_t *b)
{
#define X(name, min, max) MUST(a->name == b->name);
    MEDIA_VINDEX_NUMBERS(X)
#undef X
    MUST(strcmp(a->container, b->container) == 0 && strcmp(a->codec, b->codec) == 0 &&
         strcmp(a->pix_fmt, b->pix_fmt) == 0);
    MUST(a->extradata_len == b->extradata_len && a->npackets == b->npackets &&
         a->nframes == b->nframes);
    MUST(a->extradata_len == 0 || memcmp(a->extradata, b->extradata, a->extradata_len) == 0);
    for (uint32_t i = 0; i < a->npackets; i++) {
        const media_vindex_packet_t *p = &a->packets[i], *q = &b->packets[i];
        MUST(p->pts == q->pts && p->dts == q->dts && p->pos == q->pos && p->size == q->size &&
             p->flags == q->flags && p->frame == q->frame);
    }
    for (uint32_t i = 0; i < a->nframes; i++) {
        MUST(a->frames[i].pts == b->frames[i].pts && a->frames[i].packet == b->frames[i].packet);
        MUST(a->packets[a->frames[i].packet].frame == i);
        MUST(media_vindex_frame_end(a, i) > a->frames[i].pts);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    media_vindex_t v, again;
    media_buf_t buf;

    if (media_vindex_read(data, size, &v, NULL) != 0) {
        return 0;
    }
    media_buf_init(&buf, 1 << 26);
    MUST(media_vindex_write(&v, &buf, NULL) == 0);
    MUST(media_vindex_read(buf.p, buf.len, &again, NULL) == 0);
    same(&v, &again);
    media_vindex_free(&again);
    media_vindex_free(&v);
    media_buf_free(&buf);
    return 0;
}
