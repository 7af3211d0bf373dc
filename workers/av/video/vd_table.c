/* Segments of our own making, read as strictly as anybody's: what does not fit together is refused
 * before a byte of the file is written. */
#include "vd_table.h"

#include <stdlib.h>
#include <string.h>

#include "media/err.h"

#define INIT_MAX (256 << 10)
#define HEAD_FIRST 4096 /* most heads fit */
#define HEAD_MAX (1 << 20)
#define TABLE_MAX ((size_t)VD_MP4_SAMPLES_MAX * 8)

enum {
    TFHD_BASE_OFFSET = 0x1,
    TFHD_ENTRY = 0x2,
    TFHD_DURATION = 0x8,
    TFHD_SIZE = 0x10,
    TFHD_FLAGS = 0x20,
    TRUN_OFFSET = 0x1,
    TRUN_FIRST_FLAGS = 0x4,
    TRUN_DURATION = 0x100,
    TRUN_SIZE = 0x200,
    TRUN_FLAGS = 0x400,
    TRUN_CTS = 0x800,
    SAMPLE_IS_NON_SYNC = 0x10000
};

static int broken(tc_fail_t *f, const char *what)
{
    return tc_fail(f, "internal", "A stored segment is broken: %s.", what);
}

/* ---- reading ---- */

/* `want` bytes from the beginning of a segment; fewer at its end. */
static int read_head(const vd_mp4_io_t *io, int track, int64_t segment, size_t want,
                     media_buf_t *out, tc_fail_t *f)
{
    uint8_t part[HEAD_FIRST];

    while (out->len < want) {
        size_t len = want - out->len < sizeof(part) ? want - out->len : sizeof(part);
        ssize_t n = io->read(io->ctx, track, segment, (int64_t)out->len, part, len);

        if (n < 0 || (size_t)n > len) {
            return tc_fail(f, "internal", "A stored segment cannot be read.");
        }
        if (n == 0) {
            break;
        }
        (void)media_buf_add(out, part, (size_t)n);
    }
    return out->failed ? tc_fail(f, "limits", "A stored segment's head is too long.") : 0;
}

static vd_bytes_t view(const media_buf_t *b)
{
    return (vd_bytes_t){(const uint8_t *)b->p, b->len};
}

static int read_init(vd_table_t *t, const vd_mp4_io_t *io, int track, tc_fail_t *f)
{
    if (read_head(io, track, 0, INIT_MAX, &t->init, f) != 0) {
        return -1;
    }
    vd_bytes_t moov = vd_box_find(view(&t->init), "moov");

    t->trak = vd_box_find(moov, "trak");
    t->stsd = vd_box_path(t->trak, "mdia/minf/stbl/stsd");
    vd_bytes_t mdhd = vd_box_path(t->trak, "mdia/mdhd");
    vd_bytes_t hdlr = vd_box_path(t->trak, "mdia/hdlr");
    vd_bytes_t tkhd = vd_box_find(t->trak, "tkhd");
    vd_bytes_t trex = vd_box_path(moov, "mvex/trex");
    vd_bytes_t elst = vd_box_path(t->trak, "edts/elst");

    if (t->stsd.p == NULL || mdhd.len != 24 || mdhd.p[0] != 0 || hdlr.len < 12 || tkhd.len != 84 ||
        trex.len != 24 || (elst.p != NULL && (elst.len != 20 || elst.p[0] != 0))) {
        return broken(f, "its init segment");
    }
    t->timescale = vd_get32(mdhd.p + 12);
    t->video = memcmp(hdlr.p + 8, "vide", 4) == 0;
    t->default_flags = vd_get32(trex.p + 20);
    t->edit = elst.p != NULL ? vd_get32(elst.p + 12) : 0;
    return t->timescale > 0 && t->edit <= INT32_MAX ? 0 : broken(f, "its times");
}

/* ---- tables ---- */

static void runs_flush(vd_runs_t *r)
{
    if (r->run > 0) {
        vd_put32(&r->entries, r->run);
        vd_put32(&r->entries, r->value);
        r->n++;
        r->run = 0;
    }
}

static void runs_add(vd_runs_t *r, uint32_t value)
{
    if (r->run > 0 && r->value != value) {
        runs_flush(r);
    }
    r->value = value;
    r->run++;
}

