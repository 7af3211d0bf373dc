#include "media/dash.h"

#include <string.h>

/* An attribute's or element's text (XML 1.0 2.2, 2.4): five escapes, characters that XML has not
 * become spaces. */
static void add_xml(media_buf_t *out, const char *s)
{
    for (; *s != '\0'; s++) {
        switch (*s) {
        case '&':
            media_buf_cstr(out, "&amp;");
            break;
        case '<':
            media_buf_cstr(out, "&lt;");
            break;
        case '>':
            media_buf_cstr(out, "&gt;");
            break;
        case '"':
            media_buf_cstr(out, "&quot;");
            break;
        case '\'':
            media_buf_cstr(out, "&apos;");
            break;
        default:
            media_buf_add(out, (unsigned char)*s < 0x20 ? " " : s, 1);
            break;
        }
    }
}

static void add_duration(media_buf_t *out, int64_t us)
{
    media_buf_fmt(out, "PT%lld.%06lldS", (long long)(us / 1000000), (long long)(us % 1000000));
}

/* The length of the whole presentation and of its longest segment. */
static void measure(const media_cmafset_t *set, int64_t *total_us, int64_t *longest_us)
{
    *total_us = *longest_us = 0;
    for (size_t i = 0; i < set->ntracks; i++) {
        const media_track_t *t = &set->tracks[i];
        if (t->kind == MEDIA_TRACK_TEXT) {
            continue; /* a cue may stand behind the last picture, and the file is read at once */
        }
        int64_t us = media_track_us(t, media_track_end(t), 1);
        *total_us = us > *total_us ? us : *total_us;
        for (size_t k = 0; k < t->nsegments; k++) {
            us = media_track_us(t, t->segments[k].duration, 1);
            *longest_us = us > *longest_us ? us : *longest_us;
        }
    }
}

static int same_timeline(const media_track_t *a, const media_track_t *b)
{
    if (a->timescale != b->timescale || a->start != b->start || a->nsegments != b->nsegments) {
        return 0;
    }
    for (size_t i = 0; i < a->nsegments; i++) {
        if (a->segments[i].duration != b->segments[i].duration) {
            return 0;
        }
    }
    return 1;
}

/* Runs of equal durations are one S (5.3.9.6); @t stands at the first, the rest follows. */
static void add_timeline(const media_track_t *t, const char *indent, media_buf_t *out)
{
    media_buf_fmt(out,
                  "%s<SegmentTemplate timescale=\"%lld\" startNumber=\"1\""
                  " initialization=\"" MEDIA_CMAFSET_INIT "\" media=\"$Number$.m4s\">\n"
                  "%s  <SegmentTimeline>\n",
                  indent, (long long)t->timescale, indent);
    for (size_t i = 0; i < t->nsegments;) {
        size_t run = 1;
        while (i + run < t->nsegments && t->segments[i + run].duration == t->segments[i].duration) {
            run++;
        }
        media_buf_fmt(out, "%s    <S", indent);
        if (i == 0) {
            media_buf_fmt(out, " t=\"%lld\"", (long long)t->start);
        }
        media_buf_fmt(out, " d=\"%lld\"", (long long)t->segments[i].duration);
        if (run > 1) {
            media_buf_fmt(out, " r=\"%zu\"", run - 1);
        }
        media_buf_cstr(out, "/>\n");
        i += run;
    }
    media_buf_fmt(out, "%s  </SegmentTimeline>\n%s</SegmentTemplate>\n", indent, indent);
}

static void add_representation(const media_cmafset_t *set, const media_track_t *t, int timeline,
                               media_buf_t *out)
{
    media_buf_fmt(out, "      <Representation id=\"%s\" bandwidth=\"%lld\"", t->name,
                  (long long)media_cmafset_rate(set, t).peak);
    if (t->codecs[0] != '\0') {
        media_buf_fmt(out, " codecs=\"%s\"", t->codecs);
    }
    if (t->kind == MEDIA_TRACK_VIDEO) {
        media_buf_fmt(out, " width=\"%d\" height=\"%d\" frameRate=\"%d/%d\" sar=\"1:1\"", t->width,
                      t->height, t->fps_num, t->fps_den);
    } else if (t->kind == MEDIA_TRACK_AUDIO) {
        media_buf_fmt(out, " audioSamplingRate=\"%d\"", t->rate);
    }
    media_buf_cstr(out, ">\n");
    if (t->kind == MEDIA_TRACK_AUDIO) {
        media_buf_fmt(out,
                      "        <AudioChannelConfiguration schemeIdUri=\"urn:mpeg:dash:23003:3:"
                      "audio_channel_configuration:2011\" value=\"%d\"/>\n",
                      t->channels);
    }
    media_buf_cstr(out, "        <BaseURL>");
    media_cmafset_dir(set, t, out);
    /* a text track is one file, named as it is: no template */
    media_buf_fmt(out, "%s</BaseURL>\n", t->kind == MEDIA_TRACK_TEXT ? "1.vtt" : "");
    if (timeline) {
        add_timeline(t, "        ", out);
    }
    media_buf_cstr(out, "      </Representation>\n");
}

