#include "an_scales.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "media/err.h"

#define SMALL_SIDE 320
#define TILE_FROM 1280 /* longer pictures are also looked at in tiles */
#define TILES_SIDE_MAX 2048
#define EDGE 2      /* pixels: a hit this near to a cut is cut itself */
#define SAME 0.3f   /* overlap (IoU) of two hits of one thing */
#define INSIDE 0.8f /* or this much of the new one in a known one */
#define HALF 0.5f
#define DOUBTFUL 0.625f  /* of 640: a face higher than 400 is placed badly by the whole pass */
#define LARGE 0.3f       /* of 320: what counts of the small pass */
#define ALONE_SCORE 0.8f /* least score of a large face that the whole pass has not seen */
#define TILE_SCORE 0.15f /* more score asked for in a tile: there are many of them */
#define PACKED(w, h) ((size_t)(w) * (size_t)(h)*3)

/* Tiles: `tile` is the longest side of one, `overlap` what two have in common; 0: none. */
static const struct {
    unsigned classes;
    float threshold;
    int whole, tile, overlap;
} plans[AN_KIND_COUNT] = {
    [AN_KIND_YUNET] = {1u << AN_FACE, 0.5f, 640, 1152, 128},
    [AN_KIND_YUNET_2022MAR] = {1u << AN_FACE, 0.7f, 640, 1152, 128},
    [AN_KIND_HAAR] = {1u << AN_FACE, 0.75f, 640, 0, 0},
    [AN_KIND_DNN] = {(1u << AN_CLASS_COUNT) - 1, 0.3f, 640, 800, 200},
    [AN_KIND_HOG] = {1u << AN_PERSON, 0.3f, 640, 0, 0},
    [AN_KIND_PLATES] = {1u << AN_PLATE, 0.8f, 1280, 0, 0},
};

typedef struct {
    const an_scales_t *s;
    const an_ask_t *ask;
    enum an_kind kind;
    an_hit_t *hits; /* AN_HITS_MAX, in pixels of the picture */
    int n;
    int is_full;                 /* there was no room for one more */
    an_hit_t found[AN_HITS_MAX]; /* of one question */
} search_t;

void an_scales_init(an_scales_t *s)
{
    for (int c = 0; c < AN_CLASS_COUNT; c++) {
        s->kind[c] = -1;
        s->threshold[c] = 1;
    }
}

float an_scales_threshold(enum an_kind kind)
{
    return plans[kind].threshold;
}

int an_scales_add(an_scales_t *s, enum an_class c, enum an_kind kind, float threshold)
{
    if ((plans[kind].classes & 1u << c) == 0) {
        return MEDIA_E_REJECT;
    }
    s->kind[c] = (int)kind;
    s->threshold[c] = threshold >= 0 ? threshold : plans[kind].threshold;
    return 0;
}

/* ---- one list out of the passes' ---- */

/* How much of the hit lies in the other. */
static float inside(const an_hit_t *hit, const an_hit_t *other)
{
    float w = fminf(hit->x + hit->w, other->x + other->w) - fmaxf(hit->x, other->x);
    float h = fminf(hit->y + hit->h, other->y + other->h) - fmaxf(hit->y, other->y);

    return w > 0 && h > 0 ? w * h / (hit->w * hit->h) : 0;
}

/* Would a mask of what is known hide it? A small thing in front of a large one is no reason to
 * leave the large one out. */
static int is_known(const search_t *q, const an_hit_t *hit)
{
    for (int i = 0; i < q->n; i++) {
        if (q->hits[i].label == hit->label &&
            (an_iou(&q->hits[i], hit) > SAME || inside(hit, &q->hits[i]) > INSIDE)) {
            return 1;
        }
    }
    return 0;
}

static void add(search_t *q, const an_hit_t *hit)
{
    if (q->n < AN_HITS_MAX) {
        q->hits[q->n++] = *hit;
    } else {
        q->is_full = 1;
    }
}

/* Makes *to the box of both. */
static void widen(an_hit_t *to, const an_hit_t *by)
{
    float right = fmaxf(to->x + to->w, by->x + by->w);
    float bottom = fmaxf(to->y + to->h, by->y + by->h);

    to->x = fminf(to->x, by->x);
    to->y = fminf(to->y, by->y);
    to->w = right - to->x;
    to->h = bottom - to->y;
    to->score = fmaxf(to->score, by->score);
}

/* ---- passes ---- */

/* Does the answer end, for want of room, with a hit that counts? Others behind it would, too. */
static int is_cut_short(const search_t *q, int n, float more)
{
    int is_short = 0;

    for (int c = 0; n >= AN_HITS_MAX && c < AN_CLASS_COUNT; c++) {
        is_short |=
            q->s->kind[c] == (int)q->kind && q->found[n - 1].score >= q->s->threshold[c] + more;
    }
    return is_short;
}

