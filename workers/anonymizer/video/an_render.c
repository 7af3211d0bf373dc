/* The step `render`: decodes a range again, paints, encodes. No picture is ever stored unmasked. */
#include "an_video.h"

#include <stdlib.h>

#include "an_damage.h"
#include "an_film.h"
#include "an_mask.h"
#include "vd_encode.h"

typedef struct {
    const an_kept_t *kept;
    const an_params_t *params;
    an_paint_t style;
    an_damage_t damage;
    an_mask_t masks[AN_VEILS_AT_MAX];
} render_t;

static int paint(void *ctx, AVFrame *picture, const AVFrame *from, uint32_t number, tc_fail_t *f)
{
    render_t *r = ctx;
    int n = an_veils_at(&r->kept->veils, number, picture->width, picture->height, r->masks);

    if (n < 0) {
        return tc_fail(f, "limits", "A picture has more than %d masks.", AN_VEILS_AT_MAX);
    }
    if (an_damage_see(&r->damage, &r->kept->index, from, number, 0)) {
        if (!r->params->is_lenient) {
            return tc_fail(f, "damaged", "The video is damaged: not all of it can be decoded.");
        }
        r->masks[0] = (an_mask_t){.w = (float)picture->width, .h = (float)picture->height};
        r->masks[0].shape = AN_BOX;
        n = 1;
    }
    return an_mask_paint(picture, r->masks, n, &r->style) == 0
               ? 0
               : tc_fail(f, "internal", "A picture could not be masked.");
}

int an_video_render(const vd_source_t *source, const an_kept_t *kept, const json_t *range,
                    const an_params_t *params, const AVFrame *image, const vd_sink_t *sink,
                    json_t *tracks, tc_fail_t *f)
{
    render_t *r = calloc(1, sizeof(*r));
    const vd_painter_t painter = {r, paint};
    vd_range_plan_t plan;
    int rc;

    if (r == NULL) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    r->kept = kept;
    r->params = params;
    r->style = (an_paint_t){.style = params->style, .feather = params->feather, .image = image};
    memcpy(r->style.color, params->color, sizeof(r->style.color));
    rc = vd_range_plan_read(range, &plan, f);
    if (rc == 0) {
        plan.painter = &painter;
        plan.is_strict = !params->is_lenient;
        rc = vd_encode(source, &kept->index, &plan, sink, tracks, f);
        vd_range_plan_free(&plan);
    }
    free(r);
    return rc;
}