typedef struct {
    uint32_t duration; /* defaults of the fragment */
    uint32_t size;
    uint32_t flags;
} defaults_t;

static int read_tfhd(const vd_table_t *t, vd_bytes_t tfhd, defaults_t *d)
{
    if (tfhd.len < 8) {
        return -1;
    }
    uint32_t flags = vd_get32(tfhd.p) & 0xffffff;
    size_t at = 8 + (flags & TFHD_BASE_OFFSET ? 8 : 0) + (flags & TFHD_ENTRY ? 4 : 0);

    *d = (defaults_t){0, 0, t->default_flags};
    uint32_t *const values[] = {&d->duration, &d->size, &d->flags};

    for (int i = 0; i < 3; i++) {
        if (flags & (uint32_t)TFHD_DURATION << i) {
            if (tfhd.len < at + 4) {
                return -1;
            }
            *values[i] = vd_get32(tfhd.p + at);
            at += 4;
        }
    }
    return 0;
}

/* One sample of a trun; `p` holds what `flags` say. */
static void take_sample(vd_table_t *t, const uint8_t *p, uint32_t flags, defaults_t d,
                        vd_chunk_t *c)
{
    int32_t offset = 0;

    if (flags & TRUN_DURATION) {
        d.duration = vd_get32(p);
        p += 4;
    }
    if (flags & TRUN_SIZE) {
        d.size = vd_get32(p);
        p += 4;
    }
    if (flags & TRUN_FLAGS) {
        d.flags = vd_get32(p);
        p += 4;
    }
    if (flags & TRUN_CTS) {
        offset = (int32_t)vd_get32(p);
    }
    t->first_offset = t->nsamples == 0 ? offset : t->first_offset;
    t->least_offset = offset < t->least_offset ? offset : t->least_offset;
    t->nsamples++;
    vd_put32(&t->sizes, d.size);
    runs_add(&t->durations, d.duration);
    runs_add(&t->offsets, (uint32_t)offset);
    if ((d.flags & SAMPLE_IS_NON_SYNC) == 0) {
        vd_put32(&t->sync, t->nsamples);
        t->nsync++;
    }
    t->end_dts += d.duration;
    c->bytes += d.size;
    c->samples++;
}

static int take_samples(vd_table_t *t, vd_bytes_t trun, const defaults_t *d, vd_chunk_t *c,
                        tc_fail_t *f)
{
    uint32_t flags = vd_get32(trun.p) & 0xffffff;
    uint32_t n = vd_get32(trun.p + 4);
    size_t at = 12;
    defaults_t first = *d;
    size_t each = 0;

    for (uint32_t bit = TRUN_DURATION; bit <= TRUN_CTS; bit <<= 1) {
        each += flags & bit ? 4 : 0;
    }
    if (flags & TRUN_FIRST_FLAGS) {
        if (trun.len < 16) {
            return broken(f, "trun");
        }
        first.flags = vd_get32(trun.p + 12);
        at = 16;
    }
    if (n == 0 || (trun.len - at) != (size_t)n * each) {
        return broken(f, "trun");
    }
    if (t->nsamples + n > VD_MP4_SAMPLES_MAX) {
        return tc_fail(f, "limits", "The file would have more than %d frames.", VD_MP4_SAMPLES_MAX);
    }
    for (uint32_t i = 0; i < n; i++) {
        take_sample(t, trun.p + at + i * each, flags, i == 0 ? first : *d, c);
    }
    return 0;
}

/* The moof of one segment, which stands at `moof_at` and has `moof_size` bytes with its header. */
static int take_moof(vd_table_t *t, vd_bytes_t moof, size_t moof_size, vd_chunk_t *c, tc_fail_t *f)
{
    vd_bytes_t traf = vd_box_find(moof, "traf");
    vd_bytes_t tfhd = vd_box_find(traf, "tfhd");
    vd_bytes_t tfdt = vd_box_find(traf, "tfdt");
    vd_bytes_t trun = vd_box_find(traf, "trun");
    defaults_t d;

    if (read_tfhd(t, tfhd, &d) != 0 || tfdt.len != 12 || tfdt.p[0] != 1 || trun.len < 12 ||
        (vd_get32(trun.p) & TRUN_OFFSET) == 0 || vd_get32(trun.p + 8) != moof_size + 8) {
        return broken(f, "moof");
    }
    uint64_t dts = vd_get64(tfdt.p + 4);

    if (dts > INT64_MAX / 4) {
        return broken(f, "tfdt");
    }
    c->dts = (int64_t)dts;
    if (t->nchunks == 0) {
        t->first_dts = t->end_dts = c->dts;
    } else if (c->dts != t->end_dts) {
        return tc_fail(f, "internal", "A stored segment does not follow the one before it.");
    }
    return take_samples(t, trun, &d, c, f);
}