/* Asks about a packed picture; q->found in pixels of the whole one: at (x, y) of what was scaled by
 * `scale`. Those of a class that this kind is not used for, or below its threshold + more, are
 * left out. */
static int ask(search_t *q, const an_picture_t *p, float x, float y, float scale, float more)
{
    int n = q->ask->ask(q->ask->ctx, q->kind, p, q->found, AN_HITS_MAX);
    int kept = 0;

    q->is_full |= is_cut_short(q, n, more);
    for (int i = 0; i < n; i++) {
        an_hit_t f = q->found[i];

        if (f.label < 0 || f.label >= AN_CLASS_COUNT || q->s->kind[f.label] != (int)q->kind ||
            f.score < q->s->threshold[f.label] + more) {
            continue;
        }
        f.x = (f.x + x) / scale;
        f.y = (f.y + y) / scale;
        f.w /= scale;
        f.h /= scale;
        q->found[kept++] = f;
    }
    return n < 0 ? n : kept;
}

/* The picture with a long side of at most `side`, packed. Owned bgr; *scale is what it was made
 * smaller by. */
static int shrink(const an_picture_t *from, int side, an_picture_t *to, float *scale)
{
    int longer = from->width > from->height ? from->width : from->height;
    int w = from->width, h = from->height;
    uint8_t *bgr;

    if (longer > side) {
        w = (int)(((int64_t)w * side + longer / 2) / longer);
        h = (int)(((int64_t)h * side + longer / 2) / longer);
        w = w > 0 ? w : 1;
        h = h > 0 ? h : 1;
    }
    *to = (an_picture_t){.width = w, .height = h, .stride = (size_t)w * 3};
    *scale = longer > side ? (float)side / (float)longer : 1;
    bgr = malloc(PACKED(w, h));
    to->bgr = bgr;
    return bgr != NULL ? an_shrink(from, w, h, bgr) : MEDIA_E_NOMEM;
}

/* The long side of a whole pass: of a near-square picture less, so that the question fits into
 * AN_PICTURE_MAX. (One less than fits: the other side may have been rounded up.) */
static int whole_side(enum an_kind kind, const an_picture_t *p)
{
    double longer = p->width > p->height ? p->width : p->height;
    double shorter = p->width > p->height ? p->height : p->width;
    double most = sqrt((double)(AN_PICTURE_MAX / 3) * longer / shorter) - 1;

    return most < plans[kind].whole ? (int)most : plans[kind].whole;
}

static void drop(an_picture_t *image)
{
    free((void *)(uintptr_t)image->bgr);
    image->bgr = NULL;
}

static int pass_whole(search_t *q, const an_picture_t *whole, float scale)
{
    int n = ask(q, whole, 0, 0, scale, 0);

    for (int i = 0; i < n; i++) {
        add(q, &q->found[i]);
    }
    return n < 0 ? n : 0;
}

/* A large face as the small pass sees it. The whole pass may have put one or two large boxes over
 * parts of it: they become one box with it. A small face within it (on a shirt, on a poster behind)
 * is another one. */
static void add_large(search_t *q, const an_hit_t *hit, float whole_scale)
{
    an_hit_t all = *hit;
    int doubtful = 0, known = 0, kept = 0;

    for (int i = 0; i < q->n; i++) {
        const an_hit_t *h = &q->hits[i];
        int same = h->label == hit->label && (an_iou(h, hit) > SAME || inside(hit, h) > HALF);
        int part = h->label == hit->label && inside(h, hit) > HALF;

        if ((same || part) && h->h * whole_scale > DOUBTFUL * 640) {
            widen(&all, h);
            doubtful++;
        } else {
            known += same;
            q->hits[kept++] = *h;
        }
    }
    q->n = kept;
    if (doubtful > 0 || (known == 0 && hit->score >= ALONE_SCORE)) {
        add(q, &all);
    }
}

/* Large faces again, smaller. */
static int pass_small(search_t *q, const an_picture_t *whole, float whole_scale)
{
    an_picture_t small;
    float scale;
    int rc = shrink(whole, SMALL_SIDE, &small, &scale);

    scale *= whole_scale;
    rc = rc == 0 ? ask(q, &small, 0, 0, scale, 0) : rc;
    for (int i = 0; i < rc; i++) {
        if (q->found[i].h * scale >= LARGE * SMALL_SIDE) {
            add_large(q, &q->found[i], whole_scale);
        }
    }
    drop(&small);
    return rc < 0 ? rc : 0;
}

static int tiles_along(int length, int tile, int overlap)
{
    return length <= tile ? 1 : (length - overlap + tile - overlap - 1) / (tile - overlap);
}

/* Is the hit cut off by a border of the tile that is none of the picture? */
static int is_cut(const an_hit_t *hit, float scale, const an_picture_t *all, int x, int y, int w,
                  int h)
{
    float left = hit->x * scale - (float)x, top = hit->y * scale - (float)y;

    return (x > 0 && left < EDGE) || (y > 0 && top < EDGE) ||
           (x + w < all->width && left + hit->w * scale > (float)(w - EDGE)) ||
           (y + h < all->height && top + hit->h * scale > (float)(h - EDGE));
}

