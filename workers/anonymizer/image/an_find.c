/* One question per class, about the picture scaled to the size that the nets are made for. */
#include "an_find.h"

#include <stdlib.h>

#include <libswscale/swscale.h>

#define LONG_SIDE 640

/* A packed copy, at most LONG_SIDE long; owned, NULL: no memory. */
static uint8_t *scaled(const an_picture_t *from, an_picture_t *to)
{
    int longest = from->width > from->height ? from->width : from->height;
    int w = from->width, h = from->height;
    struct SwsContext *sws;
    uint8_t *p;

    if (longest > LONG_SIDE) {
        w = (int)((int64_t)w * LONG_SIDE / longest);
        h = (int)((int64_t)h * LONG_SIDE / longest);
        w = w > 0 ? w : 1;
        h = h > 0 ? h : 1;
    }
    *to = (an_picture_t){.width = w, .height = h, .stride = (size_t)w * 3};
    p = malloc(to->stride * (size_t)h + 64);
    sws = sws_getContext(from->width, from->height, AV_PIX_FMT_BGR24, w, h, AV_PIX_FMT_BGR24,
                         SWS_AREA | SWS_ACCURATE_RND | SWS_BITEXACT, NULL, NULL, NULL);
    if (p != NULL && sws != NULL) {
        const uint8_t *src[4] = {from->bgr};
        uint8_t *dst[4] = {p};
        int src_stride[4] = {(int)from->stride}, dst_stride[4] = {(int)to->stride};

        (void)sws_scale(sws, src, src_stride, 0, from->height, dst, dst_stride);
        to->bgr = p;
    } else {
        free(p);
        p = NULL;
    }
    sws_freeContext(sws);
    return p;
}

int an_find(const an_params_t *p, const an_ask_t *ask, const an_picture_t *picture, an_hit_t *hits,
            int max)
{
    an_picture_t small;
    uint8_t *mine = scaled(picture, &small);
    float kx, ky;
    int n = 0, found = 0;

    if (mine == NULL) {
        return -1;
    }
    kx = (float)picture->width / (float)small.width;
    ky = (float)picture->height / (float)small.height;
    for (int c = 0; c < AN_CLASSES && found >= 0; c++) {
        if ((p->classes & 1u << c) == 0) {
            continue;
        }
        found = ask->ask(ask->ctx, (enum an_class)c, &small, hits + n, max - n);
        for (int i = 0, from = n; i < found; i++) {
            an_hit_t h = hits[from + i];

            if (h.score < p->threshold[c] || !(h.w > 0 && h.h > 0)) {
                continue;
            }
            hits[n++] = (an_hit_t){h.x * kx, h.y * ky, h.w * kx, h.h * ky, h.score, c};
        }
    }
    free(mine);
    return found < 0 ? -1 : n;
}
