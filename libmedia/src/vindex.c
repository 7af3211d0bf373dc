/* Serialized form: "MVX1", texts and extradata with their lengths, the numbers, both counts,
 * packets, pictures. Integers are LEB128, signed ones zigzag-coded; time stamps and positions are
 * differences to what is usual, so that an ordinary packet takes six to eight bytes. */
#include "media/vindex.h"

#include <stdlib.h>
#include <string.h>

#define MAGIC "MVX1"
#define HAS_PTS 0x10u
#define HAS_DTS 0x20u
#define HAS_POS 0x40u
#define FLAGS_KNOWN (MEDIA_VINDEX_KEY | MEDIA_VINDEX_DISCARD | HAS_PTS | HAS_DTS | HAS_POS)
#define PACKET_BYTES_MIN 2 /* flags, size */
#define FRAME_BYTES_MIN 2

/* ---- rules, the same for writing and reading ---- */

static int ts_ok(int64_t ts)
{
    return ts >= -MEDIA_VINDEX_TS_MAX && ts <= MEDIA_VINDEX_TS_MAX;
}

static const char *check_numbers(const media_vindex_t *v)
{
#define X(name, min, max)                                                                          \
    if (v->name < (min) || v->name > (max)) {                                                      \
        return #name;                                                                              \
    }
    MEDIA_VINDEX_NUMBERS(X)
#undef X
    return NULL;
}

static int packet_ok(const media_vindex_t *v, const media_vindex_packet_t *p)
{
    int64_t size = p->size;

    if ((p->pts != MEDIA_VINDEX_NO_TS && !ts_ok(p->pts)) ||
        (p->dts != MEDIA_VINDEX_NO_TS && !ts_ok(p->dts)) || p->pos < -1 || p->pos > v->file_size ||
        size > v->file_size || size > INT32_MAX) {
        return 0;
    }
    return !v->plain || (p->pos >= 0 && size <= v->file_size - p->pos);
}

static int frame_ok(const media_vindex_t *v, uint32_t i)
{
    const media_vindex_frame_t *f = &v->frames[i];

    return ts_ok(f->pts) && f->packet < v->npackets && (i == 0 || f->pts > v->frames[i - 1].pts) &&
           f->pts < v->end;
}

/* ---- writing ---- */

static uint64_t zigzag(int64_t n)
{
    return ((uint64_t)n << 1) ^ (n < 0 ? UINT64_MAX : 0);
}

static void put(media_buf_t *out, uint64_t n)
{
    uint8_t bytes[10];
    size_t len = 0;

    do {
        bytes[len++] = (uint8_t)((n & 0x7f) | (n > 0x7f ? 0x80 : 0));
        n >>= 7;
    } while (n != 0);
    (void)media_buf_add(out, bytes, len);
}

static void put_text(media_buf_t *out, const void *p, size_t len)
{
    put(out, len);
    (void)media_buf_add(out, p, len);
}

/* What the next packet would say if nothing surprising happened. */
typedef struct {
    int64_t pts, dts, pos;
} usual_t;

static void put_packet(media_buf_t *out, const media_vindex_packet_t *p, usual_t *u)
{
    int has_pts = p->pts != MEDIA_VINDEX_NO_TS, has_dts = p->dts != MEDIA_VINDEX_NO_TS;

    put(out, (p->flags & (MEDIA_VINDEX_KEY | MEDIA_VINDEX_DISCARD)) | (has_pts ? HAS_PTS : 0) |
                 (has_dts ? HAS_DTS : 0) | (p->pos >= 0 ? HAS_POS : 0));
    if (has_dts) {
        put(out, zigzag(p->dts - u->dts));
        u->dts = p->dts;
    }
    if (has_pts) {
        put(out, zigzag(p->pts - (has_dts ? p->dts : u->pts)));
        u->pts = p->pts;
    }
    if (p->pos >= 0) {
        put(out, zigzag(p->pos - u->pos));
        u->pos = p->pos + p->size;
    }
    put(out, p->size);
}

