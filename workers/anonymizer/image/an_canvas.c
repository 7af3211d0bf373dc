#include "an_canvas.h"

#include <string.h>

#include "an_reader.h"

int an_canvas_open(an_canvas_t *c, int width, int height)
{
    memset(c, 0, sizeof(*c));
    c->now = an_frame_new(width, height, 0);
    c->before = an_frame_new(width, height, 0);
    if (c->now == NULL || c->before == NULL) {
        return -1;
    }
    for (int y = 0; y < height; y++) {
        memset(c->now->data[0] + y * c->now->linesize[0], 0, (size_t)width * 4);
    }
    return av_frame_copy(c->before, c->now) < 0 ? -1 : 0;
}

static void dispose(an_canvas_t *c)
{
    const an_patch_t *p = &c->last;

    for (int y = p->y; c->n > 0 && p->dispose != AN_STAYS && y < p->y + p->h; y++) {
        uint8_t *to = c->now->data[0] + y * c->now->linesize[0] + (ptrdiff_t)p->x * 4;

        if (p->dispose == AN_CLEARED) {
            memset(to, 0, (size_t)p->w * 4);
        } else {
            memcpy(to, c->before->data[0] + y * c->before->linesize[0] + (ptrdiff_t)p->x * 4,
                   (size_t)p->w * 4);
        }
    }
}

/* APNG 1.0, "blend_op": on colours that are not premultiplied. */
static void blend(uint8_t *to, const uint8_t *from)
{
    int a = from[3], under = to[3] * (255 - a) / 255, all = a + under;

    if (a == 255 || to[3] == 0) {
        memcpy(to, from, 4);
    } else if (a != 0) {
        for (int i = 0; i < 3; i++) {
            to[i] = (uint8_t)((from[i] * a + to[i] * under + all / 2) / all);
        }
        to[3] = (uint8_t)all;
    }
}

int an_canvas_put(an_canvas_t *c, const an_patch_t *patch, const uint8_t *rgba)
{
    dispose(c);
    c->last = *patch;
    if (c->n == 0 && patch->dispose == AN_RESTORED) {
        c->last.dispose = AN_CLEARED; /* to what was before the first: nothing */
    }
    c->n++;
    if (patch->dispose == AN_RESTORED && av_frame_copy(c->before, c->now) < 0) {
        return -1;
    }
    for (int y = 0; y < patch->h; y++) {
        uint8_t *to =
            c->now->data[0] + (patch->y + y) * c->now->linesize[0] + (ptrdiff_t)patch->x * 4;
        const uint8_t *from = rgba + (size_t)y * (size_t)patch->w * 4;

        if (!patch->is_over) {
            memcpy(to, from, (size_t)patch->w * 4);
            continue;
        }
        for (int x = 0; x < patch->w; x++) {
            blend(to + (ptrdiff_t)4 * x, from + (ptrdiff_t)4 * x);
        }
    }
    return 0;
}

void an_canvas_close(an_canvas_t *c)
{
    av_frame_free(&c->now);
    av_frame_free(&c->before);
    memset(c, 0, sizeof(*c));
}
