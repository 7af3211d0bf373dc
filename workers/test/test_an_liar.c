/* The parent against a detector process that somebody has taken over: this program is both. What
 * the detector shall say is the name of its directory of models. */
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "an_detector.h"
#include "an_wire.h"
#include "media/err.h"
#include "test.h"
#include "wk_log.h"

#define SELF "/proc/self/exe"
#define TIMEOUT_MS 5000

/* ---- the detector ---- */

static void say(uint32_t type, uint32_t len, const void *bytes, size_t n)
{
    an_head_t head = {type, len, 0};

    (void)an_wire_send(AN_WIRE_FD, &head, bytes, n, NULL, 0, -1);
}

static void say_text(uint32_t type, const char *text)
{
    say(type, (uint32_t)strlen(text), text, strlen(text));
}

static void answer(const char *what)
{
    an_hit_t hit = {1, 2, 3, 4, 0.5F, AN_FACE};

    if (strstr(what, "nan") != NULL) {
        hit.x = NAN;
    } else if (strstr(what, "huge") != NULL) {
        hit.w = 1e30F;
    } else if (strstr(what, "flat") != NULL) {
        hit.h = 0;
    } else if (strstr(what, "score") != NULL) {
        hit.score = 7;
    } else if (strstr(what, "label") != NULL) {
        hit.label = -1;
    } else if (strstr(what, "odd") != NULL) {
        say(AN_F_HITS, sizeof(hit) - 1, &hit, sizeof(hit) - 1);
        return;
    } else if (strstr(what, "endless") != NULL) {
        say(AN_F_HITS, UINT32_MAX, &hit, sizeof(hit));
        return;
    } else if (strstr(what, "short") != NULL) {
        say(AN_F_HITS, 2 * sizeof(hit), &hit, sizeof(hit));
        return;
    } else if (strstr(what, "ready") != NULL) {
        say_text(AN_F_READY, "{}");
        return;
    } else if (strstr(what, "error") != NULL) {
        say_text(AN_F_ERROR, "{\"code\":\"detector_failed\",\"detail\":\"OpenCV: no\"}");
        return;
    } else if (strstr(what, "babble") != NULL) {
        say_text(AN_F_ERROR, "{\"code\":");
        return;
    } else if (strstr(what, "abort") != NULL) {
        abort();
    }
    say(AN_F_HITS, sizeof(hit), &hit, sizeof(hit));
}

static int liar(void)
{
    static char what[AN_TEXT_MAX + 1], picture[1024];
    an_head_t head;

    (void)an_wire_recv(AN_WIRE_FD, &head, sizeof(head), -1);
    (void)an_wire_recv(AN_WIRE_FD, what, head.len, -1);
    if (strstr(what, "no json") != NULL) {
        say_text(AN_F_READY, "ready, really");
    } else if (strstr(what, "long ready") != NULL) {
        say(AN_F_READY, AN_TEXT_MAX + 1, what, AN_TEXT_MAX);
    } else if (strstr(what, "other frame") != NULL) {
        say_text(7, "{}");
    } else {
        if (strstr(what, "slow") != NULL) {
            (void)poll(NULL, 0, 1300);
        }
        say_text(AN_F_READY, "{}");
    }
    while (an_wire_recv(AN_WIRE_FD, &head, sizeof(head), -1) == 0 && head.len <= sizeof(picture) &&
           an_wire_recv(AN_WIRE_FD, picture, head.len, -1) == 0) {
        answer(what);
    }
    return 0;
}

/* ---- its parent ---- */

static an_detector_t *open_liar(const char *what, an_fault_t *fault)
{
    const an_spec_t spec = {.kind = AN_KIND_YUNET, .models = what, .uid = -1};

    return an_detector_open(&spec, SELF, fault);
}

static void test_an_liar_is_not_ready(void)
{
    static const char *const words[] = {"no json", "long ready", "other frame"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        an_fault_t fault = {"", ""};

        CHECK(open_liar(words[i], &fault) == NULL);
        CHECK_STR(fault.code, "detector_failed");
    }
}

