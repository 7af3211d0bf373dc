/* smtp_send against a scripted server: each case is a list of replies. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include <curl/curl.h>

#include "smtp.h"
#include "tcp_proxy.h"
#include "test.h"
#include "wk_log.h"

#define GREET "220 test ready\r\n"
#define EHLO "250-test\r\n250 SIZE 1000000\r\n"
#define OK "250 ok\r\n"
#define GO "354 go\r\n"

enum step_kind { STEP_SAY, STEP_CLOSE, STEP_HANG };

/* What the server does with one command (the first: with the connection). */
typedef struct {
    enum step_kind kind;
    const char *text;
} step_t;

static int listen_fd, port;
static const step_t *script;
static char seen[65536]; /* everything the client sent */
static size_t seen_len;
static _Atomic int done;

/* Reads one line, or after 354 the message up to its final dot. 0 at the end of the connection. */
static int read_until(int fd, const char *end)
{
    size_t start = seen_len, n = strlen(end);

    while (seen_len < sizeof(seen) - 1) {
        if (read(fd, seen + seen_len, 1) != 1) {
            return 0;
        }
        seen_len++;
        if (seen_len - start >= n && memcmp(seen + seen_len - n, end, n) == 0) {
            return 1;
        }
    }
    return 0;
}

static void *serve(void *arg)
{
    int fd = accept(listen_fd, NULL, NULL);

    (void)arg;
    for (const step_t *s = script;; s++) {
        if (s->kind == STEP_CLOSE) {
            break;
        }
        if (s->kind == STEP_HANG) {
            while (!atomic_load(&done)) {
                (void)poll(NULL, 0, 20);
            }
            break;
        }
        if (write(fd, s->text, strlen(s->text)) < 0 ||
            !read_until(fd, strncmp(s->text, "354", 3) == 0 ? "\r\n.\r\n" : "\r\n")) {
            break;
        }
    }
    seen[seen_len] = '\0';
    close(fd);
    return NULL;
}

static int tick_limit; /* how many ticks until it ends the delivery; 0: never */
static int ticks;

static int on_tick(void *data)
{
    (void)data;
    ticks++;
    return tick_limit != 0 && ticks >= tick_limit;
}

static char reply[200];
static media_err_t ei;

static int deliver(const char *scheme, const step_t *steps)
{
    static const char text[] = "Subject: x\r\n\r\nline\r\n.dot\r\n";
    char url[64];
    smtp_mail_t mail = {.from = "m@example.org",
                        .to = "u@example.com",
                        .message = {text, sizeof(text) - 1},
                        .tick = on_tick};
    pthread_t t;
    int rc;

    script = steps;
    seen_len = 0;
    ticks = 0;
    ei.text[0] = '\0';
    atomic_store(&done, 0);
    mail.url = wk_fmt(url, sizeof(url), "%s127.0.0.1:%d", scheme, port);
    pthread_create(&t, NULL, serve, NULL);
    rc = smtp_send(&mail, reply, sizeof(reply), &ei);
    atomic_store(&done, 1);
    pthread_join(t, NULL);
    return rc;
}

#define SAY(text)                                                                                  \
    {                                                                                              \
        STEP_SAY, text                                                                             \
    }
#define SCRIPT(...) ((const step_t[]){__VA_ARGS__, {STEP_CLOSE, NULL}})

static void test_smtp_accepted_is_done(void)
{
    CHECK_INT(deliver("smtp://", SCRIPT(SAY(GREET), SAY(EHLO), SAY(OK), SAY(OK), SAY(GO),
                                        SAY("250 queued as 42\r\n"), SAY("221 bye\r\n"))),
              0);
    CHECK(strstr(seen, "MAIL FROM:<m@example.org>") != NULL);
    CHECK(strstr(seen, "RCPT TO:<u@example.com>\r\n") != NULL);
    CHECK(strstr(seen, "\r\nline\r\n..dot\r\n.\r\n") != NULL);
}

static void test_smtp_later_is_retry(void)
{
    CHECK_INT(deliver("smtp://", SCRIPT(SAY(GREET), SAY(EHLO), SAY(OK),
                                        SAY("451 4.7.1 greylisted, come back\r\n"))),
              MEDIA_E_RETRY);
    CHECK(strstr(ei.text, "451 4.7.1 greylisted, come back") != NULL);
    CHECK_INT(deliver("smtp://", SCRIPT(SAY(GREET), SAY(EHLO), SAY(OK), SAY(OK), SAY(GO),
                                        SAY("452 disk full\r\n"))),
              MEDIA_E_RETRY);
    CHECK_INT(deliver("smtp://", SCRIPT(SAY("421 busy\r\n"))), MEDIA_E_RETRY);
}

static void test_smtp_refused_is_reject_with_text(void)
{
    CHECK_INT(deliver("smtp://",
                      SCRIPT(SAY(GREET), SAY(EHLO), SAY(OK), SAY("550 5.1.1 no such user\r\n"))),
              MEDIA_E_REJECT);
    CHECK(strstr(ei.text, "550 5.1.1 no such user") != NULL);
    CHECK_INT(deliver("smtp://", SCRIPT(SAY(GREET), SAY(EHLO), SAY("553 bad sender\r\n"))),
              MEDIA_E_REJECT);
    CHECK_INT(deliver("smtp://", SCRIPT(SAY(GREET), SAY(EHLO), SAY(OK), SAY(OK), SAY(GO),
                                        SAY("554-spam\r\n554 really \xff\x01 spam\r\n"))),
              MEDIA_E_REJECT);
    CHECK(strstr(ei.text, "554 really ?? spam") != NULL);
}

