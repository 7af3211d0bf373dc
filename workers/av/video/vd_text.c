/* Subtitles -> WebVTT. libavcodec's decoders make ASS events of every kind of text. */
#include "vd_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "media/lang.h"
#include "tc_container.h"

#define ASS_COMMAS 8  /* before the text of an event */
#define SHOWN_MS 5000 /* where neither packet nor event tells how long */
#define CUES_MAX 200000

typedef struct {
    const vd_track_plan_t *plan;
    vd_io_t io;
    AVFormatContext *format;
    AVCodecContext *decoder;
    AVPacket *packet;
    media_buf_t vtt;
    int cues;
} text_t;

static void put_char(media_buf_t *out, const char *p)
{
    switch (*p) {
    case '&':
        (void)media_buf_cstr(out, "&amp;");
        break;
    case '<':
        (void)media_buf_cstr(out, "&lt;");
        break;
    case '>':
        (void)media_buf_cstr(out, "&gt;");
        break;
    default:
        if ((unsigned char)*p >= ' ' && *p != 0x7f) {
            (void)media_buf_add(out, p, 1);
        }
    }
}

void vd_text_cue(const char *p, media_buf_t *out)
{
    int at_start = 1; /* of a line: an empty one would end the cue */

    for (int commas = 0; commas < ASS_COMMAS && *p != '\0'; p++) {
        commas += *p == ',';
    }
    for (; *p != '\0'; p++) {
        const char *close = *p == '{' ? strchr(p, '}') : NULL;

        if (close != NULL) {
            p = close;
        } else if (p[0] == '\n' || (p[0] == '\\' && (p[1] == 'N' || p[1] == 'n'))) {
            p += p[0] == '\\';
            if (!at_start) {
                (void)media_buf_cstr(out, "\n");
            }
            at_start = 1;
        } else if (p[0] == '\\' && p[1] == 'h') {
            p++;
            (void)media_buf_cstr(out, " ");
        } else {
            put_char(out, p);
            at_start = 0;
        }
    }
}

static void put_time(media_buf_t *out, int64_t ms)
{
    (void)media_buf_fmt(out, "%02" PRId64 ":%02d:%02d.%03d", ms / 3600000, (int)(ms / 60000 % 60),
                        (int)(ms / 1000 % 60), (int)(ms % 1000));
}

static void put_event(text_t *t, const AVSubtitleRect *rect, int64_t start_ms, int64_t end_ms)
{
    media_buf_t cue;

    media_buf_init(&cue, 64 << 10);
    if (rect->ass != NULL && media_utf8_valid(media_str(rect->ass))) {
        vd_text_cue(rect->ass, &cue);
    }
    while (cue.len > 0 && (cue.p[cue.len - 1] == '\n' || cue.p[cue.len - 1] == ' ')) {
        cue.len--;
    }
    if (cue.len > 0 && t->cues < CUES_MAX) {
        t->cues++;
        put_time(&t->vtt, start_ms);
        (void)media_buf_cstr(&t->vtt, " --> ");
        put_time(&t->vtt, end_ms);
        (void)media_buf_cstr(&t->vtt, "\n");
        (void)media_buf_add(&t->vtt, cue.p, cue.len);
        (void)media_buf_cstr(&t->vtt, "\n\n");
    }
    media_buf_free(&cue);
}

static void put_packet(text_t *t)
{
    AVRational tb = t->format->streams[t->plan->stream]->time_base, ms = {1, 1000};
    AVSubtitle sub;
    int got = 0;
    int64_t at_ms, start_ms, end_ms;

    if (t->packet->pts == AV_NOPTS_VALUE ||
        avcodec_decode_subtitle2(t->decoder, &sub, &got, t->packet) < 0 || !got) {
        return; /* one damaged line is no reason to refuse the others */
    }
    at_ms = av_rescale_q(t->packet->pts, tb, ms) - t->plan->origin_us / 1000;
    start_ms = at_ms + sub.start_display_time;
    end_ms = sub.end_display_time > sub.start_display_time && sub.end_display_time < UINT32_MAX
                 ? at_ms + sub.end_display_time
             : t->packet->duration > 0 ? at_ms + av_rescale_q(t->packet->duration, tb, ms)
                                       : start_ms + SHOWN_MS;
    start_ms = start_ms < 0 ? 0 : start_ms;
    if (end_ms > start_ms) {
        for (unsigned i = 0; i < sub.num_rects; i++) {
            put_event(t, sub.rects[i], start_ms, end_ms);
        }
    }
    avsubtitle_free(&sub);
}

