/* What detectors find, for figures: reads "WIDTH HEIGHT\n" and a picture in BGR from stdin, again
 * and again; writes a line of JSON for each: "ms" of CPU, the sizes that were "asked", and "hits",
 * each of x, y, w, h, score, class, and x, y, w, h of an ellipse over it grown by 20 %.
 *
 *   MEDIA_MODELS=... an_ask [--once] CLASS=KIND[:THRESHOLD]...
 *
 * --once: asks the detector about the picture as it is, without an_scales. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "an_detector.h"
#include "an_scales.h"
#include "an_wire.h"

#define TIMEOUT_MS 60000
#define GROW 0.2f

typedef struct {
    an_detector_t *detectors[AN_KIND_COUNT];
    json_t *asked;
} asker_t;

static int ask(void *ctx, enum an_kind kind, const an_picture_t *p, an_hit_t *hits, int max)
{
    asker_t *a = ctx;
    an_fault_t fault = {"", ""};
    int n = an_detector_ask(a->detectors[kind], (uint32_t)p->width, (uint32_t)p->height, p->bgr,
                            hits, max, TIMEOUT_MS, &fault);

    if (n < 0) {
        (void)fprintf(stderr, "%s: %s\n", fault.code, fault.detail);
    }
    (void)json_array_append_new(a->asked, json_pack("[i,i]", p->width, p->height));
    return n;
}

static int add(asker_t *a, an_scales_t *s, char *arg)
{
    an_spec_t spec = {.models = getenv("MEDIA_MODELS"), .uid = geteuid() == 0 ? 65534 : -1};
    an_fault_t fault = {"", ""};
    char *kind_name = strchr(arg, '='), *threshold = strchr(arg, ':');
    int c, kind;

    if (kind_name == NULL) {
        return -1;
    }
    *kind_name++ = '\0';
    if (threshold != NULL) {
        *threshold++ = '\0';
    }
    c = an_class_parse(arg);
    kind = an_kind_parse(kind_name);
    if (c < 0 || kind < 0 ||
        an_scales_add(s, (enum an_class)c, (enum an_kind)kind,
                      threshold != NULL ? strtof(threshold, NULL) : -1) != 0) {
        return -1;
    }
    spec.kind = (enum an_kind)kind;
    if (an_detector_keep(&a->detectors[kind], &spec, MEDIA_DETECTOR, &fault) != 0) {
        (void)fprintf(stderr, "%s: %s\n", fault.code, fault.detail);
        return -1;
    }
    return 0;
}

/* Without passes: one question about all of the picture, for one class. */
static int find_once(const an_scales_t *s, const an_picture_t *picture, asker_t *a, an_hit_t *hits)
{
    int kept = 0;

    for (int c = 0; c < AN_CLASS_COUNT; c++) {
        int n = s->kind[c] >= 0 && kept == 0
                    ? ask(a, (enum an_kind)s->kind[c], picture, hits, AN_HITS_MAX)
                    : 0;

        for (int i = 0; i < n; i++) {
            if (hits[i].label == c && hits[i].score >= s->threshold[c]) {
                hits[kept++] = hits[i];
            }
        }
        if (n < 0) {
            return n;
        }
    }
    return kept;
}

static int print(json_t *asked, const an_hit_t *hits, int n, double ms)
{
    json_t *list = json_array(), *doc;

    for (int i = 0; i < n; i++) {
        const an_hit_t *h = &hits[i];
        an_box_t e = an_hit_cover(h, GROW, 1);

        (void)json_array_append_new(
            list, json_pack("[f,f,f,f,f,s,f,f,f,f]", h->x, h->y, h->w, h->h, h->score,
                            an_class_name((enum an_class)h->label), e.x, e.y, e.w, e.h));
    }
    doc = json_pack("{s:f,s:o,s:o}", "ms", ms, "asked", asked, "hits", list);
    if (doc == NULL || json_dumpf(doc, stdout, JSON_COMPACT) != 0 || putchar('\n') == EOF) {
        return -1;
    }
    json_decref(doc);
    return fflush(stdout);
}

static double clock_ms(clockid_t clock)
{
    struct timespec t = {0, 0};

    (void)clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* What has been computed here and by the detectors: others on this machine do not count. */
static double cpu_ms(const asker_t *a)
{
    double ms = clock_ms(CLOCK_PROCESS_CPUTIME_ID);

    for (int k = 0; k < AN_KIND_COUNT; k++) {
        clockid_t clock;

        if (a->detectors[k] != NULL &&
            clock_getcpuclockid(an_detector_pid(a->detectors[k]), &clock) == 0) {
            ms += clock_ms(clock);
        }
    }
    return ms;
}

int main(int argc, char **argv)
{
    static an_hit_t hits[AN_HITS_MAX];
    asker_t a = {.asked = NULL};
    const an_ask_t who = {&a, ask};
    an_scales_t s;
    int w, h, rc = 0;
    int once = argc > 1 && strcmp(argv[1], "--once") == 0;

    an_scales_init(&s);
    for (int i = 1 + once; i < argc; i++) {
        if (add(&a, &s, argv[i]) != 0) {
            (void)fprintf(stderr, "an_ask: %s: no such class or kind, or no detector\n", argv[i]);
            return 1;
        }
    }
    while (rc == 0 && scanf("%d %d", &w, &h) == 2 && getchar() == '\n') {
        size_t len = (size_t)w * (size_t)h * 3;
        uint8_t *bgr = malloc(len);
        an_picture_t picture = {bgr, w, h, (size_t)w * 3};
        double began;

        if (bgr == NULL || fread(bgr, 1, len, stdin) != len) {
            free(bgr);
            return 1;
        }
        a.asked = json_array();
        began = cpu_ms(&a);
        rc = once ? find_once(&s, &picture, &a, hits)
                  : an_scales_find(&s, &picture, &who, hits, AN_HITS_MAX);
        rc = rc < 0 ? 1 : print(a.asked, hits, rc, cpu_ms(&a) - began);
        free(bgr);
    }
    for (int k = 0; k < AN_KIND_COUNT; k++) {
        an_detector_close(a.detectors[k]);
    }
    return rc;
}
