/* Parameters as the database let them through, read once. What it has judged already (unknown
 * members) is not judged again; what would be read wrongly is refused by name. */
#include "an_params.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *name;
    int value;
} word_t;

static const word_t classes[] = {{"face", AN_FACE},
                                 {"person", AN_PERSON},
                                 {"vehicle", AN_VEHICLE},
                                 {"plate", AN_PLATE},
                                 {NULL, 0}};
static const word_t shapes[] = {{"ellipse", AN_ELLIPSE}, {"box", AN_BOX}, {NULL, 0}};
static const word_t styles[] = {{"solid", AN_SOLID}, {"mosaic", AN_MOSAIC},     {"image", AN_IMAGE},
                                {"blur", AN_BLUR},   {"pixelate", AN_PIXELATE}, {NULL, 0}};
static const word_t voices[] = {{"keep", AN_VOICE_KEEP},
                                {"mute", AN_VOICE_MUTE},
                                {"disguise", AN_VOICE_DISGUISE},
                                {"copy", AN_VOICE_COPY},
                                {NULL, 0}};
static const word_t keeps[] = {
    {"icc", AN_KEEP_ICC}, {"copyright", AN_KEEP_COPYRIGHT}, {"date", AN_KEEP_DATE}, {NULL, 0}};
static const word_t damages[] = {{"fail", 0}, {"mask_all", 1}, {NULL, 0}};
static const word_t bases[] = {{"original", 0}, {"masked", 1}, {NULL, 0}};
static const word_t modes[] = {{"mask", 0}, {"never", 1}, {NULL, 0}};
static const word_t faces[] = {{"yunet", 0}, {"yunet_2022mar", 0}, {"haar", 0}, {NULL, 0}};
static const word_t objects[] = {{"dnn", 0}, {"hog", 0}, {NULL, 0}};
static const word_t presets[] = {{"ultrafast", 0}, {"superfast", 0}, {"veryfast", 0}, {"faster", 0},
                                 {"fast", 0},      {"medium", 0},    {"slow", 0},     {"slower", 0},
                                 {"veryslow", 0},  {NULL, 0}};

static int wrong(tc_fail_t *f, const char *name, const char *must)
{
    return tc_fail(f, "params_invalid", "The parameter %s must be %s.", name, must);
}

/* One word of a list; nothing there: *out stays. */
static int read_word(const json_t *v, const char *name, const word_t *words, int *out, tc_fail_t *f)
{
    const char *s = json_string_value(v);

    if (v == NULL) {
        return 0;
    }
    for (const word_t *w = words; s != NULL && w->name != NULL; w++) {
        if (strcmp(s, w->name) == 0) {
            *out = w->value;
            return 0;
        }
    }
    return wrong(f, name, "one of its words");
}

/* The same where the word itself is what is kept. */
static int read_name(const json_t *v, const char *name, const word_t *words, char dst[16],
                     tc_fail_t *f)
{
    int unused = 0;

    if (v == NULL) {
        return 0;
    }
    if (read_word(v, name, words, &unused, f) != 0) {
        return -1;
    }
    (void)snprintf(dst, 16, "%s", json_string_value(v));
    return 0;
}

static int read_words(const json_t *v, const char *name, const word_t *words, unsigned *out,
                      tc_fail_t *f)
{
    unsigned set = 0;
    int value = 0;

    if (v == NULL) {
        return 0;
    }
    if (!json_is_array(v)) {
        return wrong(f, name, "an array");
    }
    for (size_t i = 0; i < json_array_size(v); i++) {
        if (read_word(json_array_get(v, i), name, words, &value, f) != 0) {
            return -1;
        }
        set |= words == keeps ? (unsigned)value : 1u << value;
    }
    *out = set;
    return 0;
}

static int read_number(const json_t *v, const char *name, double least, double most, double *out,
                       tc_fail_t *f)
{
    double n = json_number_value(v);
    char must[64];

    if (v == NULL) {
        return 0;
    }
    if (!json_is_number(v) || !(n >= least && n <= most)) {
        (void)snprintf(must, sizeof(must), "a number from %g to %g", least, most);
        return wrong(f, name, must);
    }
    *out = n;
    return 0;
}

