/* The steps of a video inside the decoder child.
 *
 *   anonymize   the file                      keeps the index           probe, fan_out
 *   detect      a range, the index            keeps what was found
 *   associate   what was found, the index     keeps an_kept.h           report, fan_out, reuse
 *   render      a range, an_kept.h            segments of AN_FILM_VIDEO tracks
 *   voice       the file                      segments of AN_FILM_SOUND tracks
 *
 * All of them: 0, or -1 with a cause. */
#ifndef AN_VIDEO_H
#define AN_VIDEO_H

#include "an_ask.h"
#include "an_kept.h"
#include "an_params.h"
#include "tc_limits.h"
#include "vd_sink.h"
#include "vd_source.h"

/* Fills `index` (the object to keep) and the members "probe" and "fan_out" of result. */
int an_video_plan(const vd_source_t *source, const tc_limits_t *limits, const an_params_t *params,
                  media_buf_t *index, json_t *result, tc_fail_t *f);

/* Fills `found` (the object to keep) from one range; progress alone is asked of the sink. */
int an_video_detect(const vd_source_t *source, const media_vindex_t *v, const json_t *range,
                    const an_params_t *params, const an_ask_t *ask, const vd_sink_t *sink,
                    media_buf_t *found, tc_fail_t *f);

/* `parts` are the documents of all ranges, one after another, as long each as the range document's
 * "detections" says. `kept` is the index; in an edit it is what this step has kept for the run
 * before, and nothing else is needed. Progress alone is asked of the sink. Fills `out` (the object
 * to keep), the report, and the members "fan_out" and "reuse" of result. *report is owned. */
int an_video_associate(const vd_source_t *parts, media_str_t kept, const json_t *range,
                       const an_params_t *params, const vd_sink_t *sink, media_buf_t *out,
                       json_t **report, json_t *result, tc_fail_t *f);

/* `image`: what is shown on masks of the style AN_IMAGE, RGBA, borrowed. */
int an_video_render(const vd_source_t *source, const an_kept_t *kept, const json_t *range,
                    const an_params_t *params, const AVFrame *image, const vd_sink_t *sink,
                    json_t *tracks, tc_fail_t *f);

int an_video_voice(const vd_source_t *source, const json_t *range, const an_params_t *params,
                   const vd_sink_t *sink, json_t *tracks, tc_fail_t *f);

#endif
