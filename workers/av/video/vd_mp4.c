/* ftyp, moov, mdat. Chunks are whole segments, in the order of their times, so that a player reads
 * the file from front to back. Composition offsets become positive (old players know no other), an
 * edit list takes off what that adds; a track that begins later has an empty edit before it. */
#include "vd_mp4.h"

#include <stdlib.h>
#include <string.h>

#include "vd_init.h"
#include "vd_table.h"

#define MOOV_MAX ((size_t)256 << 20)
#define COPY_BUFFER (256 << 10)

typedef struct {
    int track;
    int64_t segment; /* from 0 */
    int64_t at;      /* in the file's data */
} place_t;

typedef struct {
    const vd_mp4_io_t *io;
    vd_table_t *tables;
    int ntracks;
    place_t *places;
    int64_t nplaces;
    int64_t bytes; /* of all data */
    media_buf_t moov;
} mp4_t;

/* ---- where the data goes ---- */

/* a/ascale < b/bscale */
static int earlier(int64_t a, int64_t ascale, int64_t b, int64_t bscale)
{
    return (__int128)a * bscale < (__int128)b * ascale;
}

static int place_chunks(mp4_t *m, int64_t total, tc_fail_t *f)
{
    int64_t next[VD_MP4_TRACKS_MAX] = {0};

    m->places = calloc((size_t)total, sizeof(m->places[0]));
    if (m->places == NULL) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    while (m->nplaces < total) {
        int best = -1;

        for (int i = 0; i < m->ntracks; i++) {
            const vd_table_t *t = &m->tables[i];

            if (next[i] < t->nchunks && (best < 0 || earlier(t->chunks[next[i]].dts, t->timescale,
                                                             m->tables[best].chunks[next[best]].dts,
                                                             m->tables[best].timescale))) {
                best = i;
            }
        }
        m->places[m->nplaces++] = (place_t){best, next[best], m->bytes};
        m->bytes += m->tables[best].chunks[next[best]++].bytes;
    }
    return 0;
}

/* ---- moov ---- */

static void put_ftyp(media_buf_t *b)
{
    size_t box = vd_box_open(b, "ftyp");

    vd_put_tag(b, "isom");
    vd_put32(b, 0x200);
    vd_put_tag(b, "isom");
    vd_put_tag(b, "iso2");
    vd_put_tag(b, "mp41");
    vd_box_close(b, box);
}

static int64_t movie_ticks(const mp4_t *m, const vd_table_t *t, int64_t ticks)
{
    return av_rescale_rnd(ticks, m->tables[0].timescale, t->timescale, AV_ROUND_NEAR_INF);
}

/* Presentation times of a track's first sample, which may lie before 0, and of its end. */
static int64_t present_first(const vd_table_t *t)
{
    return t->first_dts + t->first_offset - t->edit;
}

static int64_t present_end(const vd_table_t *t)
{
    return t->end_dts + t->first_offset - t->edit;
}

static int64_t track_duration(const mp4_t *m, const vd_table_t *t)
{
    return movie_ticks(m, t, present_end(t));
}

static void put_tkhd(const mp4_t *m, int track, int enabled, media_buf_t *b)
{
    const vd_table_t *t = &m->tables[track];
    vd_bytes_t from = vd_box_find(t->trak, "tkhd");
    size_t box = vd_box_open_full(b, "tkhd", 1, enabled ? 3 : 2);

    vd_put_zeros(b, 16);
    vd_put32(b, (uint32_t)track + 1);
    vd_put32(b, 0);
    vd_put64(b, (uint64_t)track_duration(m, t));
    vd_put_zeros(b, 10);
    vd_put16(b, t->video ? 0 : 1); /* alternate_group: one sound at a time */
    /* volume, matrix, width and height: the same bytes */
    (void)media_buf_add(b, from.p + 36, from.len - 36);
    vd_box_close(b, box);
}

static void put_edts(const mp4_t *m, const vd_table_t *t, media_buf_t *b)
{
    int64_t first = present_first(t) > 0 ? present_first(t) : 0;
    size_t edts = vd_box_open(b, "edts");
    size_t elst = vd_box_open_full(b, "elst", 1, 0);

    vd_put32(b, first > 0 ? 2 : 1);
    if (first > 0) {
        vd_put64(b, (uint64_t)movie_ticks(m, t, first));
        vd_put64(b, UINT64_MAX); /* -1: empty */
        vd_put32(b, 0x10000);
    }
    vd_put64(b, (uint64_t)(track_duration(m, t) - movie_ticks(m, t, first)));
    vd_put64(b, (uint64_t)(first + t->edit - t->first_dts - t->least_offset));
    vd_put32(b, 0x10000);
    vd_box_close(b, elst);
    vd_box_close(b, edts);
}