static void open_adaptation(const media_track_t *t, int id, media_buf_t *out)
{
    const char *kind = media_track_kind_name(t->kind);
    media_buf_fmt(out, "    <AdaptationSet id=\"%d\" contentType=\"%s\" mimeType=\"%s/%s\"", id,
                  kind, kind, t->kind == MEDIA_TRACK_TEXT ? "vtt" : "mp4");
    if (t->kind != MEDIA_TRACK_TEXT) {
        media_buf_cstr(out, " segmentAlignment=\"true\" startWithSAP=\"1\"");
    }
    if (t->language[0] != '\0') {
        media_buf_fmt(out, " lang=\"%s\"", t->language);
    }
    media_buf_cstr(out, ">\n");
}

/* One track alone: audio and text. */
static void add_single(const media_cmafset_t *set, const media_track_t *t, int id, media_buf_t *out)
{
    int is_main = t == media_cmafset_default(set, MEDIA_TRACK_AUDIO);
    const char *role = t->kind == MEDIA_TRACK_TEXT ? (t->is_forced ? "forced-subtitle" : "subtitle")
                                                   : (is_main ? "main" : "alternate");
    open_adaptation(t, id, out);
    if (t->title[0] != '\0') {
        media_buf_cstr(out, "      <Label>");
        add_xml(out, t->title);
        media_buf_cstr(out, "</Label>\n");
    }
    media_buf_fmt(out, "      <Role schemeIdUri=\"urn:mpeg:dash:role:2011\" value=\"%s\"/>\n",
                  role);
    add_representation(set, t, t->kind != MEDIA_TRACK_TEXT, out);
    media_buf_cstr(out, "    </AdaptationSet>\n");
}

/* Tracks between which a player may switch: the same kind of codec ("avc1"). */
static int same_family(const media_track_t *a, const media_track_t *b)
{
    size_t len = strcspn(a->codecs, ".");
    return a->kind == b->kind && strcspn(b->codecs, ".") == len &&
           memcmp(a->codecs, b->codecs, len) == 0;
}

/* All video of the codec of track `first`. */
static void add_video(const media_cmafset_t *set, size_t first, int id, media_buf_t *out)
{
    const media_track_t *lead = &set->tracks[first];
    int shared = 1;
    for (size_t i = first; i < set->ntracks; i++) {
        shared &= !same_family(lead, &set->tracks[i]) || same_timeline(lead, &set->tracks[i]);
    }
    open_adaptation(lead, id, out);
    if (shared) {
        add_timeline(lead, "      ", out);
    }
    for (size_t i = first; i < set->ntracks; i++) {
        if (same_family(lead, &set->tracks[i])) {
            add_representation(set, &set->tracks[i], !shared, out);
        }
    }
    media_buf_cstr(out, "    </AdaptationSet>\n");
}

static size_t first_of_family(const media_cmafset_t *set, size_t track)
{
    size_t i = 0;
    while (!same_family(&set->tracks[i], &set->tracks[track])) {
        i++;
    }
    return i;
}

int media_dash_manifest(const media_cmafset_t *set, media_buf_t *out)
{
    int64_t total_us;
    int64_t longest_us;
    int id = 0;
    measure(set, &total_us, &longest_us);
    if (total_us == 0) {
        return MEDIA_E_REJECT;
    }
    media_buf_cstr(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                        "<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\""
                        " profiles=\"urn:mpeg:dash:profile:isoff-live:2011\""
                        " mediaPresentationDuration=\"");
    add_duration(out, total_us);
    media_buf_cstr(out, "\" maxSegmentDuration=\"");
    add_duration(out, longest_us);
    media_buf_cstr(out, "\" minBufferTime=\"");
    add_duration(out, longest_us);
    media_buf_cstr(out, "\">\n  <Period id=\"0\" start=\"PT0S\">\n");
    for (size_t i = 0; i < set->ntracks; i++) {
        const media_track_t *t = &set->tracks[i];
        if (t->kind != MEDIA_TRACK_VIDEO) {
            add_single(set, t, id++, out);
        } else if (first_of_family(set, i) == i) {
            add_video(set, i, id++, out);
        }
    }
    media_buf_cstr(out, "  </Period>\n</MPD>\n");
    return out->failed;
}
