#include "media/hls.h"

#include <stdio.h>
#include <string.h>

#define GROUP_AUDIO "audio"
#define GROUP_TEXT "subs"

/* A quoted string (RFC 8216bis 4.2): it knows no escape, so quotes become apostrophes. */
static void add_quoted(media_buf_t *out, const char *s)
{
    media_buf_cstr(out, "\"");
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        char safe = c == '"' ? '\'' : c < 0x20 || c == 0x7f ? ' ' : *s;
        media_buf_add(out, &safe, 1);
    }
    media_buf_cstr(out, "\"");
}

static size_t count(const media_cmafset_t *set, enum media_track_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < set->ntracks; i++) {
        n += set->tracks[i].kind == kind;
    }
    return n;
}

static const char *label_of(const media_track_t *t)
{
    return t->title[0] != '\0' ? t->title : t->language[0] != '\0' ? t->language : t->name;
}

/* NAME is unique within a group (4.4.6.1.1): whose label another track has too adds its own name,
 * which no other has. */
static void add_label(const media_cmafset_t *set, const media_track_t *t, media_buf_t *out)
{
    char label[sizeof(t->title) + sizeof(t->name) + 4];
    int twice = 0;
    for (size_t i = 0; i < set->ntracks; i++) {
        const media_track_t *other = &set->tracks[i];
        twice |= other != t && other->kind == t->kind && strcmp(label_of(other), label_of(t)) == 0;
    }
    (void)snprintf(label, sizeof(label), twice ? "%s (%s)" : "%s", label_of(t), t->name);
    add_quoted(out, label);
}

static void add_rendition(const media_cmafset_t *set, const media_track_t *t, media_buf_t *out)
{
    int audio = t->kind == MEDIA_TRACK_AUDIO;
    media_buf_fmt(out, "#EXT-X-MEDIA:TYPE=%s,GROUP-ID=\"%s\",NAME=", audio ? "AUDIO" : "SUBTITLES",
                  audio ? GROUP_AUDIO : GROUP_TEXT);
    add_label(set, t, out);
    if (t->language[0] != '\0') {
        media_buf_fmt(out, ",LANGUAGE=\"%s\"", t->language);
    }
    media_buf_fmt(out, ",DEFAULT=%s,AUTOSELECT=YES",
                  t == media_cmafset_default(set, t->kind) ? "YES" : "NO");
    if (audio) {
        media_buf_fmt(out, ",CHANNELS=\"%d\"", t->channels);
    } else {
        media_buf_fmt(out, ",FORCED=%s", t->is_forced ? "YES" : "NO");
    }
    media_buf_fmt(out, ",URI=\"%s" MEDIA_HLS_EXT "\"\n", t->name);
}

/* Every format that some rendition of the variant has (4.4.6.2), each once. */
static void add_codecs(const media_cmafset_t *set, const media_track_t *video, media_buf_t *out)
{
    const char *mark = "";
    if (video != NULL) {
        media_buf_cstr(out, video->codecs);
        mark = ",";
    }
    for (size_t i = 0; i < set->ntracks; i++) {
        const media_track_t *t = &set->tracks[i];
        size_t k = 0;
        while (k < i && (set->tracks[k].kind != MEDIA_TRACK_AUDIO ||
                         strcmp(set->tracks[k].codecs, t->codecs) != 0)) {
            k++;
        }
        if (t->kind == MEDIA_TRACK_AUDIO && k == i) {
            media_buf_fmt(out, "%s%s", mark, t->codecs);
            mark = ",";
        }
    }
}

/* What audio adds to a variant: the rendition with the largest rate, peak and average. */
static media_rate_t audio_rate(const media_cmafset_t *set)
{
    media_rate_t most = {0, 0};
    for (size_t i = 0; i < set->ntracks; i++) {
        if (set->tracks[i].kind == MEDIA_TRACK_AUDIO) {
            media_rate_t r = media_cmafset_rate(set, &set->tracks[i]);
            most.peak = r.peak > most.peak ? r.peak : most.peak;
            most.average = r.average > most.average ? r.average : most.average;
        }
    }
    return most;
}

/* Three decimals, rounded (4.4.6.2). */
static void add_frame_rate(const media_track_t *t, media_buf_t *out)
{
    int64_t milli = ((int64_t)t->fps_num * 1000 + t->fps_den / 2) / t->fps_den;
    media_buf_fmt(out, ",FRAME-RATE=%lld.%03lld", (long long)(milli / 1000),
                  (long long)(milli % 1000));
}

