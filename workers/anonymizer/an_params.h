/* The parameters of a job of the pipeline `anonymize` (sql/0014_anonymize.sql holds the same schema
 * for people; a test holds the two together). */
#ifndef AN_PARAMS_H
#define AN_PARAMS_H

#include <jansson.h>

#include "an_hit.h"
#include "tc.h"

#define AN_REGIONS_MAX 256
#define AN_KEPT_MAX 4096

enum an_shape { AN_ELLIPSE, AN_BOX };
enum an_style { AN_SOLID, AN_MOSAIC, AN_IMAGE, AN_BLUR, AN_PIXELATE };
enum an_voice { AN_VOICE_KEEP, AN_VOICE_MUTE, AN_VOICE_DISGUISE, AN_VOICE_COPY };

/* Keeps of metadata, or'ed. */
#define AN_KEEP_ICC 1u
#define AN_KEEP_COPYRIGHT 2u
#define AN_KEEP_DATE 4u

typedef struct {
    int id;              /* 0: of the upload's params; else of a later edit */
    float x, y, w, h;    /* fractions of the upright picture */
    double from_s, to_s; /* to_s < 0: to the end */
    int is_never;        /* never masked, else always */
} an_region_t;

typedef struct {
    unsigned classes;                /* 1u << enum an_class */
    char faces[16];                  /* yunet, yunet_2022mar, haar */
    char objects[16];                /* dnn, hog */
    float threshold[AN_CLASS_COUNT]; /* AN_SCORE_MIN to 1; negative: the detector's default */
    float grow;                      /* share of the hit's size that a mask grows by, per side */
    enum an_shape shape;
    enum an_style style;
    uint8_t color[3]; /* r, g, b */
    int feather;      /* pixels, outwards */
    int every;        /* pictures from one detection to the next */
    unsigned keep;    /* AN_KEEP_* */
    enum an_voice voice;
    int is_lenient; /* on_damage: mask_all */
    int crf;
    char preset[16];
    an_region_t *regions;
    int nregions;
    /* of an edit (PATCH /media/{id}/regions), "edit": {"from_masked", "kept"}: */
    int is_edit;
    int from_masked; /* the original is gone: nothing is looked for, regions are added */
    int32_t *kept;   /* tracks that stay visible */
    int nkept;
} an_params_t;

/* 0, or -1 with the cause "params_invalid". The caller frees what was read. */
int an_params_read(const json_t *params, an_params_t *out, tc_fail_t *f);
void an_params_free(an_params_t *p);

/* The detector of a class. */
enum an_kind an_params_kind(const an_params_t *p, enum an_class what);
/* The detectors that are needed, 1u << enum an_kind each. */
unsigned an_params_kinds(const an_params_t *p);

#endif
