/* Does another scene begin with a picture? By what is seen of it from far away. */
#ifndef AN_SCENE_H
#define AN_SCENE_H

#include <libavutil/frame.h>

#define AN_SCENE_COLUMNS 16
#define AN_SCENE_ROWS 12
#define AN_SCENE_TONES 32

typedef struct {
    float cells[AN_SCENE_ROWS * AN_SCENE_COLUMNS]; /* mean brightness, 0..1 */
    float tones[AN_SCENE_TONES];                   /* histogram, shares */
} an_scene_t;

/* 0, or -1: a format that has no brightness to be read. */
int an_scene_see(an_scene_t *s, const AVFrame *frame);
/* A flash or a fade is no cut: the picture's shape stays. */
int an_scene_is_cut(const an_scene_t *before, const an_scene_t *after);

#endif