/* Where the boxes of a head are; styp or others may stand before the moof. 1: more is needed. */
static int find_moof(vd_bytes_t head, size_t *at, size_t *size, size_t *need)
{
    *at = 0;
    for (;;) {
        if (head.len - *at < 8) {
            *need = *at + 8;
            return 1;
        }
        *size = vd_get32(head.p + *at);
        if (*size < 8 || *size > HEAD_MAX) {
            return -1;
        }
        if (memcmp(head.p + *at + 4, "moof", 4) == 0) {
            *need = *at + *size + 8;
            return head.len < *need;
        }
        *at += *size;
        if (*at > head.len) {
            *need = *at + 8;
            return 1;
        }
    }
}

static int take_segment(vd_table_t *t, const vd_mp4_io_t *io, int track, int64_t number,
                        media_buf_t *head, tc_fail_t *f)
{
    vd_chunk_t *c = &t->chunks[t->nchunks];
    size_t at;
    size_t size;
    size_t need = HEAD_FIRST;
    int more;

    media_buf_reset(head);
    do {
        size_t before = head->len;

        if (read_head(io, track, number, need, head, f) != 0) {
            return -1;
        }
        more = find_moof(view(head), &at, &size, &need);
        if (more < 0 || (more > 0 && head->len == before)) {
            return broken(f, "it has no moof");
        }
    } while (more > 0);
    const uint8_t *p = (const uint8_t *)head->p + at;

    *c = (vd_chunk_t){.payload = (int64_t)(at + size + 8)};
    if (memcmp(p + size + 4, "mdat", 4) != 0 ||
        take_moof(t, (vd_bytes_t){p + 8, size - 8}, size, c, f) != 0) {
        return broken(f, "mdat");
    }
    if ((int64_t)vd_get32(p + size) != c->bytes + 8) {
        return broken(f, "its samples are not its data");
    }
    t->nchunks++;
    return 0;
}

int vd_table_read(vd_table_t *t, const vd_mp4_io_t *io, int track, int64_t nsegments, tc_fail_t *f)
{
    media_buf_t head;
    int rc = -1;

    memset(t, 0, sizeof(*t));
    media_buf_init(&t->init, INIT_MAX);
    media_buf_init(&t->sizes, TABLE_MAX);
    media_buf_init(&t->sync, TABLE_MAX);
    media_buf_init(&t->durations.entries, TABLE_MAX);
    media_buf_init(&t->offsets.entries, TABLE_MAX);
    media_buf_init(&head, HEAD_MAX);
    t->chunks = calloc((size_t)nsegments, sizeof(t->chunks[0]));
    if (t->chunks == NULL) {
        rc = tc_fail_av(f, AVERROR(ENOMEM), "");
        goto done;
    }
    if (read_init(t, io, track, f) != 0) {
        goto done;
    }
    for (int64_t i = 0; i < nsegments; i++) {
        if (take_segment(t, io, track, i + 1, &head, f) != 0) {
            goto done;
        }
    }
    runs_flush(&t->durations);
    runs_flush(&t->offsets);
    if (t->end_dts + t->first_offset <= t->edit) {
        rc = broken(f, "nothing of it is shown");
        goto done;
    }
    rc = t->sizes.failed || t->sync.failed || t->durations.entries.failed ||
                 t->offsets.entries.failed
             ? tc_fail(f, "limits", "The file's index is too long.")
             : 0;
done:
    media_buf_free(&head);
    return rc;
}

void vd_table_free(vd_table_t *t)
{
    media_buf_free(&t->init);
    media_buf_free(&t->sizes);
    media_buf_free(&t->sync);
    media_buf_free(&t->durations.entries);
    media_buf_free(&t->offsets.entries);
    free(t->chunks);
    t->chunks = NULL;
}
