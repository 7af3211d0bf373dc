#include "media/ladder.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "media/json.h"

#define SIDE_MAX 32768
/* Frame rates come measured: 60.02 is 60. */
#define FPS_SLACK_PERCENT 101
#define FRAME_STEP_MAX 64

static const struct {
    media_ladder_rung_t rung;
    int by_default;
} table[] = {
#define X(height, kbps, high_kbps, by_default) {{height, kbps, high_kbps, 0}, by_default},
    MEDIA_LADDER_RUNGS(X)
#undef X
};

static const struct {
    const char *name;
    size_t offset;
    int lo, hi, value;
} ints[] = {
#define X(name, lo, hi, value) {#name, offsetof(media_ladder_params_t, name), lo, hi, value},
    MEDIA_LADDER_INTS(X)
#undef X
};

static const struct {
    const char *name;
    size_t offset;
    int lo, hi;
} rung_ints[] = {
#define X(name, lo, hi) {#name, offsetof(media_ladder_rung_t, name), lo, hi},
    MEDIA_LADDER_RUNG_INTS(X)
#undef X
};

#define X(name) #name,
static const char *const presets[] = {MEDIA_LADDER_PRESETS(X) NULL};
static const char *const profiles[] = {MEDIA_LADDER_PROFILES(X) NULL};
static const char *const remuxes[] = {MEDIA_LADDER_REMUXES(X) NULL};
#undef X

static const media_ladder_rung_t *table_find(int64_t height)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].rung.height == height) {
            return &table[i].rung;
        }
    }
    return NULL;
}

static int *int_at(media_ladder_params_t *p, size_t i)
{
    return (int *)(void *)((char *)p + ints[i].offset);
}

static void set_defaults(media_ladder_params_t *p)
{
    memset(p, 0, sizeof(*p));
    for (size_t i = 0; i < sizeof(ints) / sizeof(ints[0]); i++) {
        *int_at(p, i) = ints[i].value;
    }
    p->preset = "medium";
    p->profile = "main";
    p->remux = "auto";
}

static void default_rungs(media_ladder_params_t *p)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].by_default) {
            p->rungs[p->nrungs] = table[i].rung;
            p->rungs[p->nrungs++].crf = p->crf;
        }
    }
}

/* One of the names of a list; absent leaves *out. */
static int read_choice(const json_t *obj, const char *name, const char *const *list,
                       const char **out, media_err_t *ei)
{
    media_str_t s;
    if (json_object_get(obj, name) == NULL) {
        return 0;
    }
    if (media_json_str(obj, name, 32, &s, ei) != 0) {
        return MEDIA_E_REJECT;
    }
    for (; *list != NULL; list++) {
        if (media_str_eq(s, media_str(*list))) {
            *out = *list;
            return 0;
        }
    }
    return media_err_set(ei, MEDIA_E_REJECT, "member \"%s\" has an unknown value", name);
}

/* An integer; absent leaves *out. */
static int read_number(const json_t *obj, const char *name, int lo, int hi, int *out,
                       media_err_t *ei)
{
    int64_t v;
    if (json_object_get(obj, name) == NULL) {
        return 0;
    }
    if (media_json_int(obj, name, lo, hi, &v, ei) != 0) {
        return MEDIA_E_REJECT;
    }
    *out = (int)v;
    return 0;
}

/* Where `r` comes with 0, the height's row of the table holds. */
static int complete_rung(media_ladder_rung_t *r, media_err_t *ei)
{
    const media_ladder_rung_t *known = table_find(r->height);
    if (r->height == 0) {
        return media_err_set(ei, MEDIA_E_REJECT, "member \"height\" is missing");
    }
    if (known == NULL && r->kbps == 0) {
        return media_err_set(ei, MEDIA_E_REJECT, "member \"kbps\" is missing");
    }
    if (r->high_kbps == 0) {
        r->high_kbps = known != NULL ? known->high_kbps : r->kbps;
    }
    r->kbps = r->kbps == 0 ? known->kbps : r->kbps;
    return 0;
}

