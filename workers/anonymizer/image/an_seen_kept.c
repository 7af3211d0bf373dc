#include "an_seen_kept.h"

#include <math.h>
#include <stdlib.h>

#include "an_bytes.h"

#define MAGIC 0x31534e41u /* "ANS1" */
#define HIT_BYTES 36
#define SIDE_MAX (1 << 20) /* of a picture */

static void put_double(media_buf_t *b, double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof(bits));
    an_put(b, bits, sizeof(bits));
}

static double get_double(an_bytes_t *r)
{
    uint64_t bits = an_get(r, sizeof(bits));
    double v;

    memcpy(&v, &bits, sizeof(v));
    return v;
}

int an_seen_write(const an_seen_t *s, media_buf_t *out)
{
    char *detectors = json_dumps(s->detectors, JSON_COMPACT | JSON_ENCODE_ANY);
    size_t len = detectors != NULL ? strlen(detectors) : 0;

    an_put(out, MAGIC, 4);
    an_put(out, (uint32_t)s->width, 4);
    an_put(out, (uint32_t)s->height, 4);
    an_put(out, (uint32_t)s->n, 4);
    for (int i = 0; i < s->n; i++) {
        const an_seen_hit_t *h = &s->hits[i];

        put_double(out, h->at_s);
        an_put(out, (uint32_t)h->id, 4);
        an_put_float(out, h->hit.x);
        an_put_float(out, h->hit.y);
        an_put_float(out, h->hit.w);
        an_put_float(out, h->hit.h);
        an_put_float(out, h->hit.score);
        an_put(out, (uint32_t)h->hit.label, 4);
    }
    (void)media_buf_add(out, detectors, len);
    free(detectors);
    return out->failed;
}

static int is_side(float v)
{
    return isfinite(v) && fabsf(v) <= SIDE_MAX;
}

/* Ids begin with 1, and each is seen first behind all before it. */
static int read_hit(an_bytes_t *r, an_seen_t *s)
{
    an_seen_hit_t *h = &s->hits[s->n];
    double before_s = s->n > 0 ? h[-1].at_s : 0;

    h->at_s = get_double(r);
    h->id = (int)(int32_t)an_get(r, 4);
    h->hit.x = an_get_float(r);
    h->hit.y = an_get_float(r);
    h->hit.w = an_get_float(r);
    h->hit.h = an_get_float(r);
    h->hit.score = an_get_float(r);
    h->hit.label = (int32_t)an_get(r, 4);
    if (!isfinite(h->at_s) || h->at_s < before_s || h->id < 1 || h->id > s->ntracks + 1 ||
        !is_side(h->hit.x) || !is_side(h->hit.y) || !is_side(h->hit.w) || !is_side(h->hit.h) ||
        h->hit.w < 0 || h->hit.h < 0 || !isfinite(h->hit.score) || h->hit.label < 0 ||
        h->hit.label >= AN_CLASS_COUNT) {
        return -1;
    }
    s->ntracks = h->id > s->ntracks ? h->id : s->ntracks;
    s->n++;
    return 0;
}

int an_seen_read(const void *p, size_t len, an_seen_t *s, media_err_t *ei)
{
    an_bytes_t r = {p, len, 0};
    uint32_t magic = (uint32_t)an_get(&r, 4);
    uint32_t width = (uint32_t)an_get(&r, 4);
    uint32_t height = (uint32_t)an_get(&r, 4);
    uint32_t n = (uint32_t)an_get(&r, 4);

    memset(s, 0, sizeof(*s));
    if (r.bad || magic != MAGIC || width - 1 >= SIDE_MAX || height - 1 >= SIDE_MAX) {
        return media_err_set(ei, MEDIA_E_REJECT, "what was found is of another kind");
    }
    if (n > AN_SEEN_MAX || r.left < (size_t)n * HIT_BYTES) {
        return media_err_set(ei, MEDIA_E_REJECT, "what was found is cut off");
    }
    an_seen_init(s, (int)width, (int)height);
    s->hits = malloc(((size_t)n + 1) * sizeof(*s->hits));
    if (s->hits == NULL) {
        return media_err_set(ei, MEDIA_E_NOMEM, "out of memory");
    }
    s->cap = (int)n + 1;
    for (uint32_t i = 0; i < n; i++) {
        if (read_hit(&r, s) != 0) {
            return media_err_set(ei, MEDIA_E_REJECT, "something that was found makes no sense");
        }
    }
    s->detectors = json_loadb((const char *)r.p, r.left, 0, NULL);
    return json_is_array(s->detectors)
               ? 0
               : media_err_set(ei, MEDIA_E_REJECT, "what has found it is not told");
}