typedef struct {
    int n, most;
} beats_t;

static int beat(void *ctx)
{
    beats_t *b = ctx;

    return ++b->n > b->most ? -1 : 0;
}

/* The job that waits for a slow start keeps its lease, and ends the waiting when it is lost. */
static void test_an_liar_is_waited_for_with_beats(void)
{
    beats_t enough = {0, 100}, few = {0, 2};
    an_spec_t spec = {
        .kind = AN_KIND_YUNET, .models = "slow", .uid = -1, .beat = beat, .ctx = &enough};
    an_fault_t fault = {"", ""};
    an_detector_t *d = an_detector_open(&spec, SELF, &fault);

    CHECK(d != NULL && enough.n >= 3);
    an_detector_close(d);
    spec.ctx = &few;
    CHECK(an_detector_open(&spec, SELF, &fault) == NULL);
    CHECK_INT(few.n, 3);
    CHECK_STR(fault.code, "detector_start");
}

static void test_an_liar_is_ended(void)
{
    static const struct {
        const char *what, *code;
    } lies[] = {{"nan", "detector_failed"},    {"huge", "detector_failed"},
                {"flat", "detector_failed"},   {"score", "detector_failed"},
                {"label", "detector_failed"},  {"odd", "detector_failed"},
                {"ready", "detector_failed"},  {"endless", "detector_failed"},
                {"babble", "detector_failed"}, {"abort", "detector_died"}};
    static const uint8_t bgr[12];
    an_hit_t hits[4];

    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        an_fault_t fault = {"", ""};
        an_detector_t *d = open_liar(lies[i].what, &fault);

        CHECK(d != NULL);
        CHECK_INT(an_detector_ask(d, 2, 2, bgr, hits, 4, TIMEOUT_MS, &fault), MEDIA_E_RETRY);
        CHECK_STR(fault.code, lies[i].code);
        CHECK_INT(an_detector_pid(d), -1);
        an_detector_close(d);
    }
}

static void test_an_liar_that_stops_in_mid_answer_is_not_waited_for(void)
{
    static const uint8_t bgr[12];
    an_fault_t fault = {"", ""};
    an_detector_t *d = open_liar("short", &fault);
    an_hit_t hits[4];

    CHECK_INT(an_detector_ask(d, 2, 2, bgr, hits, 4, 200, &fault), MEDIA_E_RETRY);
    CHECK_STR(fault.code, "detector_silent");
    an_detector_close(d);
}

/* An error answer leaves it running; the truth is told as it is. */
static void test_an_liar_who_is_honest_goes_on(void)
{
    static const uint8_t bgr[12];
    an_fault_t fault = {"", ""};
    an_detector_t *d = open_liar("error", &fault);
    an_hit_t hits[4];

    for (int i = 0; i < 2; i++) {
        CHECK_INT(an_detector_ask(d, 2, 2, bgr, hits, 4, TIMEOUT_MS, &fault), MEDIA_E_REJECT);
        CHECK_STR(fault.code, "detector_failed");
        CHECK_STR(fault.detail, "OpenCV: no");
        CHECK(an_detector_pid(d) > 0);
    }
    an_detector_close(d);
    d = open_liar("truth", &fault);
    CHECK_INT(an_detector_ask(d, 2, 2, bgr, hits, 4, TIMEOUT_MS, &fault), 1);
    CHECK(hits[0].x == 1 && hits[0].h == 4);
    CHECK_INT(an_detector_ask(d, 2, 2, bgr, hits, 0, TIMEOUT_MS, &fault), 0);
    CHECK_STR(an_detector_digest(d), "");
    an_detector_close(d);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "yunet") == 0) {
        return liar();
    }
    (void)signal(SIGPIPE, SIG_IGN);
    wk_log_init("test_an_liar", MEDIA_LOG_ERROR);
    test_an_liar_is_not_ready();
    test_an_liar_is_waited_for_with_beats();
    test_an_liar_is_ended();
    test_an_liar_that_stops_in_mid_answer_is_not_waited_for();
    test_an_liar_who_is_honest_goes_on();
    return test_report();
}
