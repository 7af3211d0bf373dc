/* A voice that is not the speaker's: pitch and formants are moved together by a factor that nobody
 * knows and that wanders while they speak, so that no single factor moves them back. */
#ifndef AN_DISGUISE_H
#define AN_DISGUISE_H

#include <libavutil/frame.h>

typedef struct an_disguise_s an_disguise_t;

/* NULL: no memory, or no random numbers. */
an_disguise_t *an_disguise_open(void);
void an_disguise_close(an_disguise_t *d);

/* Alters the next samples of a stream (planar floats, one or two channels, one rate) in place: as
 * many come out as go in, some hundredths of a second late. 0 or -1: another format. */
int an_disguise_alter(void *disguise, AVFrame *block);

#endif