static void add_variant(const media_cmafset_t *set, const media_track_t *t, media_rate_t audio,
                        media_buf_t *out)
{
    media_rate_t r = {0, 0};
    if (t->kind == MEDIA_TRACK_VIDEO) {
        r = media_cmafset_rate(set, t);
    }
    media_buf_fmt(out, "#EXT-X-STREAM-INF:BANDWIDTH=%lld,AVERAGE-BANDWIDTH=%lld,CODECS=\"",
                  (long long)(r.peak + audio.peak), (long long)(r.average + audio.average));
    add_codecs(set, t->kind == MEDIA_TRACK_VIDEO ? t : NULL, out);
    media_buf_cstr(out, "\"");
    if (t->kind == MEDIA_TRACK_VIDEO) {
        media_buf_fmt(out, ",RESOLUTION=%dx%d", t->width, t->height);
        add_frame_rate(t, out);
    }
    if (count(set, MEDIA_TRACK_AUDIO) > 0) {
        media_buf_cstr(out, ",AUDIO=\"" GROUP_AUDIO "\"");
    }
    if (count(set, MEDIA_TRACK_TEXT) > 0) {
        media_buf_cstr(out, ",SUBTITLES=\"" GROUP_TEXT "\"");
    }
    media_buf_fmt(out, ",CLOSED-CAPTIONS=NONE\n%s" MEDIA_HLS_EXT "\n", t->name);
}

static void add_iframe_variant(const media_cmafset_t *set, const media_track_t *t, media_buf_t *out)
{
    media_rate_t r = media_cmafset_iframe_rate(set, t);
    media_buf_fmt(out,
                  "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=%lld,AVERAGE-BANDWIDTH=%lld,CODECS=\"%s\","
                  "RESOLUTION=%dx%d,URI=\"%s" MEDIA_HLS_IFRAMES_EXT "\"\n",
                  (long long)r.peak, (long long)r.average, t->codecs, t->width, t->height, t->name);
}

int media_hls_master(const media_cmafset_t *set, media_buf_t *out)
{
    int video = count(set, MEDIA_TRACK_VIDEO) > 0;
    if (!video && count(set, MEDIA_TRACK_AUDIO) == 0) {
        return MEDIA_E_REJECT;
    }
    media_buf_cstr(out, "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    for (int kind = MEDIA_TRACK_AUDIO; kind < MEDIA_TRACK_KIND_COUNT; kind++) {
        for (size_t i = 0; i < set->ntracks; i++) {
            if ((int)set->tracks[i].kind == kind) {
                add_rendition(set, &set->tracks[i], out);
            }
        }
    }
    media_rate_t audio = audio_rate(set);
    for (size_t i = 0; i < set->ntracks; i++) {
        const media_track_t *t = &set->tracks[i];
        if (video ? t->kind == MEDIA_TRACK_VIDEO
                  : t == media_cmafset_default(set, MEDIA_TRACK_AUDIO)) {
            add_variant(set, t, audio, out);
        }
    }
    for (size_t i = 0; i < set->ntracks; i++) {
        if (media_track_has_iframes(&set->tracks[i])) {
            add_iframe_variant(set, &set->tracks[i], out);
        }
    }
    return out->failed;
}

/* The head of a media playlist. */
static void add_head(const media_cmafset_t *set, const media_track_t *t, int iframes,
                     media_buf_t *out)
{
    media_buf_fmt(out,
                  "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:%lld\n"
                  "#EXT-X-MEDIA-SEQUENCE:1\n#EXT-X-PLAYLIST-TYPE:VOD\n"
                  "#EXT-X-INDEPENDENT-SEGMENTS\n",
                  (long long)media_cmafset_target_s(set, t));
    if (iframes) {
        media_buf_cstr(out, "#EXT-X-I-FRAMES-ONLY\n");
    }
    if (t->kind != MEDIA_TRACK_TEXT) {
        media_buf_cstr(out, "#EXT-X-MAP:URI=\"");
        media_cmafset_dir(set, t, out);
        media_buf_cstr(out, MEDIA_CMAFSET_INIT "\"\n");
    }
}

static void add_segments(const media_cmafset_t *set, const media_track_t *t, int iframes,
                         media_buf_t *out)
{
    int64_t end = t->start;
    int64_t end_us = media_track_us(t, end, 0);
    for (size_t i = 0; i < t->nsegments; i++) {
        const media_segment_t *s = &t->segments[i];
        /* differences of rounded times, not rounded differences: their sum never drifts */
        int64_t start_us = end_us;
        end += s->duration;
        end_us = media_track_us(t, end, 0);
        int64_t us = end_us - start_us;
        media_buf_fmt(out, "#EXTINF:%lld.%06lld,\n", (long long)(us / 1000000),
                      (long long)(us % 1000000));
        if (iframes) {
            media_buf_fmt(out, "#EXT-X-BYTERANGE:%lld@%lld\n", (long long)s->iframe_bytes,
                          (long long)s->iframe_offset);
        }
        media_cmafset_dir(set, t, out);
        media_buf_fmt(out, "%zu.%s\n", i + 1, media_track_ext(t));
    }
    media_buf_cstr(out, "#EXT-X-ENDLIST\n");
}

int media_hls_media(const media_cmafset_t *set, const media_track_t *t, media_buf_t *out)
{
    add_head(set, t, 0, out);
    add_segments(set, t, 0, out);
    return out->failed;
}

int media_hls_iframes(const media_cmafset_t *set, const media_track_t *t, media_buf_t *out)
{
    if (!media_track_has_iframes(t)) {
        return MEDIA_E_REJECT;
    }
    add_head(set, t, 1, out);
    add_segments(set, t, 1, out);
    return out->failed;
}
