#include "an_found.h"

#include <math.h>
#include <stdlib.h>

#include "an_bytes.h"

#define MAGIC 0x31464e41u /* "ANF1" */
#define HIT_BYTES 24
#define EDGE_MAX 16.0f /* of a hit, in pictures: it may reach over the edges */

static int grow(void **p, uint32_t *cap, uint32_t want, uint32_t most, size_t size)
{
    uint32_t next = *cap == 0 ? 256 : *cap;
    void *q;

    if (want <= *cap) {
        return 0;
    }
    if (want > most) {
        return -1;
    }
    while (next < want) {
        next *= 2;
    }
    q = realloc(*p, next * size);
    if (q == NULL) {
        return -1;
    }
    *p = q;
    *cap = next;
    return 0;
}

static int is_box(const an_hit_t *h)
{
    return isfinite(h->x) && isfinite(h->y) && isfinite(h->w) && isfinite(h->h) &&
           isfinite(h->score) && fabsf(h->x) < EDGE_MAX && fabsf(h->y) < EDGE_MAX && h->w > 0 &&
           h->h > 0 && h->w < EDGE_MAX && h->h < EDGE_MAX && h->label >= 0 &&
           h->label < AN_CLASS_COUNT;
}

int an_found_look(an_found_t *f, uint32_t picture, uint32_t flags, const an_hit_t *hits, int n,
                  media_err_t *ei)
{
    an_look_t look = {picture, flags, f->nhits, (uint32_t)n};

    if (f->nlooks > 0 && f->looks[f->nlooks - 1].picture >= picture) {
        return media_err_set(ei, MEDIA_E_REJECT, "the detections are out of order");
    }
    for (int i = 0; i < n; i++) {
        if (!is_box(&hits[i])) { /* what it should have been is not known: not left out */
            return media_err_set(ei, MEDIA_E_REJECT, "a detection is no box");
        }
    }
    if (n < 0 || n > AN_HITS_MAX ||
        grow((void **)&f->looks, &f->looks_cap, f->nlooks + 1, AN_FOUND_LOOKS_MAX,
             sizeof(*f->looks)) != 0 ||
        grow((void **)&f->hits, &f->hits_cap, f->nhits + (uint32_t)n, AN_FOUND_HITS_MAX,
             sizeof(*f->hits)) != 0) {
        return media_err_set(ei, MEDIA_E_TOOBIG, "the detections are too many");
    }
    if (n > 0) {
        memcpy(&f->hits[f->nhits], hits, (size_t)n * sizeof(*hits));
    }
    f->nhits += look.n;
    f->looks[f->nlooks++] = look;
    return 0;
}

void an_found_free(an_found_t *f)
{
    free(f->looks);
    free(f->hits);
    memset(f, 0, sizeof(*f));
}

int an_found_write(const an_found_t *f, media_buf_t *out)
{
    an_put(out, MAGIC, 4);
    an_put(out, f->nlooks, 4);
    for (uint32_t i = 0; i < f->nlooks; i++) {
        const an_look_t *l = &f->looks[i];

        an_put(out, l->picture, 4);
        an_put(out, l->flags, 4);
        an_put(out, l->n, 4);
        for (uint32_t k = l->first; k < l->first + l->n; k++) {
            const an_hit_t *h = &f->hits[k];

            an_put_float(out, h->x);
            an_put_float(out, h->y);
            an_put_float(out, h->w);
            an_put_float(out, h->h);
            an_put_float(out, h->score);
            an_put(out, (uint32_t)h->label, 4);
        }
    }
    return out->failed;
}

static int read_look(an_bytes_t *r, an_found_t *f, media_err_t *ei)
{
    an_hit_t hits[AN_HITS_MAX];
    uint32_t picture = (uint32_t)an_get(r, 4);
    uint32_t flags = (uint32_t)an_get(r, 4);
    uint32_t n = (uint32_t)an_get(r, 4);

    if (r->bad || n > AN_HITS_MAX || r->left < (size_t)n * HIT_BYTES) {
        return media_err_set(ei, MEDIA_E_REJECT, "the detections are cut off");
    }
    for (uint32_t i = 0; i < n; i++) {
        an_hit_t *h = &hits[i];

        h->x = an_get_float(r);
        h->y = an_get_float(r);
        h->w = an_get_float(r);
        h->h = an_get_float(r);
        h->score = an_get_float(r);
        h->label = (int32_t)an_get(r, 4);
    }
    return an_found_look(f, picture, flags, hits, (int)n, ei) == 0 ? 0 : MEDIA_E_REJECT;
}

int an_found_read(const void *p, size_t len, an_found_t *f, media_err_t *ei)
{
    an_bytes_t r = {p, len, 0};
    uint32_t magic = (uint32_t)an_get(&r, 4);
    uint32_t n = (uint32_t)an_get(&r, 4);
    int rc = 0;

    if (r.bad || magic != MAGIC) {
        return media_err_set(ei, MEDIA_E_REJECT, "the detections are of another kind");
    }
    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        rc = read_look(&r, f, ei);
    }
    return rc != 0 || r.left == 0
               ? rc
               : media_err_set(ei, MEDIA_E_REJECT, "there is something behind the detections");
}