static int read_rung_object(const json_t *v, media_ladder_rung_t *r, media_err_t *ei)
{
    const char *members[sizeof(rung_ints) / sizeof(rung_ints[0]) + 1] = {NULL};
    for (size_t i = 0; i < sizeof(rung_ints) / sizeof(rung_ints[0]); i++) {
        int *at = (int *)(void *)((char *)r + rung_ints[i].offset);
        members[i] = rung_ints[i].name;
        if (read_number(v, members[i], rung_ints[i].lo, rung_ints[i].hi, at, ei) != 0) {
            return MEDIA_E_REJECT;
        }
    }
    return media_json_only(v, members, ei) != 0 ? MEDIA_E_REJECT : complete_rung(r, ei);
}

/* `r` comes with what holds unless it is said. */
static int read_rung(const json_t *v, media_ladder_rung_t *r, media_err_t *ei)
{
    const media_ladder_rung_t *known;
    if (json_is_object(v)) {
        return read_rung_object(v, r, ei);
    }
    known = json_is_integer(v) ? table_find(json_integer_value(v)) : NULL;
    if (known == NULL) {
        return media_err_set(ei, MEDIA_E_REJECT, "not a height of the table and not an object");
    }
    *r = (media_ladder_rung_t){known->height, known->kbps, known->high_kbps, r->crf};
    return 0;
}

static int read_rungs(const json_t *obj, media_ladder_params_t *p, media_err_t *ei)
{
    const json_t *list = json_object_get(obj, "rungs");
    media_err_t cause;
    size_t n = json_array_size(list);
    if (list == NULL) {
        default_rungs(p);
        return 0;
    }
    if (n < 1 || n > MEDIA_LADDER_MAX) {
        return media_err_set(ei, MEDIA_E_REJECT, "member \"rungs\" is not a list of 1 to %d rungs",
                             MEDIA_LADDER_MAX);
    }
    for (p->nrungs = 0; p->nrungs < (int)n; p->nrungs++) {
        media_ladder_rung_t r = {.crf = p->crf};
        if (read_rung(json_array_get(list, (size_t)p->nrungs), &r, &cause) != 0) {
            return media_err_set(ei, MEDIA_E_REJECT, "rungs[%d]: %s", p->nrungs, cause.text);
        }
        int at = p->nrungs;
        for (; at > 0 && p->rungs[at - 1].height >= r.height; at--) {
            if (p->rungs[at - 1].height == r.height) {
                return media_err_set(ei, MEDIA_E_REJECT, "rungs[%d]: height %d occurs twice",
                                     p->nrungs, r.height);
            }
            p->rungs[at] = p->rungs[at - 1];
        }
        p->rungs[at] = r;
    }
    return 0;
}

/* Everything but the rungs, whose CRF is among it. */
static int read_scalars(const json_t *obj, media_ladder_params_t *p, media_err_t *ei)
{
    const char *members[sizeof(ints) / sizeof(ints[0]) + 5] = {"rungs", "preset", "profile",
                                                               "remux"};
    for (size_t i = 0; i < sizeof(ints) / sizeof(ints[0]); i++) {
        members[4 + i] = ints[i].name;
    }
    if (media_json_only(obj, members, ei) != 0) {
        return MEDIA_E_REJECT;
    }
    for (size_t i = 0; i < sizeof(ints) / sizeof(ints[0]); i++) {
        if (read_number(obj, ints[i].name, ints[i].lo, ints[i].hi, int_at(p, i), ei) != 0) {
            return MEDIA_E_REJECT;
        }
    }
    return read_choice(obj, "preset", presets, &p->preset, ei) != 0 ||
                   read_choice(obj, "profile", profiles, &p->profile, ei) != 0 ||
                   read_choice(obj, "remux", remuxes, &p->remux, ei) != 0
               ? MEDIA_E_REJECT
               : 0;
}

int media_ladder_params(const json_t *obj, media_ladder_params_t *out, media_err_t *ei)
{
    set_defaults(out);
    if (obj == NULL) {
        default_rungs(out);
        return 0;
    }
    if (!json_is_object(obj)) {
        return media_err_set(ei, MEDIA_E_REJECT, "not an object");
    }
    int rc = read_scalars(obj, out, ei);
    return rc != 0 ? rc : read_rungs(obj, out, ei);
}

