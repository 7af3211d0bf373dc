/* ftyp and moov of one track. No times of creation, no names of encoders: the same parameters give
 * the same bytes. */
#include "vd_init.h"

static int is_video(const vd_cmaf_track_t *t)
{
    return t->par->codec_type == AVMEDIA_TYPE_VIDEO;
}

static void put_matrix(media_buf_t *b)
{
    static const uint32_t unity[9] = {0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000};

    for (int i = 0; i < 9; i++) {
        vd_put32(b, unity[i]);
    }
}

static void put_ftyp(const vd_cmaf_track_t *t, media_buf_t *b)
{
    size_t box = vd_box_open(b, "ftyp");

    vd_put_tag(b, "iso6");
    vd_put32(b, 0);
    vd_put_tag(b, "iso6");
    vd_put_tag(b, "cmfc");
    if (is_video(t) && t->edit == 0) {
        vd_put_tag(b, "cmf2");
    }
    vd_box_close(b, box);
}

void vd_mvhd_put(media_buf_t *b, int64_t timescale, uint64_t duration, uint32_t next_track)
{
    size_t box = vd_box_open_full(b, "mvhd", 1, 0);

    vd_put_zeros(b, 16); /* times of creation and modification */
    vd_put32(b, (uint32_t)timescale);
    vd_put64(b, duration);
    vd_put32(b, 0x10000); /* rate 1.0 */
    vd_put16(b, 0x100);   /* volume 1.0 */
    vd_put_zeros(b, 10);
    put_matrix(b);
    vd_put_zeros(b, 24);
    vd_put32(b, next_track);
    vd_box_close(b, box);
}

static void put_tkhd(const vd_cmaf_track_t *t, media_buf_t *b)
{
    AVRational sar = t->par->sample_aspect_ratio;
    size_t box = vd_box_open_full(b, "tkhd", 0, 3); /* enabled, in the movie */
    int64_t width = (int64_t)t->par->width << 16;

    if (sar.num > 0 && sar.den > 0) {
        width = av_rescale(width, sar.num, sar.den);
    }
    vd_put_zeros(b, 8);
    vd_put32(b, 1); /* track_ID */
    vd_put_zeros(b, 8);
    vd_put_zeros(b, 8);
    vd_put32(b, 0); /* layer, group */
    vd_put16(b, is_video(t) ? 0 : 0x100);
    vd_put16(b, 0);
    put_matrix(b);
    vd_put32(b, is_video(t) ? (uint32_t)width : 0);
    vd_put32(b, is_video(t) ? (uint32_t)t->par->height << 16 : 0);
    vd_box_close(b, box);
}

/* Duration 0: all of a fragmented track (14496-12 8.6.6.1). */
static void put_edts(const vd_cmaf_track_t *t, media_buf_t *b)
{
    if (t->edit == 0) {
        return;
    }
    size_t edts = vd_box_open(b, "edts");
    size_t elst = vd_box_open_full(b, "elst", 0, 0);

    vd_put32(b, 1);
    vd_put32(b, 0);
    vd_put32(b, (uint32_t)t->edit);
    vd_put32(b, 0x10000);
    vd_box_close(b, elst);
    vd_box_close(b, edts);
}

static void put_mdhd(const vd_cmaf_track_t *t, media_buf_t *b)
{
    const char *lang = t->language != NULL ? t->language : "und";
    size_t box = vd_box_open_full(b, "mdhd", 0, 0);

    vd_put_zeros(b, 8);
    vd_put32(b, (uint32_t)t->timescale);
    vd_put32(b, 0);
    vd_put16(b, (unsigned)((lang[0] - 0x60) << 10 | (lang[1] - 0x60) << 5 | (lang[2] - 0x60)));
    vd_put16(b, 0);
    vd_box_close(b, box);
}

static void put_hdlr(const vd_cmaf_track_t *t, media_buf_t *b)
{
    size_t box = vd_box_open_full(b, "hdlr", 0, 0);

    vd_put32(b, 0);
    vd_put_tag(b, is_video(t) ? "vide" : "soun");
    vd_put_zeros(b, 12);
    vd_put8(b, 0); /* an empty name */
    vd_box_close(b, box);
}

static void put_media_header(const vd_cmaf_track_t *t, media_buf_t *b)
{
    size_t box;

    if (is_video(t)) {
        box = vd_box_open_full(b, "vmhd", 0, 1);
        vd_put_zeros(b, 8);
    } else {
        box = vd_box_open_full(b, "smhd", 0, 0);
        vd_put_zeros(b, 4);
    }
    vd_box_close(b, box);
}

static void put_dinf(media_buf_t *b)
{
    size_t dinf = vd_box_open(b, "dinf");
    size_t dref = vd_box_open_full(b, "dref", 0, 0);

    vd_put32(b, 1);
    vd_box_close(b, vd_box_open_full(b, "url ", 0, 1)); /* in this file */
    vd_box_close(b, dref);
    vd_box_close(b, dinf);
}

static void put_colour(const AVCodecParameters *par, media_buf_t *b)
{
    if (par->color_primaries == AVCOL_PRI_UNSPECIFIED && par->color_trc == AVCOL_TRC_UNSPECIFIED &&
        par->color_space == AVCOL_SPC_UNSPECIFIED) {
        return;
    }
    size_t box = vd_box_open(b, "colr");

    vd_put_tag(b, "nclx");
    vd_put16(b, (unsigned)par->color_primaries);
    vd_put16(b, (unsigned)par->color_trc);
    vd_put16(b, (unsigned)par->color_space);
    vd_put8(b, par->color_range == AVCOL_RANGE_JPEG ? 0x80 : 0);
    vd_box_close(b, box);
}

