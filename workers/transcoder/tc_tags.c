/* Tags and cover picture: carried over, not trusted. A picture is passed on as it is, never
 * decoded; only its first bytes must be those of a JPEG or PNG. */
#include "tc_output.h"

#include <string.h>

#include <libavutil/avstring.h>
#include <libavutil/base64.h>
#include <libavutil/intreadwrite.h>

#define TAGS_MAX 64
#define TAG_VALUE_MAX 16384

/* What describes the old file, or where it was recorded. */
static int tag_dropped(const char *key)
{
    static const char *const names[] = {
        "major_brand",      "minor_version",    "compatible_brands", "encoder",
        "encoder_settings", "creation_time",    "handler_name",      "vendor_id",
        "duration",         "number_of_frames", "number_of_bytes",   "bps",
        "timecode",         "filename",         "iTunSMPB",          "metadata_block_picture"};
    static const char *const parts[] = {"location",     "gps", "com.apple.",
                                        "com.android.", "geo", "_statistics"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (av_strcasecmp(key, names[i]) == 0) {
            return 1;
        }
    }
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (av_stristr(key, parts[i]) != NULL) {
            return 1;
        }
    }
    return 0;
}

static int copy(AVDictionary **to, const AVDictionary *from)
{
    const AVDictionaryEntry *e = NULL;
    int rc = 0;

    while (rc >= 0 && (e = av_dict_get(from, "", e, AV_DICT_IGNORE_SUFFIX)) != NULL) {
        if (!tag_dropped(e->key) && strlen(e->value) <= TAG_VALUE_MAX && strlen(e->key) < 256 &&
            av_dict_count(*to) < TAGS_MAX && media_utf8_valid(media_str(e->value))) {
            rc = av_dict_set(to, e->key, e->value, AV_DICT_DONT_OVERWRITE);
        }
    }
    return rc < 0 ? rc : 0;
}

int tc_tags_copy(AVFormatContext *to, AVStream *to_stream, const AVFormatContext *from,
                 const AVStream *from_stream)
{
    const AVDictionaryEntry *language = av_dict_get(from_stream->metadata, "language", NULL, 0);
    int rc = copy(&to->metadata, from->metadata);

    if (rc == 0) {
        rc = copy(&to->metadata, from_stream->metadata); /* Ogg keeps them at the stream */
    }
    (void)av_dict_set(&to->metadata, "language", NULL, 0);
    if (rc == 0 && language != NULL && strlen(language->value) <= 16) {
        rc = av_dict_set(&to_stream->metadata, "language", language->value, 0);
    }
    return rc < 0 ? rc : 0;
}

static int is_picture(const AVStream *st, const AVPacket *p)
{
    static const uint8_t png[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

    if (p->data == NULL || p->size < 16 || p->size > TC_COVER_MAX) {
        return 0;
    }
    if (st->codecpar->codec_id == AV_CODEC_ID_PNG) {
        return memcmp(p->data, png, sizeof(png)) == 0;
    }
    return st->codecpar->codec_id == AV_CODEC_ID_MJPEG && p->data[0] == 0xff && p->data[1] == 0xd8;
}

const AVPacket *tc_cover_find(const AVFormatContext *from, const AVStream **stream)
{
    for (unsigned i = 0; i < from->nb_streams; i++) {
        const AVStream *st = from->streams[i];

        if ((st->disposition & AV_DISPOSITION_ATTACHED_PIC) && is_picture(st, &st->attached_pic)) {
            *stream = st;
            return &st->attached_pic;
        }
    }
    return NULL;
}

/* The structure of RFC 9639 8.8, in base64. */
int tc_cover_comment(AVStream *to, const AVStream *stream, const AVPacket *picture)
{
    const char *mime = stream->codecpar->codec_id == AV_CODEC_ID_PNG ? "image/png" : "image/jpeg";
    size_t mime_len = strlen(mime), head = 4 + 4 + mime_len + 4 + 16 + 4;
    size_t len = head + (size_t)picture->size;
    uint8_t *block = av_mallocz(len), *p = block;
    char *text = av_malloc(AV_BASE64_SIZE(len));
    int rc = AVERROR(ENOMEM);

    if (block != NULL && text != NULL) {
        AV_WB32(p, 3); /* front cover */
        AV_WB32(p + 4, (uint32_t)mime_len);
        memcpy(p + 8, mime, mime_len);
        p += 8 + mime_len + 4; /* empty description */
        AV_WB32(p, (uint32_t)stream->codecpar->width);
        AV_WB32(p + 4, (uint32_t)stream->codecpar->height);
        AV_WB32(p + 8, 24);
        AV_WB32(p + 16, (uint32_t)picture->size);
        memcpy(p + 20, picture->data, (size_t)picture->size);
        if (av_base64_encode(text, AV_BASE64_SIZE((int)len), block, (int)len) != NULL) {
            rc = av_dict_set(&to->metadata, "METADATA_BLOCK_PICTURE", text, 0);
        }
    }
    av_free(block);
    av_free(text);
    return rc < 0 ? rc : 0;
}