static void put_mdhd(const vd_table_t *t, media_buf_t *b)
{
    vd_bytes_t from = vd_box_path(t->trak, "mdia/mdhd");
    size_t box = vd_box_open_full(b, "mdhd", 1, 0);

    vd_put_zeros(b, 16);
    vd_put32(b, (uint32_t)t->timescale);
    vd_put64(b, (uint64_t)(t->end_dts - t->first_dts));
    (void)media_buf_add(b, from.p + 20, 4); /* language */
    vd_box_close(b, box);
}

static void put_copy(media_buf_t *b, const char *type, vd_bytes_t payload)
{
    size_t box = vd_box_open(b, type);

    (void)media_buf_add(b, payload.p, payload.len);
    vd_box_close(b, box);
}

static void put_runs(media_buf_t *b, const char *type, const vd_runs_t *r, int64_t least)
{
    size_t box = vd_box_open_full(b, type, 0, 0);

    vd_put32(b, r->n);
    for (uint32_t i = 0; i < r->n; i++) {
        const uint8_t *p = (const uint8_t *)r->entries.p + (size_t)i * 8;

        vd_put32(b, vd_get32(p));
        vd_put32(b, (uint32_t)((int64_t)(int32_t)vd_get32(p + 4) - least));
    }
    vd_box_close(b, box);
}

static void put_stsc(const vd_table_t *t, media_buf_t *b)
{
    size_t box = vd_box_open_full(b, "stsc", 0, 0);
    size_t count = b->len;
    uint32_t n = 0;

    vd_put32(b, 0);
    for (int64_t i = 0; i < t->nchunks; i++) {
        if (i == 0 || t->chunks[i].samples != t->chunks[i - 1].samples) {
            vd_put32(b, (uint32_t)i + 1);
            vd_put32(b, (uint32_t)t->chunks[i].samples);
            vd_put32(b, 1);
            n++;
        }
    }
    vd_patch32(b, count, n);
    vd_box_close(b, box);
}

static int is_large(const mp4_t *m)
{
    return m->bytes > (int64_t)UINT32_MAX - (int64_t)MOOV_MAX;
}

/* Chunk offsets; `base` is where the data begins. */
static void put_offsets(const mp4_t *m, int track, int64_t base, media_buf_t *b)
{
    size_t box = vd_box_open_full(b, is_large(m) ? "co64" : "stco", 0, 0);

    vd_put32(b, (uint32_t)m->tables[track].nchunks);
    for (int64_t i = 0; i < m->nplaces; i++) {
        if (m->places[i].track == track && is_large(m)) {
            vd_put64(b, (uint64_t)(base + m->places[i].at));
        } else if (m->places[i].track == track) {
            vd_put32(b, (uint32_t)(base + m->places[i].at));
        }
    }
    vd_box_close(b, box);
}

static void put_stbl(const mp4_t *m, int track, int64_t base, media_buf_t *b)
{
    const vd_table_t *t = &m->tables[track];
    size_t stbl = vd_box_open(b, "stbl");
    size_t box;

    put_copy(b, "stsd", t->stsd);
    put_runs(b, "stts", &t->durations, 0);
    if (t->offsets.n > 1 || t->first_offset != t->least_offset) {
        put_runs(b, "ctts", &t->offsets, t->least_offset);
    }
    if (t->nsync < t->nsamples) {
        box = vd_box_open_full(b, "stss", 0, 0);
        vd_put32(b, t->nsync);
        (void)media_buf_str(b, media_buf_view(&t->sync));
        vd_box_close(b, box);
    }
    put_stsc(t, b);
    box = vd_box_open_full(b, "stsz", 0, 0);
    vd_put32(b, 0);
    vd_put32(b, t->nsamples);
    (void)media_buf_str(b, media_buf_view(&t->sizes));
    vd_box_close(b, box);
    put_offsets(m, track, base, b);
    vd_box_close(b, stbl);
}

static void put_trak(const mp4_t *m, int track, int enabled, int64_t base, media_buf_t *b)
{
    static const char *const copied[] = {"vmhd", "smhd", "dinf"};
    const vd_table_t *t = &m->tables[track];
    vd_bytes_t from = vd_box_path(t->trak, "mdia/minf");
    size_t trak = vd_box_open(b, "trak");

    put_tkhd(m, track, enabled, b);
    put_edts(m, t, b);
    size_t mdia = vd_box_open(b, "mdia");

    put_mdhd(t, b);
    put_copy(b, "hdlr", vd_box_path(t->trak, "mdia/hdlr"));
    size_t minf = vd_box_open(b, "minf");

    for (int i = 0; i < 3; i++) {
        vd_bytes_t box = vd_box_find(from, copied[i]);

        if (box.p != NULL) {
            put_copy(b, copied[i], box);
        }
    }
    put_stbl(m, track, base, b);
    vd_box_close(b, minf);
    vd_box_close(b, mdia);
    vd_box_close(b, trak);
}