static int pass_tile(search_t *q, const an_picture_t *all, float scale, int x, int y, int w, int h,
                     uint8_t *bgr)
{
    const an_picture_t part = {all->bgr + (size_t)y * all->stride + (size_t)x * 3, w, h,
                               all->stride};
    const an_picture_t packed = {bgr, w, h, (size_t)w * 3};
    int n = an_shrink(&part, w, h, bgr);

    n = n == 0 ? ask(q, &packed, (float)x, (float)y, scale, TILE_SCORE) : n;
    for (int i = 0; i < n; i++) {
        const an_hit_t *hit = &q->found[i];
        int large =
            hit->label == AN_FACE && fmaxf(hit->w, hit->h) * scale > (float)plans[q->kind].overlap;

        if (!large && !is_cut(hit, scale, all, x, y, w, h) && !is_known(q, hit)) {
            add(q, hit);
        }
    }
    return n < 0 ? n : 0;
}

static int pass_tiles(search_t *q, const an_picture_t *all, float scale)
{
    int overlap = plans[q->kind].overlap, tile = plans[q->kind].tile;
    int cols = tiles_along(all->width, tile, overlap);
    int rows = tiles_along(all->height, tile, overlap);
    int w = (all->width + (cols - 1) * overlap + cols - 1) / cols;
    int h = (all->height + (rows - 1) * overlap + rows - 1) / rows;
    uint8_t *bgr = malloc(PACKED(w, h));
    int rc = bgr != NULL ? 0 : MEDIA_E_NOMEM;

    for (int i = 0; rc == 0 && i < rows * cols; i++) {
        int x = i % cols * (w - overlap), y = i / cols * (h - overlap);

        x = x + w > all->width ? all->width - w : x;
        y = y + h > all->height ? all->height - h : y;
        rc = pass_tile(q, all, scale, x, y, w, h, bgr);
    }
    free(bgr);
    return rc;
}

/* All passes of one kind. */
static int search(search_t *q, const an_picture_t *picture)
{
    int longer = picture->width > picture->height ? picture->width : picture->height;
    int side = longer / 2 < TILE_FROM ? TILE_FROM : longer / 2;
    int with_tiles = plans[q->kind].tile > 0 && longer > TILE_FROM;
    an_picture_t tiled = {.bgr = NULL}, whole = {.bgr = NULL};
    float tiled_scale = 1, scale = 1;
    int rc = 0;

    side = side < TILES_SIDE_MAX ? side : TILES_SIDE_MAX;
    if (with_tiles) {
        rc = shrink(picture, side, &tiled, &tiled_scale);
    }
    if (rc == 0) {
        const an_picture_t *from = with_tiles ? &tiled : picture;

        rc = shrink(from, whole_side(q->kind, from), &whole, &scale);
        scale *= tiled_scale;
    }
    rc = rc == 0 ? pass_whole(q, &whole, scale) : rc;
    if (rc == 0 && (q->kind == AN_KIND_YUNET || q->kind == AN_KIND_YUNET_2022MAR) &&
        (whole.width > SMALL_SIDE || whole.height > SMALL_SIDE)) {
        rc = pass_small(q, &whole, scale);
    }
    rc = rc == 0 && with_tiles ? pass_tiles(q, &tiled, tiled_scale) : rc;
    drop(&whole);
    drop(&tiled);
    return rc;
}

int an_scales_find(const an_scales_t *s, const an_picture_t *picture, const an_ask_t *who,
                   an_hit_t *hits, int max)
{
    search_t *q = calloc(1, sizeof(*q));
    an_hit_t *all = calloc(AN_HITS_MAX, sizeof(*all));
    unsigned asked = 0;
    int rc = q == NULL || all == NULL ? MEDIA_E_NOMEM : 0;

    if (picture->width < 1 || picture->height < 1 || picture->width > 65535 ||
        picture->height > 65535) {
        rc = MEDIA_E_REJECT;
    }
    if (rc == 0) {
        *q = (search_t){.s = s, .ask = who, .hits = all};
    }
    for (int c = 0; rc == 0 && c < AN_CLASS_COUNT; c++) {
        if (s->kind[c] >= 0 && (asked & 1u << s->kind[c]) == 0) {
            asked |= 1u << s->kind[c];
            q->kind = (enum an_kind)s->kind[c];
            rc = search(q, picture);
        }
    }
    if (rc == 0 && (q->is_full || q->n > max)) {
        rc = MEDIA_E_TOOBIG;
    }
    if (rc == 0) {
        rc = an_nms(all, q->n, 1); /* sorts: each thing is there once already */
        memcpy(hits, all, (size_t)rc * sizeof(*hits));
    }
    free(all);
    free(q);
    return rc;
}