int media_vindex_write(const media_vindex_t *v, media_buf_t *out, media_err_t *ei)
{
    const char *bad = check_numbers(v);
    usual_t u = {0, 0, 0};
    int64_t next = 0, last = 0;

    if (bad != NULL) {
        return media_err_set(ei, MEDIA_E_BUG, "video index: %s is out of range", bad);
    }
    (void)media_buf_add(out, MAGIC, sizeof(MAGIC) - 1);
    put_text(out, v->container, strlen(v->container));
    put_text(out, v->codec, strlen(v->codec));
    put_text(out, v->pix_fmt, strlen(v->pix_fmt));
    put_text(out, v->extradata, v->extradata_len);
#define X(name, min, max) put(out, zigzag(v->name));
    MEDIA_VINDEX_NUMBERS(X)
#undef X
    put(out, v->npackets);
    put(out, v->nframes);
    for (uint32_t i = 0; i < v->npackets; i++) {
        if (!packet_ok(v, &v->packets[i])) {
            return media_err_set(ei, MEDIA_E_BUG, "video index: packet %u breaks a rule", i);
        }
        put_packet(out, &v->packets[i], &u);
    }
    for (uint32_t i = 0; i < v->nframes; i++) {
        const media_vindex_frame_t *f = &v->frames[i];
        if (!frame_ok(v, i)) {
            return media_err_set(ei, MEDIA_E_BUG, "video index: picture %u breaks a rule", i);
        }
        put(out, zigzag((int64_t)f->packet - next));
        put(out, zigzag(f->pts - last));
        next = (int64_t)f->packet + 1;
        last = f->pts;
    }
    return out->failed;
}

/* ---- reading ---- */

typedef struct {
    const uint8_t *p, *end;
    int failed;
} in_t;

static uint64_t get(in_t *in)
{
    uint64_t n = 0;

    for (int shift = 0; shift < 64; shift += 7) {
        uint8_t b;
        if (in->p == in->end) {
            break;
        }
        b = *in->p++;
        if (shift == 63 && b > 1) {
            break;
        }
        n |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) {
            return n;
        }
    }
    in->failed = 1;
    return 0;
}

/* base + a zigzag difference. */
static int64_t get_from(in_t *in, int64_t base)
{
    uint64_t z = get(in);
    int64_t n = (int64_t)(z >> 1) ^ -(int64_t)(z & 1), sum;

    if (__builtin_add_overflow(base, n, &sum)) {
        in->failed = 1;
        return 0;
    }
    return sum;
}

/* A text of printable ASCII. */
static void get_text(in_t *in, char *dst, size_t cap)
{
    uint64_t len = get(in);

    if (in->failed || len >= cap || len > (size_t)(in->end - in->p)) {
        in->failed = 1;
        return;
    }
    for (size_t i = 0; i < len; i++) {
        in->failed |= in->p[i] <= ' ' || in->p[i] > '~';
    }
    memcpy(dst, in->p, len);
    dst[len] = '\0';
    in->p += len;
}

static int get_extradata(in_t *in, media_vindex_t *v)
{
    uint64_t len = get(in);

    if (in->failed || len > MEDIA_VINDEX_EXTRADATA_MAX || len > (size_t)(in->end - in->p)) {
        in->failed = 1;
        return 0;
    }
    if (len > 0) {
        v->extradata = malloc(len);
        if (v->extradata == NULL) {
            return MEDIA_E_NOMEM;
        }
        memcpy(v->extradata, in->p, len);
    }
    v->extradata_len = (uint32_t)len;
    in->p += len;
    return 0;
}

static void get_packet(in_t *in, media_vindex_packet_t *p, usual_t *u)
{
    uint64_t flags = get(in), size;

    in->failed |= (flags & ~(uint64_t)FLAGS_KNOWN) != 0;
    p->flags = flags & (MEDIA_VINDEX_KEY | MEDIA_VINDEX_DISCARD);
    p->pts = p->dts = MEDIA_VINDEX_NO_TS;
    p->pos = -1;
    p->frame = MEDIA_VINDEX_NO_FRAME;
    if (flags & HAS_DTS) {
        u->dts = p->dts = get_from(in, u->dts);
        in->failed |= !ts_ok(p->dts);
    }
    if (flags & HAS_PTS) {
        u->pts = p->pts = get_from(in, flags & HAS_DTS ? p->dts : u->pts);
        in->failed |= !ts_ok(p->pts);
    }
    if (flags & HAS_POS) {
        p->pos = get_from(in, u->pos);
        in->failed |= p->pos < 0;
    }
    size = get(in);
    in->failed |= size > INT32_MAX;
    p->size = (uint32_t)size;
    if (flags & HAS_POS) {
        in->failed |= __builtin_add_overflow(p->pos, (int64_t)p->size, &u->pos);
    }
}

