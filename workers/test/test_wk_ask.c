/* Questions of a decoder child: asked in a real one, answered in its parent. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>

#include "file_host.h"
#include "test.h"
#include "wk_log.h"

#define SELF "/proc/self/exe"

static const wk_child_limits_t usual = {
    .memory_bytes = 512 << 20, .output_bytes = 1 << 20, .cpu_s = 20, .wall_s = 60, .stall_s = 20};

/* ---- in the child ---- */

/* Asks a question of params.bytes bytes and wants to have it back turned round, as much as an
 * answer holds. */
static int work(wk_peer_t *p, const wk_child_input_t *in)
{
    static char question[WK_FRAME_MAX], answer[WK_ANSWER_MAX];
    size_t len = (size_t)json_integer_value(json_object_get(in->params, "bytes"));
    size_t want = len < WK_ANSWER_MAX ? len : WK_ANSWER_MAX;
    ssize_t got;

    for (size_t i = 0; i < len; i++) {
        question[i] = (char)(i * 7);
    }
    got = wk_peer_ask(p, (media_str_t){question, len}, answer, sizeof(answer));
    for (size_t i = 0; got == (ssize_t)want && i < want; i++) {
        if (answer[i] != question[len - 1 - i]) {
            return wk_peer_error(p, "wrong_answer", 0, "byte %zu", i);
        }
    }
    return got == (ssize_t)want ? wk_peer_result(p, json_pack("{s:{}}", "probe"))
                                : wk_peer_error(p, "wrong_answer", 0, "%zd bytes", got);
}

/* ---- in the parent ---- */

static int turn_round(void *data, media_str_t question, char *reply, size_t *len, media_err_t *ei)
{
    int rc = *(int *)data;

    *len = question.len < WK_ANSWER_MAX ? question.len : WK_ANSWER_MAX;
    for (size_t i = 0; i < *len; i++) {
        reply[i] = question.p[question.len - 1 - i];
    }
    return rc == 0 ? 0 : media_err_set(ei, rc, "told to fail");
}

/* `outcome`: the code of the run's end. */
static enum wk_end ask(int bytes, wk_asked_t *asked, char outcome[48])
{
    int fd = memfd_create("input", MFD_CLOEXEC);
    char params[64];
    file_host_t h;
    enum wk_end end;

    (void)snprintf(params, sizeof(params), "{\"bytes\":%d}", bytes);
    file_host_init(&h, fd);
    h.asked = asked;
    end = file_host_run(&h, SELF, params, &usual);
    memcpy(outcome, h.out.code, 48);
    file_host_free(&h);
    (void)close(fd);
    return end;
}

static void test_wk_ask_question_answered(void)
{
    static const int sizes[] = {1, WK_ANSWER_MAX, WK_FRAME_MAX};
    char code[48];
    int rc = 0;
    wk_asked_t asked = {turn_round, &rc};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        CHECK_INT(ask(sizes[i], &asked, code), WK_DONE);
        CHECK_STR(code, "");
    }
}

static void test_wk_ask_refused_ends_the_run(void)
{
    char code[48];
    int rc = MEDIA_E_REJECT;
    wk_asked_t asked = {turn_round, &rc};

    CHECK_INT(ask(16, NULL, code), WK_REJECT); /* nobody answers this child */
    CHECK_STR(code, "decoder_failed");
    CHECK_INT(ask(16, &asked, code), WK_REJECT); /* it makes no sense */
    CHECK_STR(code, "decoder_failed");
    rc = MEDIA_E_RETRY; /* our side failed */
    CHECK_INT(ask(16, &asked, code), WK_RETRY);
    CHECK_STR(code, "detector_failed");
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], WK_CHILD_FLAG) == 0) {
        wk_child_main(NULL, work);
    }
    wk_log_init("test", MEDIA_LOG_ERROR + 1);
    (void)signal(SIGPIPE, SIG_IGN);
    test_wk_ask_question_answered();
    test_wk_ask_refused_ends_the_run();
    return test_report();
}