/* ftyp, moov and the mdat's header, for data that begins at `base`. */
static void put_head(mp4_t *m, int64_t base)
{
    media_buf_t *b = &m->moov;
    int64_t duration = 0;
    int sounds = 0;

    for (int i = 0; i < m->ntracks; i++) {
        int64_t d = track_duration(m, &m->tables[i]);

        duration = d > duration ? d : duration;
    }
    media_buf_reset(b);
    put_ftyp(b);
    size_t moov = vd_box_open(b, "moov");

    vd_mvhd_put(b, m->tables[0].timescale, (uint64_t)duration, (uint32_t)m->ntracks + 1);
    for (int i = 0; i < m->ntracks; i++) {
        sounds += !m->tables[i].video;
        put_trak(m, i, m->tables[i].video || sounds == 1, base, b);
    }
    vd_box_close(b, moov);
    if (is_large(m)) {
        vd_put32(b, 1);
        vd_put_tag(b, "mdat");
        vd_put64(b, (uint64_t)m->bytes + 16);
    } else {
        vd_put32(b, (uint32_t)m->bytes + 8);
        vd_put_tag(b, "mdat");
    }
}

/* ---- writing ---- */

static int write_out(const mp4_t *m, const void *src, size_t len, tc_fail_t *f)
{
    return m->io->write(m->io->ctx, src, len) == 0
               ? 0
               : tc_fail(f, "internal", "The file cannot be written.");
}

static int copy_chunk(const mp4_t *m, const place_t *place, void *buffer, tc_fail_t *f)
{
    const vd_chunk_t *c = &m->tables[place->track].chunks[place->segment];

    for (int64_t done = 0; done < c->bytes;) {
        int64_t left = c->bytes - done;
        size_t len = left < COPY_BUFFER ? (size_t)left : COPY_BUFFER;
        ssize_t n = m->io->read(m->io->ctx, place->track, place->segment + 1, c->payload + done,
                                buffer, len);

        if (n <= 0 || (size_t)n > len) {
            return tc_fail(f, "internal", "A stored segment is cut off.");
        }
        if (write_out(m, buffer, (size_t)n, f) != 0) {
            return -1;
        }
        done += n;
    }
    return 0;
}

static int write_file(mp4_t *m, tc_fail_t *f)
{
    void *buffer = malloc(COPY_BUFFER);
    int rc = -1;

    if (buffer == NULL) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    put_head(m, 0);
    put_head(m, (int64_t)m->moov.len); /* its length does not depend on what it says */
    if (m->moov.failed) {
        (void)tc_fail(f, "limits", "The file's index is too long.");
        goto done;
    }
    if (write_out(m, m->moov.p, m->moov.len, f) != 0) {
        goto done;
    }
    for (int64_t i = 0; i < m->nplaces; i++) {
        if (copy_chunk(m, &m->places[i], buffer, f) != 0) {
            goto done;
        }
    }
    rc = 0;
done:
    free(buffer);
    return rc;
}

int vd_mp4_write(const vd_mp4_io_t *io, const int64_t *nsegments, int ntracks, tc_fail_t *f)
{
    mp4_t m = {.io = io};
    int64_t segments = 0;
    int64_t samples = 0;
    int rc = -1;

    if (ntracks < 1 || ntracks > VD_MP4_TRACKS_MAX) {
        return tc_fail(f, "limits", "A file of %d tracks cannot be made.", ntracks);
    }
    for (int i = 0; i < ntracks; i++) {
        if (nsegments[i] < 1 || nsegments[i] > VD_MP4_SEGMENTS_MAX - segments) {
            return tc_fail(f, "limits", "The file would have no segments or more than %d.",
                           VD_MP4_SEGMENTS_MAX);
        }
        segments += nsegments[i];
    }
    media_buf_init(&m.moov, MOOV_MAX);
    m.tables = calloc((size_t)ntracks, sizeof(m.tables[0]));
    if (m.tables == NULL) {
        (void)tc_fail_av(f, AVERROR(ENOMEM), "");
        goto done;
    }
    for (m.ntracks = 0; m.ntracks < ntracks;) {
        vd_table_t *t = &m.tables[m.ntracks++];

        if (vd_table_read(t, io, m.ntracks - 1, nsegments[m.ntracks - 1], f) != 0) {
            goto done;
        }
        samples += t->nsamples;
        if (samples > VD_MP4_SAMPLES_MAX) {
            (void)tc_fail(f, "limits", "The file would have more than %d frames.",
                          VD_MP4_SAMPLES_MAX);
            goto done;
        }
    }
    rc = place_chunks(&m, segments, f) != 0 ? -1 : write_file(&m, f);
done:
    for (int i = 0; i < m.ntracks; i++) {
        vd_table_free(&m.tables[i]);
    }
    free(m.tables);
    free(m.places);
    media_buf_free(&m.moov);
    return rc;
}
