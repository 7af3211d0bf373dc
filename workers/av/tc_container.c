/* White list, limits and wholeness of an input's container. */
#include "tc_container.h"

#include <string.h>

#include <libavutil/avstring.h>

#include "tc_compat.h"

/* By name of FFmpeg's demuxers; an entry matches if any of a demuxer's names does. */
#define DEMUXERS                                                                                   \
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,flac,mp3,aac,"    \
    "loas,wav,w64,aiff,amr,caf,au,ac3,eac3,dts,dtshd,truehd,mlp,wv,tta,ivf,h264,"                  \
    "hevc,m4v,obu,dv"
#define SCORE_SURE (AVPROBE_SCORE_MAX / 2) /* of a demuxer's guess, less may be chance */
/* FFmpeg 7.1 knows a playlist by its content only where its name is one; no other kind has such a
 * name, so nothing else is taken for one. A playlist is to be refused as what it is. */
#define PLAYLIST_NAME "unnamed.m3u8"
#define NOTHING_READABLE "The file is no video or sound that can be read here."

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
static int probe_format(vd_io_t *io, const AVInputFormat **fmt, tc_fail_t *f)
{
    int rc = av_probe_input_buffer2(io->pb, fmt, PLAYLIST_NAME, NULL, 0, 0);

    if (io->lost) {
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

static int truncated(int64_t size, int64_t expected, tc_fail_t *f)
{
    return tc_fail(
        f, "truncated_media",
        "The file ends early: %lld of at least %lld bytes are there. Was the upload or the "
        "recording cut off?",
        (long long)size, (long long)expected);
}

int tc_container_broken(vd_io_t *io, int averror, tc_fail_t *f)
{
    int64_t expected;

    if (io->lost) {
        return tc_fail(f, "internal", "The file could not be read.");
    }
    if (averror == AVERROR(ENOMEM)) {
        return tc_fail_av(f, averror, "");
    }
    expected = tc_check_size(io);
    if (expected > io->source.size) {
        return truncated(io->source.size, expected, f);
    }
    return tc_fail(f, "unreadable_media",
                   "The file looks like video or sound, but its structure is broken.");
}

int tc_container_open(vd_io_t *io, int64_t probe_bytes, AVFormatContext **out, tc_fail_t *f)
{
    const AVInputFormat *fmt = NULL;
    AVFormatContext *s = NULL;
    int rc;

    if (probe_format(io, &fmt, f) != 0) {
        return -1;
    }
    s = avformat_alloc_context();
    if (s == NULL) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    s->pb = io->pb;
    s->flags |= AVFMT_FLAG_CUSTOM_IO;
    s->io_open = no_open;
    s->format_whitelist = av_strdup(DEMUXERS);
    s->protocol_whitelist = av_strdup("none");
    if (probe_bytes > 0) {
        s->probesize = probe_bytes;
    }
    s->max_streams = 2 * TC_STREAMS_MAX; /* refused later, with words */
    rc = avformat_open_input(&s, "", fmt, NULL);
    if (rc < 0) {
        return tc_container_broken(io, rc, f);
    }
    *out = s;
    return 0;
}

int tc_container_streams(AVFormatContext *s, vd_io_t *io, tc_fail_t *f)
{
    int rc = avformat_find_stream_info(s, NULL);

    return rc < 0 || s->nb_streams == 0 || io->lost ? tc_container_broken(io, rc, f) : 0;
}

int tc_container_limits(const AVFormatContext *s, int64_t size, int streams_max,
                        int64_t duration_max_s, tc_fail_t *f)
{
    int64_t duration_s = s->duration != AV_NOPTS_VALUE ? s->duration / AV_TIME_BASE : 0;

    if (s->nb_streams > (unsigned)streams_max) {
        return tc_fail(f, "limits", "The file has %u tracks; the limit is %d.", s->nb_streams,
                       streams_max);
    }
    /* a length that so few bytes cannot hold is a broken header; what is decoded is counted too */
    if (duration_s > duration_max_s && size / duration_s > 100) {
        return tc_fail(f, "limits", "The file is %lld seconds long; the limit is %lld seconds.",
                       (long long)duration_s, (long long)duration_max_s);
    }
    return 0;
}

int tc_container_whole(const AVFormatContext *s, vd_io_t *io, tc_fail_t *f)
{
    int64_t size = io->source.size, expected;

    if (s->iformat->name[0] == 'm' && strstr(s->iformat->name, "mp4") != NULL) {
        if (tc_check_index(s, size)) {
            expected = tc_check_size(io);
            return truncated(size, expected > size ? expected : size + 1, f);
        }
        return 0; /* fragments are looked at after decoding */
    }
    expected = tc_check_size(io);
    return expected > size ? truncated(size, expected, f) : 0;
}

int tc_stream_encrypted(const AVStream *st)
{
    uint32_t tag = st->codecpar->codec_tag;

    return tag == MKTAG('e', 'n', 'c', 'a') || tag == MKTAG('e', 'n', 'c', 'v') ||
           tc_side_data(st, AV_PKT_DATA_ENCRYPTION_INIT_INFO, NULL) != NULL;
}

const char *tc_coding_name(const AVCodecParameters *par, char *tag)
{
    return par->codec_id == AV_CODEC_ID_NONE ? av_fourcc_make_string(tag, par->codec_tag)
                                             : avcodec_get_name(par->codec_id);
}
