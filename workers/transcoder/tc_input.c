/* The input of a job: custom I/O over the parent, a white list of demuxers chosen by content alone
 * (never by the file's name), one sound track, one decoder without threads.
 *
 * Playlists, image sequences and everything that names other files are not on the list, io_open is
 * refused, and the sandbox would refuse it again. */
#include "tc_input.h"

#include <string.h>

#include <libavutil/avstring.h>

/* By name of FFmpeg's demuxers; an entry matches if any of a demuxer's names does. */
#define DEMUXERS                                                                                   \
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,flac,mp3,aac,"    \
    "loas,wav,w64,aiff,amr,caf,au,ac3,eac3,dts,dtshd,truehd,mlp,wv,tta,ivf,h264,"                  \
    "hevc,m4v,obu,dv"
#define SCORE_SURE (AVPROBE_SCORE_MAX / 2) /* of a demuxer's guess, less may be chance */
#define ENCRYPTED "The sound track is encrypted (copy protection)."
#define NOTHING_READABLE "The file is no video or sound that can be read here."

static int on_read(void *data, uint8_t *buf, int len)
{
    tc_input_t *in = data;
    ssize_t n;

    if (in->pos >= in->size) {
        return AVERROR_EOF;
    }
    n = wk_peer_read(in->peer, in->pos, buf, (size_t)len);
    if (n < 0) {
        in->lost = 1;
        return AVERROR(EIO);
    }
    in->pos += n;
    return n == 0 ? AVERROR_EOF : (int)n;
}

static int64_t on_seek(void *data, int64_t offset, int whence)
{
    tc_input_t *in = data;

    switch (whence & ~AVSEEK_FORCE) {
    case AVSEEK_SIZE:
        return in->size;
    case SEEK_SET:
        break;
    case SEEK_CUR:
        offset += in->pos;
        break;
    case SEEK_END:
        offset += in->size;
        break;
    default:
        return AVERROR(EINVAL);
    }
    if (offset < 0) {
        return AVERROR(EINVAL);
    }
    in->pos = offset;
    return offset;
}

static int no_open(AVFormatContext *s, AVIOContext **pb, const char *url, int flags,
                   AVDictionary **options)
{
    (void)s;
    (void)pb;
    (void)url;
    (void)flags;
    (void)options;
    return AVERROR(EACCES);
}

static int is_picture(const char *demuxer)
{
    size_t len = strlen(demuxer);

    return (len > 5 && strcmp(demuxer + len - 5, "_pipe") == 0) || strcmp(demuxer, "gif") == 0 ||
           strcmp(demuxer, "apng") == 0 || strcmp(demuxer, "ico") == 0;
}

/* Finds the demuxer by the first bytes. */
static int probe_format(tc_input_t *in, const AVInputFormat **fmt, tc_fail_t *f)
{
    int rc = av_probe_input_buffer2(in->pb, fmt, "", NULL, 0, 0);

    if (in->lost) {
        return tc_fail(f, "internal", "The file could not be read.");
    }
    if (rc == AVERROR(ENOMEM)) {
        return tc_fail_av(f, rc, "The file cannot be read");
    }
    if (rc < 0 || *fmt == NULL) {
        return tc_fail(f, "unreadable_media", NOTHING_READABLE);
    }
    if (av_match_list((*fmt)->name, DEMUXERS, ',') > 0) {
        return 0;
    }
    if (is_picture((*fmt)->name)) {
        return tc_fail(f, "unsupported_format", "The file is a picture, not video or sound.");
    }
    if (rc < SCORE_SURE) {
        return tc_fail(f, "unreadable_media", NOTHING_READABLE);
    }
    return tc_fail(f, "unsupported_format", "This kind of file is not accepted: %s.",
                   (*fmt)->long_name != NULL ? (*fmt)->long_name : (*fmt)->name);
}

static int truncated(tc_fail_t *f, int64_t size, int64_t expected)
{
    return tc_fail(
        f, "truncated_media",
        "The file ends early: %lld of at least %lld bytes are there. Was the upload or the "
        "recording cut off?",
        (long long)size, (long long)expected);
}

static int open_failed(tc_input_t *in, int rc, tc_fail_t *f)
{
    int64_t expected;

    if (in->lost || rc == AVERROR(ENOMEM)) {
        return tc_fail_av(f, rc, "The file cannot be read");
    }
    expected = tc_check_size(in->peer, in->size);
    if (expected > in->size) {
        return truncated(f, in->size, expected);
    }
    return tc_fail(f, "unreadable_media",
                   "The file looks like video or sound, but its structure is broken.");
}