static int get_counts(in_t *in, media_vindex_t *v)
{
    uint64_t npackets = get(in), nframes = get(in), left = (uint64_t)(in->end - in->p);

    if (in->failed || npackets > MEDIA_VINDEX_FRAMES_MAX || nframes > npackets ||
        npackets * PACKET_BYTES_MIN + nframes * FRAME_BYTES_MIN > left) {
        in->failed = 1;
        return 0;
    }
    v->packets = calloc(npackets + 1, sizeof(*v->packets));
    v->frames = calloc(nframes + 1, sizeof(*v->frames));
    v->npackets = (uint32_t)npackets;
    v->nframes = (uint32_t)nframes;
    return v->packets == NULL || v->frames == NULL ? MEDIA_E_NOMEM : 0;
}

static void get_lists(in_t *in, media_vindex_t *v)
{
    usual_t u = {0, 0, 0};
    int64_t next = 0, last = 0;

    for (uint32_t i = 0; i < v->npackets && !in->failed; i++) {
        get_packet(in, &v->packets[i], &u);
        in->failed |= !packet_ok(v, &v->packets[i]);
    }
    for (uint32_t i = 0; i < v->nframes && !in->failed; i++) {
        int64_t packet = get_from(in, next);
        v->frames[i].pts = last = get_from(in, last);
        if (in->failed || packet < 0 || packet >= v->npackets ||
            v->packets[packet].frame != MEDIA_VINDEX_NO_FRAME) {
            in->failed = 1;
            return;
        }
        v->frames[i].packet = (uint32_t)packet;
        v->packets[packet].frame = i;
        next = packet + 1;
        in->failed |= !frame_ok(v, i);
    }
}

int media_vindex_read(const void *p, size_t len, media_vindex_t *v, media_err_t *ei)
{
    in_t in = {p, (const uint8_t *)p + len, 0};
    int rc;

    memset(v, 0, sizeof(*v));
    if (len < sizeof(MAGIC) - 1 || memcmp(p, MAGIC, sizeof(MAGIC) - 1) != 0) {
        return media_err_set(ei, MEDIA_E_REJECT, "video index: unknown format or version");
    }
    in.p += sizeof(MAGIC) - 1;
    get_text(&in, v->container, sizeof(v->container));
    get_text(&in, v->codec, sizeof(v->codec));
    get_text(&in, v->pix_fmt, sizeof(v->pix_fmt));
    rc = get_extradata(&in, v);
#define X(name, min, max) v->name = get_from(&in, 0);
    MEDIA_VINDEX_NUMBERS(X)
#undef X
    in.failed |= check_numbers(v) != NULL;
    if (rc == 0 && !in.failed) {
        rc = get_counts(&in, v);
    }
    if (rc == 0 && !in.failed) {
        get_lists(&in, v);
    }
    if (rc == 0 && (in.failed || in.p != in.end)) {
        rc = MEDIA_E_REJECT;
    }
    if (rc != 0) {
        media_vindex_free(v);
        return media_err_set(ei, rc, "video index: %s",
                             rc == MEDIA_E_NOMEM ? "out of memory" : "damaged");
    }
    return 0;
}

void media_vindex_free(media_vindex_t *v)
{
    free(v->extradata);
    free(v->packets);
    free(v->frames);
    memset(v, 0, sizeof(*v));
}

int64_t media_vindex_frame_end(const media_vindex_t *v, uint32_t i)
{
    return i + 1 < v->nframes ? v->frames[i + 1].pts : v->end;
}
