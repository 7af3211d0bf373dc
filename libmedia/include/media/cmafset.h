/* A packaged CMAF set: what playlists and manifests are made from. The package step reads it as
 * one JSON document (rows of the database) and writes text from it; no segment is opened for that.
 *
 * {"segments":"../cmaf/","tracks":[{"name":"360p","kind":"video","revision":1,
 *   "codecs":"avc1.4d401e","timescale":12800,"start":0,"width":640,"height":360,"fps":[25,1],
 *   "segments":[[duration,bytes,iframe_offset,iframe_bytes],...]},
 *  {"name":"audio-de","kind":"audio","revision":1,"codecs":"mp4a.40.2","timescale":48000,
 *   "channels":2,"rate":48000,"language":"de","title":"...","default":true,
 *   "segments":[[duration,bytes],...]},
 *  {"name":"sub-de","kind":"text","revision":1,"timescale":1000,"language":"de","forced":false,
 *   "segments":[[duration,bytes]]}]}
 *
 * Segment n (from 1) of a track is reached at {segments}{revision}/{name}/{n}.m4s (text: .vtt), its
 * init segment at .../init.mp4; `segments` is relative to the playlists. A text track is one file:
 * DASH players know no other WebVTT. The order of the tracks is kept. */
#ifndef MEDIA_CMAFSET_H
#define MEDIA_CMAFSET_H

#include "media/buf.h"
#include "media/codecs.h"
#include "media/err.h"

#define MEDIA_CMAFSET_JSON_MAX (8 << 20)
#define MEDIA_CMAFSET_TRACKS_MAX 64
#define MEDIA_CMAFSET_SEGMENTS_MAX 200000 /* of all tracks: ten rungs of a day in 4 s */
#define MEDIA_SEGMENT_BYTES_MAX (INT64_C(1) << 32)
#define MEDIA_TRACK_TICKS_MAX (INT64_C(1) << 53)

#define MEDIA_TRACK_KINDS(X)                                                                       \
    X(VIDEO, "video")                                                                              \
    X(AUDIO, "audio")                                                                              \
    X(TEXT, "text")

enum media_track_kind {
#define X(name, text) MEDIA_TRACK_##name,
    MEDIA_TRACK_KINDS(X)
#undef X
        MEDIA_TRACK_KIND_COUNT
};
const char *media_track_kind_name(enum media_track_kind kind);

typedef struct {
    int64_t duration; /* presented, ticks of the track's timescale */
    int64_t bytes;
    int64_t iframe_offset; /* video: where the moof starts ... */
    int64_t iframe_bytes;  /* ... and what its first picture needs from there; 0: no such range */
} media_segment_t;

typedef struct {
    enum media_track_kind kind;
    char name[64]; /* [a-z0-9_-], unique in the set */
    int64_t revision;
    char codecs[MEDIA_CODECS_MAX]; /* empty for text */
    int64_t timescale;
    int64_t start;     /* presentation time of the first segment */
    int width, height; /* video */
    int fps_num, fps_den;
    int channels, rate; /* audio */
    char language[36];  /* RFC 5646; empty: unknown */
    char title[128];    /* for people; may be empty */
    int is_default;
    int is_forced; /* text */
    size_t nsegments;
    media_segment_t *segments;
} media_track_t;

typedef struct {
    char segments[128]; /* URI prefix of all segments */
    size_t ntracks;
    media_track_t tracks[MEDIA_CMAFSET_TRACKS_MAX];
} media_cmafset_t;

/* Reads the document. Owned result in *out (media_cmafset_free); MEDIA_E_REJECT with the cause,
 * MEDIA_E_TOOBIG above a limit, MEDIA_E_NOMEM. [any] */
int media_cmafset_read(media_str_t text, media_cmafset_t **out, media_err_t *ei);
void media_cmafset_free(media_cmafset_t *set); /* NULL safe */

/* The track of that name, borrowed; NULL: none. [any] */
const media_track_t *media_cmafset_track(const media_cmafset_t *set, media_str_t name);
/* The track of a kind that a player takes unasked, borrowed: the first that is marked, else (text
 * apart) the first; NULL: none. [any] */
const media_track_t *media_cmafset_default(const media_cmafset_t *set, enum media_track_kind kind);

/* What a stream needs of a network, bit/s, rounded up. Peak as RFC 8216bis 4.1 defines it: the
 * largest rate of contiguous segments that together last 0.5 to 1.5 target durations. [any] */
typedef struct {
    int64_t peak;
    int64_t average;
} media_rate_t;
media_rate_t media_cmafset_rate(const media_cmafset_t *set, const media_track_t *t);
media_rate_t media_cmafset_iframe_rate(const media_cmafset_t *set, const media_track_t *t);
/* 1 if every segment of a video has an I-frame range. [any] */
int media_track_has_iframes(const media_track_t *t);

/* The target duration, s: the longest segment, rounded to the nearest, at least 1. All video and
 * audio have one (RFC 8216bis 6.2.4), text its own. [any] */
int64_t media_cmafset_target_s(const media_cmafset_t *set, const media_track_t *t);
/* When the track ends, ticks. [any] */
int64_t media_track_end(const media_track_t *t);
/* `ticks` of the track in microseconds, rounded down or up. [any] */
int64_t media_track_us(const media_track_t *t, int64_t ticks, int up);

/* Appends the URI of a track's directory, "../cmaf/1/360p/". [any] */
void media_cmafset_dir(const media_cmafset_t *set, const media_track_t *t, media_buf_t *out);
#define MEDIA_CMAFSET_INIT "init.mp4"
/* "m4s" or "vtt" [any] */
const char *media_track_ext(const media_track_t *t);

#endif