static int open_container(tc_input_t *in, tc_fail_t *f)
{
    const AVInputFormat *fmt = NULL;
    AVFormatContext *s = NULL;
    uint8_t *buffer = av_malloc(TC_IO_BUFFER);
    int rc;

    in->pb = buffer != NULL
                 ? avio_alloc_context(buffer, TC_IO_BUFFER, 0, in, on_read, NULL, on_seek)
                 : NULL;
    if (in->pb == NULL) {
        av_free(buffer);
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    if (probe_format(in, &fmt, f) != 0) {
        return -1;
    }
    s = avformat_alloc_context();
    if (s == NULL) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    s->pb = in->pb;
    s->flags |= AVFMT_FLAG_CUSTOM_IO;
    s->io_open = no_open;
    s->format_whitelist = av_strdup(DEMUXERS);
    s->protocol_whitelist = av_strdup("none");
    s->max_streams = 2 * TC_STREAMS_MAX; /* refused below, with words */
    rc = avformat_open_input(&s, "", fmt, NULL);
    if (rc < 0) {
        return open_failed(in, rc, f);
    }
    in->format = s;
    rc = avformat_find_stream_info(s, NULL);
    if (rc < 0) {
        return open_failed(in, rc, f);
    }
    return 0;
}

static int check_limits(const tc_input_t *in, tc_fail_t *f)
{
    int64_t duration_s =
        in->format->duration != AV_NOPTS_VALUE ? in->format->duration / AV_TIME_BASE : 0;

    if (in->format->nb_streams > TC_STREAMS_MAX) {
        return tc_fail(f, "limits", "The file has %u tracks; the limit is %d.",
                       in->format->nb_streams, TC_STREAMS_MAX);
    }
    /* a length that so few bytes cannot hold is a broken header; what is decoded is counted too */
    if (duration_s > TC_DURATION_MAX_S && in->size / duration_s > 100) {
        return tc_fail(f, "limits", "The file is %lld seconds long; the limit is %d seconds.",
                       (long long)duration_s, TC_DURATION_MAX_S);
    }
    return 0;
}

static int is_encrypted(const AVStream *st)
{
    uint32_t tag = st->codecpar->codec_tag;

    return tag == MKTAG('e', 'n', 'c', 'a') ||
           av_stream_get_side_data(st, AV_PKT_DATA_ENCRYPTION_INIT_INFO, NULL) != NULL;
}

static int has_audio(const AVFormatContext *s)
{
    for (unsigned i = 0; i < s->nb_streams; i++) {
        if (s->streams[i]->codecpar->codec_type == AVMEDIA_TYPE_AUDIO) {
            return 1;
        }
    }
    return 0;
}

/* By its four letters where FFmpeg has no name for it. */
static const char *coding_name(const AVCodecParameters *par, char *tag)
{
    return par->codec_id == AV_CODEC_ID_NONE ? av_fourcc_make_string(tag, par->codec_tag)
                                             : avcodec_get_name(par->codec_id);
}

static int choose_stream(tc_input_t *in, const AVCodec **codec, tc_fail_t *f)
{
    AVFormatContext *s = in->format;
    int i = av_find_best_stream(s, AVMEDIA_TYPE_AUDIO, -1, -1, codec, 0);
    const AVStream *any;
    char tag[AV_FOURCC_MAX_STRING_SIZE];

    if (s->nb_streams == 0) {
        return open_failed(in, AVERROR_INVALIDDATA, f);
    }
    if (i < 0 && !has_audio(s)) {
        return tc_fail(f, "no_audio",
                       "The file has no sound track, so there is nothing to convert to %s.",
                       in->target);
    }
    if (i < 0) {
        i = av_find_best_stream(s, AVMEDIA_TYPE_AUDIO, -1, -1, NULL, 0);
        any = i >= 0 ? s->streams[i] : NULL;
        if (any != NULL && is_encrypted(any)) {
            return tc_fail(f, "encrypted_media", ENCRYPTED);
        }
        return tc_fail(f, "unsupported_codec",
                       "The sound track is in a coding that cannot be decoded here (%s).",
                       any != NULL ? coding_name(any->codecpar, tag) : "unknown");
    }
    in->stream = s->streams[i];
    if (is_encrypted(in->stream)) {
        return tc_fail(f, "encrypted_media", ENCRYPTED);
    }
    for (unsigned k = 0; k < s->nb_streams; k++) {
        s->streams[k]->discard = (int)k == i ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
    }
    return 0;
}

static int open_decoder(tc_input_t *in, const AVCodec *codec, tc_fail_t *f)
{
    int rc;

    in->decoder = avcodec_alloc_context3(codec);
    if (in->decoder == NULL) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    rc = avcodec_parameters_to_context(in->decoder, in->stream->codecpar);
    if (rc >= 0) {
        in->decoder->pkt_timebase = in->stream->time_base;
        in->decoder->thread_count = 1;
        rc = avcodec_open2(in->decoder, codec, NULL);
    }
    return rc < 0 ? tc_fail_av(f, rc, "The sound track cannot be decoded") : 0;
}

/* Early word on a cut file: better than half a song. */
static int check_whole(tc_input_t *in, tc_fail_t *f)
{
    int64_t expected;

    if (in->format->iformat->name[0] == 'm' && strstr(in->format->iformat->name, "mp4") != NULL) {
        if (tc_check_index(in->format, in->size)) {
            expected = tc_check_size(in->peer, in->size);
            return truncated(f, in->size, expected > in->size ? expected : in->size + 1);
        }
        return 0; /* fragments are looked at after decoding */
    }
    expected = tc_check_size(in->peer, in->size);
    return expected > in->size ? truncated(f, in->size, expected) : 0;
}

int tc_input_open(tc_input_t *in, wk_peer_t *peer, int64_t size, const char *target, tc_fail_t *f)
{
    const AVCodec *codec = NULL;

    memset(in, 0, sizeof(*in));
    in->peer = peer;
    in->size = size;
    in->target = target;
    if (size == 0) {
        return tc_fail(f, "unreadable_media", "The file is empty.");
    }
    in->packet = av_packet_alloc();
    if (in->packet == NULL) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    return open_container(in, f) != 0 || check_limits(in, f) != 0 ||
                   choose_stream(in, &codec, f) != 0 || check_whole(in, f) != 0 ||
                   open_decoder(in, codec, f) != 0
               ? -1
               : 0;
}

/* Feeds the decoder one packet of the track, or its end. */
static int feed(tc_input_t *in, tc_fail_t *f)
{
    int rc;

    do {
        av_packet_unref(in->packet);
        rc = av_read_frame(in->format, in->packet);
    } while (rc >= 0 && in->packet->stream_index != in->stream->index);
    if (in->lost) {
        return tc_fail(f, "internal", "The file could not be read.");
    }
    if (rc == AVERROR(ENOMEM)) {
        return tc_fail_av(f, rc, "");
    }
    if (rc < 0) {
        in->read_error = rc == AVERROR_EOF ? 0 : rc;
        in->draining = 1;
        (void)avcodec_send_packet(in->decoder, NULL);
        return 0;
    }
    if (av_packet_get_side_data(in->packet, AV_PKT_DATA_ENCRYPTION_INFO, NULL) != NULL) {
        return tc_fail(f, "encrypted_media", ENCRYPTED);
    }
    rc = avcodec_send_packet(in->decoder, in->packet);
    if (rc == AVERROR(ENOMEM)) {
        return tc_fail_av(f, rc, "");
    }
    in->errors += rc < 0;
    return 0;
}

int tc_input_frame(tc_input_t *in, AVFrame *frame, tc_fail_t *f)
{
    for (;;) {
        int rc = avcodec_receive_frame(in->decoder, frame);

        if (rc >= 0) {
            in->frames++;
            return 1;
        }
        if (rc == AVERROR(ENOMEM)) {
            return tc_fail_av(f, rc, "");
        }
        if (rc == AVERROR_EOF || (rc != AVERROR(EAGAIN) && in->draining)) {
            return 0;
        }
        in->errors += rc != AVERROR(EAGAIN);
        if (feed(in, f) != 0) {
            return -1;
        }
    }
}

double tc_input_duration(const tc_input_t *in, int *exact)
{
    static const char *const trusted[] = {
        "mov,mp4,m4a,3gp,3g2,mj2", "flac", "wav", "w64", "aiff", "caf", "mp3", "tta", "wv"};
    const AVStream *st = in->stream;
    const char *name = in->format->iformat->name;

    *exact = 0;
    for (size_t i = 0; i < sizeof(trusted) / sizeof(trusted[0]); i++) {
        *exact |= strcmp(name, trusted[i]) == 0;
    }
    *exact = *exact && st->duration > 0 && !tc_check_fragmented(in->format) &&
             in->format->duration_estimation_method != AVFMT_DURATION_FROM_BITRATE;
    if (st->duration > 0) {
        return (double)st->duration * av_q2d(st->time_base);
    }
    return in->format->duration > 0 ? (double)in->format->duration / AV_TIME_BASE : 0;
}

void tc_input_close(tc_input_t *in)
{
    avcodec_free_context(&in->decoder);
    av_packet_free(&in->packet);
    avformat_close_input(&in->format);
    if (in->pb != NULL) {
        av_freep(&in->pb->buffer);
        avio_context_free(&in->pb);
    }
}
