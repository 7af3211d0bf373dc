/* What detectors find: classes, kinds of detectors, hits, and how much of the picture a mask of a
 * hit covers. Shared by the detector process, its parent and the decoder child. */
#ifndef AN_HIT_H
#define AN_HIT_H

#include <stddef.h>
#include <stdint.h>

/* what may be masked: name in params and reports */
#define AN_CLASSES(X)                                                                              \
    X(FACE, "face")                                                                                \
    X(PERSON, "person")                                                                            \
    X(VEHICLE, "vehicle")                                                                          \
    X(PLATE, "plate")

/* kinds of detectors: name in params, in argv and in reports */
#define AN_KINDS(X)                                                                                \
    X(YUNET, "yunet")                 /* faces, cv::dnn */                                         \
    X(YUNET_2022MAR, "yunet_2022mar") /* faces, cv::dnn */                                         \
    X(HAAR, "haar")                   /* faces, cascades of opencv-data */                         \
    X(DNN, "dnn")                     /* what its names file says, YOLO family */                  \
    X(HOG, "hog")                     /* persons, built into OpenCV */                             \
    X(PLATES, "plate")                /* number plates, cascades of opencv-data */

enum an_class {
#define X(name, text) AN_##name,
    AN_CLASSES(X)
#undef X
        AN_CLASS_COUNT
};

enum an_kind {
#define X(name, text) AN_KIND_##name,
    AN_KINDS(X)
#undef X
        AN_KIND_COUNT
};

#define AN_PICTURE_MAX                                                                             \
    ((4u << 20) - 64)    /* bytes of a picture that a detector is asked about, BGR */
#define AN_HITS_MAX 1024 /* hits of one answer */

#define AN_SCORE_MIN 0.2 /* of a hit; a threshold may not be less */

/* A box in pixels of the picture asked about; it may reach over the picture's edge. */
typedef struct {
    float x, y, w, h;
    float score;   /* 0..1 */
    int32_t label; /* enum an_class */
} an_hit_t;

const char *an_class_name(enum an_class c); /* borrowed, static [any] */
const char *an_kind_name(enum an_kind k);   /* borrowed, static [any] */
int an_class_parse(const char *name);       /* enum an_class or -1 [any] */
int an_kind_parse(const char *name);        /* enum an_kind or -1 [any] */
/* The class of a name in the names file of a network: "bus" is a vehicle. -1: none of ours. [any]
 */
int an_class_of_label(const char *label, size_t len);

/* Intersection over union, 0..1. [any] */
float an_iou(const an_hit_t *a, const an_hit_t *b);
/* Keeps the best of hits of one class that overlap by more than `iou`; sorted by score, best first.
 * Returns how many are left. [any] */
int an_nms(an_hit_t *hits, int n, float iou);

/* How much of a hit's size a mask of it reaches beyond it on each side, `grow` being asked for. Of
 * an ellipse, which fills the box, at least 0.2071 (sqrt(2) of the size in all): what the ellipse
 * covers then is the whole box of the hit. [any] */
float an_hit_growth(float grow, int ellipse);

/* The box of a mask of the hit: grown by an_hit_growth(). [any] */
typedef struct {
    float x, y, w, h;
} an_box_t;
an_box_t an_hit_cover(const an_hit_t *hit, float grow, int ellipse);

#endif
