#include "an_hit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const class_names[] = {
#define X(name, text) text,
    AN_CLASSES(X)
#undef X
};

static const char *const kind_names[] = {
#define X(name, text) text,
    AN_KINDS(X)
#undef X
};

static int find_name(const char *const *names, int n, const char *name)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

const char *an_class_name(enum an_class c)
{
    return class_names[c];
}

const char *an_kind_name(enum an_kind k)
{
    return kind_names[k];
}

int an_class_parse(const char *name)
{
    return find_name(class_names, AN_CLASS_COUNT, name);
}

int an_kind_parse(const char *name)
{
    return find_name(kind_names, AN_KIND_COUNT, name);
}

int an_class_of_label(const char *label, size_t len)
{
    /* the names that COCO, Open Images, KITTI and the usual sets of plates and faces use */
    static const struct {
        const char *name;
        enum an_class c;
    } labels[] = {{"person", AN_PERSON},
                  {"pedestrian", AN_PERSON},
                  {"people", AN_PERSON},
                  {"man", AN_PERSON},
                  {"woman", AN_PERSON},
                  {"cyclist", AN_PERSON},
                  {"rider", AN_PERSON},
                  {"vehicle", AN_VEHICLE},
                  {"car", AN_VEHICLE},
                  {"bus", AN_VEHICLE},
                  {"truck", AN_VEHICLE},
                  {"van", AN_VEHICLE},
                  {"motorbike", AN_VEHICLE},
                  {"motorcycle", AN_VEHICLE},
                  {"bicycle", AN_VEHICLE},
                  {"bike", AN_VEHICLE},
                  {"train", AN_VEHICLE},
                  {"tram", AN_VEHICLE},
                  {"plate", AN_PLATE},
                  {"license plate", AN_PLATE},
                  {"licence plate", AN_PLATE},
                  {"number plate", AN_PLATE},
                  {"license_plate", AN_PLATE},
                  {"licence_plate", AN_PLATE},
                  {"number_plate", AN_PLATE},
                  {"license-plate", AN_PLATE},
                  {"licence-plate", AN_PLATE},
                  {"number-plate", AN_PLATE},
                  {"licenseplate", AN_PLATE},
                  {"lp", AN_PLATE},
                  {"vehicle registration plate", AN_PLATE},
                  {"face", AN_FACE},
                  {"human face", AN_FACE},
                  {"head", AN_FACE}};

    for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
        if (strlen(labels[i].name) == len && strncasecmp(labels[i].name, label, len) == 0) {
            return labels[i].c;
        }
    }
    return -1;
}

float an_iou(const an_hit_t *a, const an_hit_t *b)
{
    float w = fminf(a->x + a->w, b->x + b->w) - fmaxf(a->x, b->x);
    float h = fminf(a->y + a->h, b->y + b->h) - fmaxf(a->y, b->y);
    float both = w > 0 && h > 0 ? w * h : 0;
    float all = a->w * a->h + b->w * b->h - both;

    return all > 0 ? both / all : 0;
}

/* Equal scores are told apart by place, so that the order is the same every time. */
static int by_score(const void *pa, const void *pb)
{
    const an_hit_t *a = pa, *b = pb;

    if (a->score != b->score) {
        return a->score > b->score ? -1 : 1;
    }
    if (a->y != b->y) {
        return a->y < b->y ? -1 : 1;
    }
    return (a->x > b->x) - (a->x < b->x);
}

int an_nms(an_hit_t *hits, int n, float iou)
{
    int kept = 0;

    if (n > 1) {
        qsort(hits, (size_t)n, sizeof(*hits), by_score);
    }
    for (int i = 0; i < n; i++) {
        int j = 0;

        while (j < kept && (hits[j].label != hits[i].label || an_iou(&hits[j], &hits[i]) <= iou)) {
            j++;
        }
        if (j == kept) {
            hits[kept++] = hits[i];
        }
    }
    return kept;
}

float an_hit_growth(float grow, int ellipse)
{
    return ellipse ? fmaxf(grow, 0.5f * (sqrtf(2) - 1)) : grow;
}

an_box_t an_hit_cover(const an_hit_t *hit, float grow, int ellipse)
{
    float by = an_hit_growth(grow, ellipse);

    return (an_box_t){hit->x - by * hit->w, hit->y - by * hit->h, hit->w * (1 + 2 * by),
                      hit->h * (1 + 2 * by)};
}
