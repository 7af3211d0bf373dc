/* "ANK1", the digest, whether it is HDR and how, three sections behind their lengths. */
#include "an_kept.h"

#include "an_bytes.h"

#define MAGIC 0x314b4e41u

static void put_veils(const an_veils_t *v, media_buf_t *out)
{
    an_put(out, v->n, 4);
    for (uint32_t i = 0; i < v->n; i++) {
        const an_veil_t *one = &v->veils[i];

        an_put(out, one->track, 4);
        an_put(out, one->shape, 1);
        an_put(out, one->seed, 8);
        an_put(out, one->first, 4);
        an_put(out, one->end, 4);
        an_put(out, one->nboxes, 4);
        for (uint32_t k = 0; k < one->nboxes; k++) {
            an_put(out, (uint16_t)one->boxes[k].x0, 2);
            an_put(out, (uint16_t)one->boxes[k].y0, 2);
            an_put(out, (uint16_t)one->boxes[k].x1, 2);
            an_put(out, (uint16_t)one->boxes[k].y1, 2);
        }
    }
}

static int get_veil(an_bytes_t *r, an_veils_t *v, uint32_t npictures)
{
    uint32_t track = (uint32_t)an_get(r, 4);
    unsigned shape = (unsigned)an_get(r, 1);
    uint64_t seed = an_get(r, 8);
    uint32_t first = (uint32_t)an_get(r, 4);
    uint32_t end = (uint32_t)an_get(r, 4);
    uint32_t nboxes = (uint32_t)an_get(r, 4);
    an_veil_t *one;

    if (r->bad || shape > AN_BOX || end > npictures || first >= end ||
        (nboxes != 1 && nboxes != end - first) || r->left / sizeof(an_veil_box_t) < nboxes) {
        return -1;
    }
    one = an_veils_add(v, first, end, nboxes);
    if (one == NULL) {
        return -1;
    }
    one->track = track;
    one->shape = (enum an_shape)shape;
    one->seed = seed;
    for (uint32_t k = 0; k < nboxes; k++) {
        one->boxes[k].x0 = (int16_t)an_get(r, 2);
        one->boxes[k].y0 = (int16_t)an_get(r, 2);
        one->boxes[k].x1 = (int16_t)an_get(r, 2);
        one->boxes[k].y1 = (int16_t)an_get(r, 2);
    }
    return 0;
}

static int get_veils(an_bytes_t r, an_veils_t *v, uint32_t npictures)
{
    uint32_t n = (uint32_t)an_get(&r, 4);

    for (uint32_t i = 0; i < n; i++) {
        if (get_veil(&r, v, npictures) != 0) {
            return -1;
        }
    }
    return r.bad || r.left > 0 ? -1 : 0;
}

int an_kept_write(const an_kept_t *k, media_buf_t *out, media_err_t *ei)
{
    media_buf_t part;
    int rc;

    an_put(out, MAGIC, 4);
    an_put(out, k->look, 8);
    an_put(out, k->is_hdr != 0, 1);
    (void)media_buf_add(out, k->hdr, sizeof(k->hdr));
    media_buf_init(&part, AN_KEPT_BYTES_MAX);
    rc = media_vindex_write(&k->index, &part, ei);
    for (int i = 0; rc == 0 && i < 3; i++) {
        if (i > 0) {
            media_buf_reset(&part);
        }
        if (i == 1) {
            (void)an_found_write(&k->found, &part);
        } else if (i == 2) {
            put_veils(&k->veils, &part);
        }
        an_put(out, part.len, 8);
        (void)media_buf_str(out, media_buf_view(&part));
        rc = part.failed != 0 ? part.failed : out->failed;
    }
    if (rc != 0 && ei != NULL && ei->text[0] == '\0') {
        (void)media_err_set(ei, rc, "it is too large");
    }
    media_buf_free(&part);
    return rc;
}

int an_kept_is(const void *p, size_t len)
{
    an_bytes_t r = {p, len, 0};

    return an_get(&r, 4) == MAGIC && !r.bad;
}

static int get_section(an_bytes_t *r, an_bytes_t *section)
{
    uint64_t len = an_get(r, 8);

    if (r->bad || len > r->left) {
        return -1;
    }
    *section = (an_bytes_t){r->p, (size_t)len, 0};
    r->p += len;
    r->left -= (size_t)len;
    return 0;
}

int an_kept_read(const void *p, size_t len, an_kept_t *out, media_err_t *ei)
{
    an_bytes_t r = {p, len, 0}, part[3];
    int rc = 0;

    memset(out, 0, sizeof(*out));
    if (an_get(&r, 4) != MAGIC) {
        return media_err_set(ei, MEDIA_E_REJECT, "it is of another kind");
    }
    out->look = an_get(&r, 8);
    out->is_hdr = an_get(&r, 1) != 0;
    if (r.left < sizeof(out->hdr)) {
        return media_err_set(ei, MEDIA_E_REJECT, "it is cut off");
    }
    memcpy(out->hdr, r.p, sizeof(out->hdr) - 1);
    r.p += sizeof(out->hdr);
    r.left -= sizeof(out->hdr);
    for (int i = 0; i < 3; i++) {
        if (get_section(&r, &part[i]) != 0) {
            return media_err_set(ei, MEDIA_E_REJECT, "it is cut off");
        }
    }
    rc = media_vindex_read(part[0].p, part[0].left, &out->index, ei);
    if (rc == 0) {
        rc = an_found_read(part[1].p, part[1].left, &out->found, ei);
    }
    if (rc == 0 && get_veils(part[2], &out->veils, out->index.nframes) != 0) {
        rc = media_err_set(ei, MEDIA_E_REJECT, "its masks are broken");
    }
    return rc;
}

void an_kept_free(an_kept_t *k)
{
    media_vindex_free(&k->index);
    an_found_free(&k->found);
    an_veils_free(&k->veils);
}