/* ---- the rungs of a source ---- */

/* num/den is above `limit` frames a second by more than measuring may add */
static int faster_than(const media_ladder_source_t *s, int step, int limit)
{
    return s->fps_den > 0 &&
           (int64_t)s->fps_num * 100 > (int64_t)s->fps_den * limit * step * FPS_SLACK_PERCENT;
}

static int even(int64_t v)
{
    return v < 2 ? 2 : (int)(v & ~INT64_C(1));
}

/* a * num / den to the nearest even number */
static int scale_even(int64_t a, int64_t num, int64_t den)
{
    int64_t half = (a * num + den) / (2 * den);
    return half < 1 ? 2 : (int)(2 * half);
}

/* The picture as it is shown: square pixels, upright. */
static int shown_size(const media_ladder_source_t *s, int *w, int *h, media_err_t *ei)
{
    int64_t width = s->width;
    if (s->width < 1 || s->height < 1 || s->width > SIDE_MAX || s->height > SIDE_MAX) {
        return media_err_set(ei, MEDIA_E_REJECT, "the picture is %dx%d, allowed are 1 to %d a side",
                             s->width, s->height, SIDE_MAX);
    }
    if (s->sar_num > 0 && s->sar_den > 0) {
        width = ((int64_t)s->width * s->sar_num + s->sar_den / 2) / s->sar_den;
    }
    if (width < 1 || width > SIDE_MAX) {
        return media_err_set(ei, MEDIA_E_REJECT, "pixels of %d:%d make the picture %lld wide",
                             s->sar_num, s->sar_den, (long long)width);
    }
    int upright = s->rotation % 180 == 0;
    *w = upright ? (int)width : s->height;
    *h = upright ? s->height : (int)width;
    return 0;
}

static void set_rate(media_rendition_t *r, const media_ladder_params_t *p,
                     const media_ladder_rung_t *rung, int high)
{
    r->crf = rung->crf;
    r->maxrate_bps = (int64_t)(high ? rung->high_kbps : rung->kbps) * p->rate_percent * 10;
    r->bufsize_bits = r->maxrate_bps;
}

static void add_rung(media_ladder_t *l, const media_ladder_params_t *p,
                     const media_ladder_rung_t *rung, int w, int h, int high)
{
    media_rendition_t *r = &l->rungs[l->n];
    int side = w < h ? w : h;
    int target = even(rung->height < side ? rung->height : side);
    int last = l->n == 0 ? 0 : r[-1].width < r[-1].height ? r[-1].width : r[-1].height;
    if (target == last) {
        return;
    }
    l->n++;
    r->width = w < h ? target : scale_even(w, target, h);
    r->height = w < h ? scale_even(h, target, w) : target;
    (void)snprintf(r->name, sizeof(r->name), "%dp", target);
    set_rate(r, p, rung, high);
}

int media_ladder_make(const media_ladder_params_t *params, const media_ladder_source_t *source,
                      media_ladder_t *out, media_err_t *ei)
{
    int w = 0;
    int h = 0;
    memset(out, 0, sizeof(*out));
    if (shown_size(source, &w, &h, ei) != 0) {
        return MEDIA_E_REJECT;
    }
    out->frame_step = 1;
    while (out->frame_step < FRAME_STEP_MAX &&
           faster_than(source, out->frame_step, params->max_fps)) {
        out->frame_step *= 2;
    }
    int high = faster_than(source, out->frame_step, params->high_fps);
    int side = w < h ? w : h;
    for (int i = 0; i < params->nrungs && params->rungs[i].height <= side; i++) {
        add_rung(out, params, &params->rungs[i], w, h, high);
        if (params->rungs[i].height <= params->first_height) {
            out->first = out->n - 1;
        }
    }
    if (out->n == 0) {
        add_rung(out, params, &params->rungs[0], w, h, high);
    }
    return 0;
}