static int read_int(const json_t *v, const char *name, int least, int most, int *out, tc_fail_t *f)
{
    char must[64];

    if (v == NULL) {
        return 0;
    }
    if (!json_is_integer(v) || json_integer_value(v) < least || json_integer_value(v) > most) {
        (void)snprintf(must, sizeof(must), "a whole number from %d to %d", least, most);
        return wrong(f, name, must);
    }
    *out = (int)json_integer_value(v);
    return 0;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static int read_color(const json_t *v, uint8_t rgb[3], tc_fail_t *f)
{
    const char *s = json_string_value(v);

    if (v == NULL) {
        return 0;
    }
    if (s == NULL || strlen(s) != 7 || s[0] != '#') {
        return wrong(f, "color", "\"#rrggbb\"");
    }
    for (int i = 0; i < 3; i++) {
        int high = hex_digit(s[1 + 2 * i]), low = hex_digit(s[2 + 2 * i]);

        if (high < 0 || low < 0) {
            return wrong(f, "color", "\"#rrggbb\"");
        }
        rgb[i] = (uint8_t)(16 * high + low);
    }
    return 0;
}

static int read_thresholds(const json_t *o, an_params_t *p, tc_fail_t *f)
{
    double n;

    for (int c = 0; c < AN_CLASS_COUNT; c++) {
        p->threshold[c] = -1;
    }
    if (o == NULL) {
        return 0;
    }
    if (!json_is_object(o)) {
        return wrong(f, "threshold", "an object of numbers by class");
    }
    for (const word_t *w = classes; w->name != NULL; w++) {
        n = -1;
        if (read_number(json_object_get(o, w->name), "threshold", AN_SCORE_MIN, 1, &n, f) != 0) {
            return -1;
        }
        p->threshold[w->value] = (float)n;
    }
    return 0;
}

static int read_region(const json_t *o, an_region_t *r, tc_fail_t *f)
{
    const json_t *box = json_object_get(o, "box");
    double part[4] = {0};

    r->to_s = -1;
    if (json_array_size(box) != 4) {
        return wrong(f, "regions", "objects with a \"box\" [x, y, w, h]");
    }
    for (size_t i = 0; i < 4; i++) {
        if (read_number(json_array_get(box, i), "regions", 0, 1, &part[i], f) != 0) {
            return -1;
        }
    }
    if (!(part[2] > 0 && part[3] > 0)) {
        return wrong(f, "regions", "boxes with a width and a height above 0");
    }
    r->x = (float)part[0];
    r->y = (float)part[1];
    r->w = (float)part[2];
    r->h = (float)part[3];
    if (read_int(json_object_get(o, "id"), "regions", 0, INT32_MAX, &r->id, f) != 0 ||
        read_number(json_object_get(o, "from"), "regions", 0, TC_DURATION_MAX_S, &r->from_s, f) !=
            0 ||
        read_number(json_object_get(o, "to"), "regions", 0, TC_DURATION_MAX_S, &r->to_s, f) != 0 ||
        read_word(json_object_get(o, "mode"), "regions", modes, &r->is_never, f) != 0) {
        return -1;
    }
    return r->to_s >= 0 && r->to_s < r->from_s
               ? wrong(f, "regions", "spans that end after they begin")
               : 0;
}

/* Adds to those that are there. */
static int read_regions(const json_t *v, an_params_t *p, tc_fail_t *f)
{
    size_t n = json_array_size(v);
    an_region_t *all;

    if (v == NULL) {
        return 0;
    }
    if (!json_is_array(v) || n > AN_REGIONS_MAX) {
        return wrong(f, "regions", "an array of at most 256");
    }
    all = realloc(p->regions, ((size_t)p->nregions + n + 1) * sizeof(*all));
    if (all == NULL) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    p->regions = all;
    for (size_t i = 0; i < n; i++) {
        if (!json_is_object(json_array_get(v, i))) {
            return wrong(f, "regions", "an array of objects");
        }
        all[p->nregions] = (an_region_t){.id = 0};
        if (read_region(json_array_get(v, i), &all[p->nregions], f) != 0) {
            return -1;
        }
        p->nregions++;
    }
    return 0;
}

static int read_edit(const json_t *o, an_params_t *p, tc_fail_t *f)
{
    const json_t *kept = json_object_get(o, "kept");
    size_t n = json_array_size(kept);

    if (o == NULL) {
        return 0;
    }
    if (!json_is_object(o) || (kept != NULL && !json_is_array(kept))) {
        return wrong(f, "edit", "an object");
    }
    p->is_edit = 1;
    if (read_word(json_object_get(o, "base"), "edit", bases, &p->from_masked, f) != 0 ||
        read_regions(json_object_get(o, "regions"), p, f) != 0) {
        return -1;
    }
    if (n > AN_KEPT_MAX) {
        return tc_fail(f, "params_invalid", "The parameter edit keeps %zu tracks; the limit is %d.",
                       n, AN_KEPT_MAX);
    }
    p->kept = calloc(n + 1, sizeof(*p->kept));
    if (p->kept == NULL) {
        return tc_fail_av(f, AVERROR(ENOMEM), "");
    }
    for (size_t i = 0; i < n; i++) {
        if (read_int(json_array_get(kept, i), "edit", 1, INT32_MAX, &p->kept[i], f) != 0) {
            return -1;
        }
        p->nkept++;
    }
    return 0;
}

static void set_defaults(an_params_t *p)
{
    *p = (an_params_t){.classes = 1u << AN_FACE,
                       .faces = "yunet",
                       .objects = "dnn",
                       .grow = 0.2F,
                       .shape = AN_ELLIPSE,
                       .style = AN_SOLID,
                       .every = 3,
                       .voice = AN_VOICE_KEEP,
                       .crf = 16,
                       .preset = "medium"};
}

static int read_looks(const json_t *o, an_params_t *p, tc_fail_t *f)
{
    int shape = (int)p->shape, style = (int)p->style, voice = (int)p->voice;
    double grow = p->grow;

    if (read_number(json_object_get(o, "grow"), "grow", 0, 2, &grow, f) != 0 ||
        read_word(json_object_get(o, "shape"), "shape", shapes, &shape, f) != 0 ||
        read_word(json_object_get(o, "mask"), "mask", styles, &style, f) != 0 ||
        read_color(json_object_get(o, "color"), p->color, f) != 0 ||
        read_int(json_object_get(o, "feather"), "feather", 0, 64, &p->feather, f) != 0 ||
        read_word(json_object_get(o, "voice"), "voice", voices, &voice, f) != 0) {
        return -1;
    }
    p->grow = (float)grow;
    p->shape = (enum an_shape)shape;
    p->style = (enum an_style)style;
    p->voice = (enum an_voice)voice;
    return 0;
}

int an_params_read(const json_t *params, an_params_t *out, tc_fail_t *f)
{
    const json_t *o = params;

    set_defaults(out);
    if ((o != NULL && !json_is_object(o)) ||
        read_words(json_object_get(o, "classes"), "classes", classes, &out->classes, f) != 0 ||
        read_name(json_object_get(o, "detector"), "detector", faces, out->faces, f) != 0 ||
        read_name(json_object_get(o, "objects"), "objects", objects, out->objects, f) != 0 ||
        read_thresholds(json_object_get(o, "threshold"), out, f) != 0 ||
        read_looks(o, out, f) != 0 ||
        read_int(json_object_get(o, "every"), "every", 1, 30, &out->every, f) != 0 ||
        read_words(json_object_get(o, "keep_metadata"), "keep_metadata", keeps, &out->keep, f) !=
            0 ||
        read_word(json_object_get(o, "on_damage"), "on_damage", damages, &out->is_lenient, f) !=
            0 ||
        read_int(json_object_get(o, "crf"), "crf", 0, 40, &out->crf, f) != 0 ||
        read_name(json_object_get(o, "preset"), "preset", presets, out->preset, f) != 0 ||
        read_regions(json_object_get(o, "regions"), out, f) != 0 ||
        read_edit(json_object_get(o, "edit"), out, f) != 0) {
        an_params_free(out);
        return tc_fail(f, "params_invalid", "The parameters must be an object.");
    }
    return 0;
}

enum an_kind an_params_kind(const an_params_t *p, enum an_class what)
{
    switch (what) {
    case AN_FACE:
        return (enum an_kind)an_kind_parse(p->faces);
    case AN_PLATE:
        return AN_KIND_PLATES;
    default:
        return (enum an_kind)an_kind_parse(p->objects);
    }
}

unsigned an_params_kinds(const an_params_t *p)
{
    unsigned kinds = 0;

    for (int c = 0; c < AN_CLASS_COUNT && !p->from_masked; c++) {
        if (p->classes & (1u << c)) {
            kinds |= 1u << an_params_kind(p, (enum an_class)c);
        }
    }
    return kinds;
}

void an_params_free(an_params_t *p)
{
    free(p->regions);
    free(p->kept);
    p->regions = NULL;
    p->kept = NULL;
    p->nregions = p->nkept = 0;
}
