/* What playlist and manifest ask of a set. */
#include "media/cmafset.h"

#include <string.h>

/* Segments looked at together for the peak; more of them last 0.5 to 1.5 target durations only
 * where they are tiny. */
#define WINDOW_MAX 64

const media_track_t *media_cmafset_track(const media_cmafset_t *set, media_str_t name)
{
    for (size_t i = 0; i < set->ntracks; i++) {
        if (media_str_eq(media_str(set->tracks[i].name), name)) {
            return &set->tracks[i];
        }
    }
    return NULL;
}

const media_track_t *media_cmafset_default(const media_cmafset_t *set, enum media_track_kind kind)
{
    const media_track_t *first = NULL;
    for (size_t i = 0; i < set->ntracks; i++) {
        const media_track_t *t = &set->tracks[i];
        if (t->kind == kind && t->is_default) {
            return t;
        }
        if (t->kind == kind && first == NULL) {
            first = t;
        }
    }
    return kind == MEDIA_TRACK_TEXT ? NULL : first;
}

int64_t media_track_end(const media_track_t *t)
{
    int64_t end = t->start;
    for (size_t i = 0; i < t->nsegments; i++) {
        end += t->segments[i].duration;
    }
    return end;
}

/* a * b / c, rounded down or up, cut to what fits */
static int64_t mul_div(int64_t a, int64_t b, int64_t c, int up)
{
    unsigned __int128 v = (unsigned __int128)a * (unsigned __int128)b;
    v = (v + (unsigned __int128)(up ? c - 1 : 0)) / (unsigned __int128)c;
    return v > INT64_MAX ? INT64_MAX : (int64_t)v;
}

int64_t media_track_us(const media_track_t *t, int64_t ticks, int up)
{
    return mul_div(ticks, 1000000, t->timescale, up);
}

static int64_t longest_s(const media_track_t *t)
{
    int64_t longest = 0;
    for (size_t i = 0; i < t->nsegments; i++) {
        longest = t->segments[i].duration > longest ? t->segments[i].duration : longest;
    }
    int64_t s = (longest + t->timescale / 2) / t->timescale;
    return s > 0 ? s : 1;
}

int64_t media_cmafset_target_s(const media_cmafset_t *set, const media_track_t *t)
{
    int64_t target = longest_s(t);
    for (size_t i = 0; i < set->ntracks && t->kind != MEDIA_TRACK_TEXT; i++) {
        if (set->tracks[i].kind != MEDIA_TRACK_TEXT) {
            int64_t s = longest_s(&set->tracks[i]);
            target = s > target ? s : target;
        }
    }
    return target;
}

static int64_t size_of(const media_segment_t *s, int iframes)
{
    return iframes ? s->iframe_bytes : s->bytes;
}

static int64_t bit_rate(const media_track_t *t, int64_t bytes, int64_t duration)
{
    return mul_div(bytes, 8 * t->timescale, duration, 1);
}

/* The largest rate of segments from `first` on that together last 0.5 to 1.5 targets; 0: none. */
static int64_t peak_from(const media_track_t *t, size_t first, int64_t target, int iframes)
{
    int64_t duration = 0;
    int64_t bytes = 0;
    int64_t peak = 0;
    for (size_t i = first; i < t->nsegments && i - first < WINDOW_MAX; i++) {
        duration += t->segments[i].duration;
        bytes += size_of(&t->segments[i], iframes);
        if (duration > target + target / 2) {
            break;
        }
        if (duration >= target / 2) {
            int64_t rate = bit_rate(t, bytes, duration);
            peak = rate > peak ? rate : peak;
        }
    }
    return peak;
}

static media_rate_t measure(const media_cmafset_t *set, const media_track_t *t, int iframes)
{
    media_rate_t r = {0, 0};
    int64_t target = media_cmafset_target_s(set, t) * t->timescale;
    int64_t bytes = 0;
    for (size_t i = 0; i < t->nsegments; i++) {
        int64_t peak = peak_from(t, i, target, iframes);
        r.peak = peak > r.peak ? peak : r.peak;
        bytes += size_of(&t->segments[i], iframes);
    }
    r.average = bit_rate(t, bytes, media_track_end(t) - t->start);
    /* a track shorter than half a target has no peak but this */
    r.peak = r.peak > r.average ? r.peak : r.average;
    return r;
}

media_rate_t media_cmafset_rate(const media_cmafset_t *set, const media_track_t *t)
{
    return measure(set, t, 0);
}

media_rate_t media_cmafset_iframe_rate(const media_cmafset_t *set, const media_track_t *t)
{
    return measure(set, t, 1);
}

int media_track_has_iframes(const media_track_t *t)
{
    for (size_t i = 0; i < t->nsegments; i++) {
        if (t->segments[i].iframe_bytes == 0) {
            return 0;
        }
    }
    return t->kind == MEDIA_TRACK_VIDEO;
}

void media_cmafset_dir(const media_cmafset_t *set, const media_track_t *t, media_buf_t *out)
{
    media_buf_fmt(out, "%s%lld/%s/", set->segments, (long long)t->revision, t->name);
}

const char *media_track_ext(const media_track_t *t)
{
    return t->kind == MEDIA_TRACK_TEXT ? "vtt" : "m4s";
}
