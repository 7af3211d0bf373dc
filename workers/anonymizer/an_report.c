/* The report as text. */
#include "an_report.h"

#include <stdio.h>

static const char *const shapes[] = {"ellipse", "box"};
static const char *const styles[] = {"solid", "mosaic", "image", "blur", "pixelate"};
static const char *const voices[] = {"keep", "mute", "disguise", "copy"};

static json_t *classes_json(const an_params_t *p)
{
    json_t *list = json_array();

    for (int c = 0; c < AN_CLASS_COUNT; c++) {
        if (p->classes & (1u << c)) {
            (void)json_array_append_new(list, json_string(an_class_name((enum an_class)c)));
        }
    }
    return list;
}

static json_t *params_json(const an_params_t *p)
{
    char color[8];

    (void)snprintf(color, sizeof(color), "#%02x%02x%02x", p->color[0], p->color[1], p->color[2]);
    return json_pack("{s:o,s:s,s:s,s:s,s:s,s:f,s:i,s:i,s:s,s:i,s:b}", "classes", classes_json(p),
                     "mask", styles[p->style], "shape", shapes[p->shape], "color", color, "voice",
                     voices[p->voice], "grow", (double)p->grow, "feather", p->feather, "every",
                     p->every, "on_damage", p->is_lenient ? "mask_all" : "fail", "regions",
                     p->nregions, "edited", p->is_edit);
}

/* How many tracks of each class there are, and how many of them stay visible. */
static json_t *counts_json(const json_t *tracks)
{
    json_t *counts = json_object();
    size_t i;
    json_t *track;

    json_array_foreach(tracks, i, track)
    {
        const char *name = json_string_value(json_object_get(track, "class"));
        if (name != NULL) {
            json_int_t n = json_integer_value(json_object_get(counts, name));
            (void)json_object_set_new(counts, name, json_integer(n + 1));
        }
    }
    return counts;
}

static void warn(json_t *warnings, const char *code, const char *detail)
{
    (void)json_array_append_new(warnings, json_pack("{s:s,s:s}", "code", code, "detail", detail));
}

static void warn_of_choices(json_t *warnings, const an_params_t *p, int has_sound)
{
    warn(warnings, "not_covered",
         "Gait, clothes, tattoos, places, texts and names that are said are not covered.");
    if (p->style == AN_BLUR || p->style == AN_PIXELATE) {
        warn(warnings, "weak_mask",
             "Blurred and pixelated faces can be recognised by programs (Gaussian blur: 95.9 %, "
             "arXiv 2506.12344): use solid or mosaic.");
    }
    if (has_sound && p->voice == AN_VOICE_KEEP) {
        warn(warnings, "voice", "The voices are those of the original.");
    } else if (has_sound && p->voice == AN_VOICE_COPY) {
        warn(warnings, "voice", "The sound is that of the original, its encoder's marks included.");
    } else if (has_sound && p->voice == AN_VOICE_DISGUISE) {
        warn(warnings, "voice", "A disguised voice may still be known to those who know it well.");
    }
    if (p->from_masked) {
        warn(warnings, "original_gone",
             "The original was deleted before: this was made of the masked copy.");
    }
}

char *an_report(json_t *found, const an_params_t *p, const json_t *detectors)
{
    const json_t *tracks = json_object_get(found, "tracks");
    json_t *warnings = json_array();
    json_t *none = json_array();
    char *text = NULL;

    warn_of_choices(warnings, p, json_is_true(json_object_get(found, "sound")));
    (void)json_array_extend(warnings, json_object_get(found, "warnings"));
    if (json_object_set_new(found, "counts", counts_json(tracks)) == 0 &&
        json_object_set_new(found, "params", params_json(p)) == 0 &&
        json_object_set(found, "detectors",
                        detectors != NULL ? (json_t *)(uintptr_t)detectors : none) == 0 &&
        json_object_set(found, "warnings", warnings) == 0 &&
        json_object_set_new(found, "tool", json_string("ngx_media " MEDIA_VERSION)) == 0) {
        text = json_dumps(found, JSON_COMPACT | JSON_REAL_PRECISION(6));
    }
    json_decref(warnings);
    json_decref(none);
    json_decref(found);
    return text;
}

json_t *an_report_meta(void)
{
    return json_pack("{s:s,s:s,s:s}", "name", "report.json", "kind", "report", "content_type",
                     "application/json");
}
