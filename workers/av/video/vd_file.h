/* The step `mp4` inside the child: its input is the segments of a ladder, one after another. */
#ifndef VD_FILE_H
#define VD_FILE_H

#include "tc.h"

/* Writes one MP4 of each video track with all sound (ladder_file.c has the form of `range`) and
 * hands it over as the output NAME.mp4; NULL: by the track's name. 0, or -1 with a cause. */
int vd_file(wk_peer_t *peer, const json_t *range, const char *name, tc_fail_t *f);

#endif