static int open_input(text_t *t, const vd_source_t *source, tc_fail_t *f)
{
    const AVCodecParameters *par;
    const AVCodec *codec;
    int rc;

    if (vd_io_open(&t->io, source, f) != 0 || tc_container_open(&t->io, 0, &t->format, f) != 0 ||
        tc_container_streams(t->format, &t->io, f) != 0) {
        return -1;
    }
    if ((unsigned)t->plan->stream >= t->format->nb_streams) {
        return tc_fail(f, "internal", "The file has no track %d.", t->plan->stream);
    }
    for (unsigned i = 0; i < t->format->nb_streams; i++) {
        t->format->streams[i]->discard =
            (int)i == t->plan->stream ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
    }
    par = t->format->streams[t->plan->stream]->codecpar;
    codec = avcodec_find_decoder(par->codec_id);
    t->decoder = codec != NULL ? avcodec_alloc_context3(codec) : NULL;
    t->packet = av_packet_alloc();
    if (t->decoder == NULL || t->packet == NULL ||
        avcodec_parameters_to_context(t->decoder, par) < 0) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    t->decoder->pkt_timebase = t->format->streams[t->plan->stream]->time_base;
    rc = avcodec_open2(t->decoder, codec, NULL);
    return rc < 0 ? tc_fail_av(f, rc, "The subtitles cannot be read") : 0;
}

static int read_all(text_t *t, const vd_sink_t *sink, tc_fail_t *f)
{
    int rc;

    while ((rc = av_read_frame(t->format, t->packet)) >= 0) {
        if (t->packet->stream_index == t->plan->stream) {
            put_packet(t);
        }
        av_packet_unref(t->packet);
        if (vd_sink_progress(sink, (double)avio_tell(t->io.pb) / (double)t->io.source.size, f) !=
            0) {
            return -1;
        }
    }
    if (t->io.lost) {
        return tc_fail(f, "internal", "The file could not be read.");
    }
    return rc == AVERROR(ENOMEM) ? tc_fail_av(f, rc, "") : 0;
}

static json_t *describe(const vd_track_plan_t *plan)
{
    json_t *info = json_pack("{s:s,s:i,s:i,s:b}", "kind", "text", "timescale", 1000, "start", 0,
                             "forced", plan->is_forced);

    if (plan->language[0] != '\0') {
        (void)json_object_set_new(info, "language", json_string(media_lang_tag(plan->language)));
    }
    return json_pack("{s:s,s:i,s:o}", "name", plan->name, "segments", 1, "info", info);
}

static int run(text_t *t, const vd_source_t *source, const vd_sink_t *sink, json_t *tracks,
               tc_fail_t *f)
{
    vd_piece_t piece = {.track = t->plan->name, .number = 1, .is_text = 1};

    (void)media_buf_cstr(&t->vtt, "WEBVTT\n\n");
    if (open_input(t, source, f) != 0 || read_all(t, sink, f) != 0) {
        return -1;
    }
    if (t->vtt.failed) {
        return tc_fail(f, "limits", "The subtitles are larger than %u bytes.", VD_TEXT_BYTES_MAX);
    }
    piece.duration = (t->plan->length_us + 999) / 1000;
    piece.head = media_buf_view(&t->vtt);
    if (vd_sink_put(sink, &piece, f) != 0) {
        return -1;
    }
    return json_array_append_new(tracks, describe(t->plan)) == 0
               ? 0
               : tc_fail_av(f, AVERROR(ENOMEM), "");
}

int vd_text(const vd_source_t *source, const vd_track_plan_t *plan, const vd_sink_t *sink,
            json_t *tracks, tc_fail_t *f)
{
    text_t t = {.plan = plan};
    int rc;

    media_buf_init(&t.vtt, VD_TEXT_BYTES_MAX);
    rc = run(&t, source, sink, tracks, f);
    media_buf_free(&t.vtt);
    avcodec_free_context(&t.decoder);
    av_packet_free(&t.packet);
    avformat_close_input(&t.format);
    vd_io_close(&t.io);
    return rc;
}
