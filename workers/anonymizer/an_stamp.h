/* The operator's PNG for masks of the style "image": from its file to the decoder child, in the
 * limits of the start document, and there to pixels. */
#ifndef AN_STAMP_H
#define AN_STAMP_H

#include <jansson.h>
#include <libavutil/frame.h>

#include "an_params.h"
#include "media/err.h"

#define AN_STAMP_BYTES (256 << 10) /* of the file */

/* In the parent: adds the file to the limits if the parameters want it. 0; MEDIA_E_REJECT: none is
 * configured; MEDIA_E_RETRY: it cannot be read. */
int an_stamp_send(json_t *limits, const char *path, const an_params_t *params, media_err_t *ei);
/* In the child: the picture if the parameters want it, else NULL; owned. 0, or -1 with a cause. */
int an_stamp_receive(const json_t *limits, const an_params_t *params, AVFrame **image,
                     tc_fail_t *f);

#endif