static void put_visual_entry(const vd_cmaf_track_t *t, vd_bytes_t config, media_buf_t *b)
{
    int hevc = t->par->codec_id == AV_CODEC_ID_HEVC;
    AVRational sar = t->par->sample_aspect_ratio;
    size_t entry = vd_box_open(b, hevc ? "hvc1" : "avc1");

    vd_put_zeros(b, 6);
    vd_put16(b, 1); /* data_reference_index */
    vd_put_zeros(b, 16);
    vd_put16(b, (unsigned)t->par->width);
    vd_put16(b, (unsigned)t->par->height);
    vd_put32(b, 0x480000); /* 72 dpi */
    vd_put32(b, 0x480000);
    vd_put32(b, 0);
    vd_put16(b, 1);      /* frame_count */
    vd_put_zeros(b, 32); /* compressorname */
    vd_put16(b, 0x18);
    vd_put16(b, 0xffff);
    size_t record = vd_box_open(b, hevc ? "hvcC" : "avcC");

    (void)media_buf_add(b, config.p, config.len);
    vd_box_close(b, record);
    put_colour(t->par, b);
    if (sar.num > 0 && sar.den > 0 && sar.num != sar.den) {
        size_t pasp = vd_box_open(b, "pasp");

        vd_put32(b, (uint32_t)sar.num);
        vd_put32(b, (uint32_t)sar.den);
        vd_box_close(b, pasp);
    }
    vd_box_close(b, entry);
}

/* Tag and length of a descriptor (14496-1 8.3.3); lengths here are below 128. */
static void put_descriptor(media_buf_t *b, unsigned tag, size_t len)
{
    vd_put8(b, tag);
    vd_put8(b, (unsigned)len);
}

static void put_esds(vd_bytes_t config, media_buf_t *b)
{
    size_t box = vd_box_open_full(b, "esds", 0, 0);

    put_descriptor(b, 3, 3 + 2 + 13 + 2 + config.len + 3);
    vd_put16(b, 0); /* ES_ID */
    vd_put8(b, 0);
    put_descriptor(b, 4, 13 + 2 + config.len);
    vd_put8(b, 0x40); /* MPEG-4 audio */
    vd_put8(b, 0x15); /* an audio stream */
    vd_put_zeros(b, 11);
    put_descriptor(b, 5, config.len);
    (void)media_buf_add(b, config.p, config.len);
    put_descriptor(b, 6, 1);
    vd_put8(b, 2);
    vd_box_close(b, box);
}

static void put_audio_entry(const vd_cmaf_track_t *t, vd_bytes_t config, media_buf_t *b)
{
    int rate = t->par->sample_rate;
    size_t entry = vd_box_open(b, "mp4a");

    vd_put_zeros(b, 6);
    vd_put16(b, 1);
    vd_put_zeros(b, 8);
    vd_put16(b, (unsigned)t->par->ch_layout.nb_channels);
    vd_put16(b, 16);
    vd_put32(b, 0);
    vd_put32(b, rate <= UINT16_MAX ? (uint32_t)rate << 16 : 0);
    put_esds(config, b);
    vd_box_close(b, entry);
}

static void put_stbl(const vd_cmaf_track_t *t, vd_bytes_t config, media_buf_t *b)
{
    static const char *const empty[] = {"stts", "stsc", "stsz", "stco"};
    size_t stbl = vd_box_open(b, "stbl");
    size_t stsd = vd_box_open_full(b, "stsd", 0, 0);

    vd_put32(b, 1);
    if (is_video(t)) {
        put_visual_entry(t, config, b);
    } else {
        put_audio_entry(t, config, b);
    }
    vd_box_close(b, stsd);
    for (int i = 0; i < 4; i++) {
        size_t box = vd_box_open_full(b, empty[i], 0, 0);

        vd_put_zeros(b, i == 2 ? 8 : 4);
        vd_box_close(b, box);
    }
    vd_box_close(b, stbl);
}

static void put_trak(const vd_cmaf_track_t *t, vd_bytes_t config, media_buf_t *b)
{
    size_t trak = vd_box_open(b, "trak");

    put_tkhd(t, b);
    put_edts(t, b);
    size_t mdia = vd_box_open(b, "mdia");

    put_mdhd(t, b);
    put_hdlr(t, b);
    size_t minf = vd_box_open(b, "minf");

    put_media_header(t, b);
    put_dinf(b);
    put_stbl(t, config, b);
    vd_box_close(b, minf);
    vd_box_close(b, mdia);
    vd_box_close(b, trak);
}

void vd_init_put(const vd_cmaf_track_t *t, vd_bytes_t config, media_buf_t *b)
{
    put_ftyp(t, b);
    size_t moov = vd_box_open(b, "moov");

    vd_mvhd_put(b, t->timescale, 0, 2);
    put_trak(t, config, b);
    size_t mvex = vd_box_open(b, "mvex");
    size_t trex = vd_box_open_full(b, "trex", 0, 0);

    vd_put32(b, 1);
    vd_put32(b, 1); /* the only sample entry */
    vd_put_zeros(b, 8);
    vd_put32(b, is_video(t) ? VD_FLAGS_DELTA : VD_FLAGS_KEY);
    vd_box_close(b, trex);
    vd_box_close(b, mvex);
    vd_box_close(b, moov);
}