static void test_smtp_server_at_fault_is_retry(void)
{
    CHECK_INT(deliver("smtp://", SCRIPT(SAY("554 no service\r\n"))), MEDIA_E_RETRY);
    CHECK_INT(deliver("smtp://", SCRIPT({STEP_CLOSE, NULL})), MEDIA_E_RETRY);
    CHECK_INT(deliver("smtp://", SCRIPT(SAY(GREET), SAY(EHLO), SAY(OK), SAY(OK), SAY(GO))),
              MEDIA_E_RETRY); /* closes after the final dot */
    CHECK_INT(deliver("smtp://", SCRIPT(SAY("hello?\r\n"))), MEDIA_E_RETRY);
    CHECK_INT(deliver("smtp://", SCRIPT(SAY(GREET), SAY(EHLO),
                                        SAY("530 5.7.0 must issue STARTTLS first\r\n"))),
              MEDIA_E_RETRY);
}

static void test_smtp_wrong_password_is_retry_without_it(void)
{
    CHECK_INT(deliver("smtp://user:hunter2@",
                      SCRIPT(SAY(GREET), SAY("250-test\r\n250 AUTH PLAIN\r\n"), SAY("334 \r\n"),
                             SAY("535 5.7.8 authentication failed\r\n"))),
              MEDIA_E_RETRY);
    CHECK(strstr(ei.text, "535") != NULL);
    CHECK(strstr(ei.text, "hunter2") == NULL);
    CHECK(strstr(reply, "hunter2") == NULL);
}

static void test_smtp_required_tls_is_not_given_up(void)
{
    CHECK_INT(deliver("smtp+starttls://",
                      SCRIPT(SAY(GREET), SAY(EHLO), SAY(OK), SAY(OK), SAY(GO), SAY(OK))),
              MEDIA_E_RETRY);
    CHECK(strstr(seen, "MAIL FROM") == NULL);
}

static void test_smtp_hanging_server_ticks_until_told(void)
{
    static const step_t after_greeting[] = {SAY(GREET), {STEP_HANG, NULL}};
    static const step_t after_dot[] = {SAY(GREET), SAY(EHLO), SAY(OK),
                                       SAY(OK),    SAY(GO),   {STEP_HANG, NULL}};
    int64_t start_ms;

    tick_limit = 12;
    start_ms = wk_mono_ms();
    CHECK_INT(deliver("smtp://", after_greeting), MEDIA_E_AGAIN);
    CHECK(wk_mono_ms() - start_ms < 30000);
    start_ms = wk_mono_ms();
    CHECK_INT(deliver("smtp://", after_dot), MEDIA_E_AGAIN);
    CHECK(wk_mono_ms() - start_ms < 30000);
    tick_limit = 0;
}

/* The mail is accepted: nothing after that may hold up our commit. */
static void test_smtp_hang_at_quit_does_not_wait(void)
{
    static const step_t at_quit[] = {SAY(GREET), SAY(EHLO), SAY(OK),          SAY(OK),
                                     SAY(GO),    SAY(OK),   {STEP_HANG, NULL}};
    int64_t start_ms = wk_mono_ms();

    CHECK_INT(deliver("smtp://", at_quit), 0);
    CHECK(wk_mono_ms() - start_ms < 3000);
    CHECK(strstr(seen, "\r\n.\r\nQUIT\r\n") != NULL);
}

static void test_smtp_no_server_is_retry(void)
{
    smtp_mail_t mail = {.from = "a@b", .to = "c@d", .message = {"x", 1}};
    int closed_port, fd = proxy_listen(&closed_port);
    char url[64];

    close(fd);
    mail.url = wk_fmt(url, sizeof(url), "smtp://127.0.0.1:%d", closed_port);
    CHECK_INT(smtp_send(&mail, reply, sizeof(reply), &ei), MEDIA_E_RETRY);
    mail.url = "smtp://host with spaces";
    CHECK_INT(smtp_send(&mail, reply, sizeof(reply), &ei), MEDIA_E_RETRY);
    mail.url = "http://127.0.0.1:1/";
    CHECK_INT(smtp_send(&mail, reply, sizeof(reply), &ei), MEDIA_E_RETRY);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    listen_fd = proxy_listen(&port);
    test_smtp_accepted_is_done();
    test_smtp_later_is_retry();
    test_smtp_refused_is_reject_with_text();
    test_smtp_server_at_fault_is_retry();
    test_smtp_wrong_password_is_retry_without_it();
    test_smtp_required_tls_is_not_given_up();
    test_smtp_hanging_server_ticks_until_told();
    test_smtp_hang_at_quit_does_not_wait();
    test_smtp_no_server_is_retry();
    close(listen_fd);
    curl_global_cleanup();
    return test_report();
}
