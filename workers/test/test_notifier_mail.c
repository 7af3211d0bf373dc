/* The notifier's mail: MIME pieces, templates, params, the composed message. */
#include <jansson.h>

#include "mail.h"
#include "media/playtoken.h"
#include "mime.h"
#include "note.h"
#include "template.h"
#include "test.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define FID "0193a000-0000-7000-8000-0000000000f1"
#define JOB "0193a000-0000-7000-8000-0000000000b1"

static media_err_t ei;

static const char *header(media_buf_t *b, const char *text)
{
    media_buf_free(b);
    media_buf_init(b, 8192);
    mime_header(b, "Subject", text);
    return b->p;
}

static void test_mime_header_short_ascii_is_plain(void)
{
    media_buf_t b;

    media_buf_init(&b, 8192);
    CHECK_STR(header(&b, "Your mp3 is ready: a.mp4"), "Subject: Your mp3 is ready: a.mp4\r\n");
    CHECK_STR(header(&b, ""), "Subject: \r\n");
    media_buf_free(&b);
}

static void test_mime_header_other_is_encoded_and_folded(void)
{
    media_buf_t b;

    media_buf_init(&b, 8192);
    CHECK_STR(header(&b, "fünf"), "Subject: =?UTF-8?B?ZsO8bmY=?=\r\n");
    CHECK_STR(header(&b, "=?UTF-8?B?eA==?="), "Subject: =?UTF-8?B?PT9VVEYtOD9CP2VBPT0/PQ==?=\r\n");
    (void)header(&b, "ééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé");
    for (char *line = b.p, *end; *line != '\0'; line = end + 2) {
        end = strstr(line, "\r\n");
        CHECK(end - line <= 76);
        CHECK(line == b.p || *line == ' ');
    }
    CHECK(strstr(b.p, "\r\n =?UTF-8?B?w6") != NULL); /* words start at a character */
    media_buf_free(&b);
}

static void test_mime_header_injection_is_impossible(void)
{
    static const char *const evil[] = {"a\r\nBcc: x@y", "a\nBcc: x@y", "a\rBcc: x@y",
                                       "\r\n\r\nbody", "a\x01\x7f"};
    media_buf_t b;

    media_buf_init(&b, 8192);
    for (size_t i = 0; i < sizeof(evil) / sizeof(evil[0]); i++) {
        (void)header(&b, evil[i]);
        CHECK(strstr(b.p, "Bcc") == NULL);
        CHECK(strchr(b.p, '\r') == b.p + b.len - 2);
        CHECK(strchr(b.p, '\n') == b.p + b.len - 1);
    }
    CHECK_STR(header(&b, "a\r\nb"), "Subject: =?UTF-8?B?YSAgYg==?=\r\n");
    media_buf_free(&b);
}

static const char *part(media_buf_t *b, const char *text)
{
    media_buf_free(b);
    media_buf_init(b, 65536);
    mime_text_part(b, "plain", media_str(text));
    return strstr(b->p, "\r\n\r\n") + 4;
}

static void test_mime_part_ascii_is_7bit(void)
{
    media_buf_t b;

    media_buf_init(&b, 65536);
    CHECK_STR(part(&b, "a\nb =3D\n"), "a\r\nb =3D\r\n");
    CHECK(strstr(b.p, "Content-Transfer-Encoding: 7bit\r\n") != NULL);
    media_buf_free(&b);
}

static void test_mime_part_utf8_is_quoted_printable(void)
{
    static char longline[2000];
    media_buf_t b;
    const char *text;

    media_buf_init(&b, 65536);
    CHECK_STR(part(&b, "ü=\t\nx \n"), "=C3=BC=3D=09\r\nx=20\r\n");
    CHECK(strstr(b.p, "Content-Transfer-Encoding: quoted-printable\r\n") != NULL);
    memset(longline, 'z', sizeof(longline) - 1);
    text = part(&b, longline);
    for (const char *end; (end = strstr(text, "\r\n")) != NULL; text = end + 2) {
        CHECK(end - text <= 76);
        CHECK(end[-1] == '=');
    }
    CHECK_STR(part(&b, "a\rb"), "a=0Db");
    media_buf_free(&b);
}

static void test_mime_address(void)
{
    static const char *const good[] = {"a@b", "first.last+tag@ex-ample.com", "o'neil@x.y"};
    static const char *const bad[] = {"",     "a",     "@b",    "a@",      "a@b\r\nX: y", "a b@c",
                                      "a@b>", "<a@b>", "a,b@c", "\"a\"@b", "a@b@c",       "ü@b",
                                      "a@ü",  ".a@b",  "a.@b",  "a..b@c",  "a@.b",        "a@b..c",
                                      "a@-b", "a@b c", "a@b\n", "a\x01@b"};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        CHECK(mime_address_valid(good[i]));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(!mime_address_valid(bad[i]));
    }
}

static void test_template_values_sections_and_escapes(void)
{
    const template_var_t vars[] = {
        {"a", "<b> & \"q\" 'x'\r\n"}, {"empty", ""}, {"null", NULL}, {NULL, NULL}};
    media_buf_t b;

    media_buf_init(&b, 1000);
    CHECK_INT(template_render(&b, "x{{a}}{{#a}}y{{/a}}{{#empty}}no{{/empty}}{{#null}}no{{/null}}z",
                              vars, TEMPLATE_HTML),
              0);
    CHECK_STR(b.p, "x&lt;b&gt; &amp; &quot;q&quot; &#39;x&#39;  yz");
    media_buf_reset(&b);
    CHECK_INT(template_render(&b, "{{a}}|", vars, TEMPLATE_TEXT), 0);
    CHECK_STR(b.p, "<b> & \"q\" 'x'  |");
    CHECK_INT(template_render(&b, "{{nope}}", vars, TEMPLATE_TEXT), MEDIA_E_BUG);
    CHECK_INT(template_render(&b, "{{#a}}", vars, TEMPLATE_TEXT), MEDIA_E_BUG);
    CHECK_INT(template_render(&b, "{{a", vars, TEMPLATE_TEXT), MEDIA_E_BUG);
    media_buf_free(&b);
}

#define PARAMS(event, name, extra)                                                                 \
    "{\"event\":\"" event "\",\"to\":\"u@example.com\",\"media_id\":\"" FID "\",\"name\":\"" name  \
    "\",\"title\":null,\"pipeline\":\"audio\",\"epoch\":3,\"at\":1700000000" extra "}"
#define OUTPUT                                                                                     \
    ",\"output\":{\"name\":\"audio.mp3\",\"content_type\":\"audio/mpeg\",\"size\":3456789,"        \
    "\"duration\":105.2},\"error\":null"
#define ERROR                                                                                      \
    ",\"output\":null,\"error\":{\"code\":\"no_audio\",\"detail\":\"The file has no sound.\"}"

static void test_note_wrong_params_are_rejected(void)
{
    static const char *const bad[] = {
        "{}",
        PARAMS("media.gone", "a", ERROR),
        PARAMS("media.ready", "", OUTPUT),
        "{\"event\":\"media.ready\",\"to\":\"a@b\\r\\nBcc: c@d\",\"media_id\":\"" FID
        "\",\"name\":\"n\",\"epoch\":1,\"at\":1}",
        "{\"event\":\"media.ready\",\"to\":\"a@b\",\"media_id\":\"x\",\"name\":\"n\",\"epoch\":1,"
        "\"at\":1}",
        "{\"event\":\"media.ready\",\"to\":\"a@b\",\"media_id\":\"" FID
        "\",\"name\":\"n\",\"at\":1}",
        PARAMS("media.ready", "a", ",\"output\":{\"name\":\"../x\"}"),
        PARAMS("media.ready", "a", ",\"output\":{\"name\":\"x.mp3\",\"size\":-1}"),
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        json_t *params = json_loads(bad[i], 0, NULL);
        note_t note;
        CHECK(params != NULL);
        ei.text[0] = '\0';
        CHECK_INT(note_read(params, &note, &ei), MEDIA_E_REJECT);
        CHECK(ei.text[0] != '\0');
        json_decref(params);
    }
}

static const media_jwt_key_t *play_key(void)
{
    static media_jwt_key_t *key;

    if (key == NULL) {
        CHECK_INT(media_jwt_key_new(MEDIA_JWT_HS256, MEDIA_STR_NULL, MEDIA_STR(SECRET), &key, &ei),
                  0);
    }
    return key;
}

/* The whole mail for params; to be freed. */
static media_buf_t compose(const char *text)
{
    const mail_frame_t frame = {JOB,    1700000123, "media@example.org", "https://m.example.org/",
                                604800, play_key()};
    json_t *params = json_loads(text, 0, NULL);
    media_buf_t out;
    note_t note;

    media_buf_init(&out, MAIL_MAX);
    CHECK_INT(note_read(params, &note, &ei), 0);
    CHECK_INT(mail_build(&note, &frame, &out, &ei), 0);
    json_decref(params);
    return out;
}

static int has(const media_buf_t *b, const char *text)
{
    return strstr(b->p, text) != NULL;
}

static void test_mail_ready_has_headers_id_and_link(void)
{
    media_buf_t m = compose(PARAMS("media.ready", "bunny.mp4", OUTPUT));
    media_playtoken_t t;
    enum media_jwt_why why;
    const char *link;

    CHECK(strncmp(m.p, "From: media@example.org\r\nTo: u@example.com\r\n", 44) == 0);
    CHECK(has(&m, "\r\nSubject: Your mp3 is ready: bunny.mp4\r\n"));
    CHECK(has(&m, "\r\nDate: Tue, 14 Nov 2023 22:15:23 +0000\r\n"));
    CHECK(has(&m, "\r\nMessage-ID: <" JOB "@example.org>\r\n"));
    CHECK(has(&m, "\r\nAuto-Submitted: auto-generated\r\n"));
    CHECK(has(&m, "boundary=\"=_" JOB "\"\r\n\r\n--=_" JOB "\r\n"));
    CHECK(has(&m, "\r\n--=_" JOB "--\r\n"));
    CHECK(has(&m, FID));
    CHECK(has(&m, "3.4 MB"));
    CHECK(has(&m, "1:45"));
    CHECK(!has(&m, "Title"));
    CHECK(has(&m, "until Tue, 21 Nov 2023 22:13:20 GMT"));
    link = strstr(m.p, "\r\nhttps://m.example.org/play/");
    CHECK(link != NULL);
    if (link != NULL) {
        const char *token = link + 29;
        size_t n = strcspn(token, "/");
        CHECK(strncmp(token + n, "/audio.mp3\r\n", 12) == 0);
        CHECK_INT(
            media_playtoken_verify(play_key(), (media_str_t){token, n}, 1700604799, &t, &why, &ei),
            0);
        CHECK_STR(t.media_id, FID);
        CHECK_INT(t.epoch, 3);
        CHECK_INT(t.exp_s, 1700604800);
    }
    CHECK(has(&m, "<a href=\"https://m.example.org/play/"));
    media_buf_free(&m);
}

static void test_mail_same_job_same_bytes(void)
{
    media_buf_t a = compose(PARAMS("media.ready", "b\\u00fcnny.mp4", OUTPUT));
    media_buf_t b = compose(PARAMS("media.ready", "b\\u00fcnny.mp4", OUTPUT));

    CHECK_INT(a.len, b.len);
    CHECK(memcmp(a.p, b.p, a.len) == 0);
    media_buf_free(&a);
    media_buf_free(&b);
}

static void test_mail_failed_has_id_and_cause(void)
{
    media_buf_t m = compose(PARAMS("media.failed", "bunny.mp4", ERROR));

    CHECK(has(&m, "\r\nSubject: bunny.mp4 could not be converted\r\n"));
    CHECK(has(&m, FID));
    CHECK(has(&m, "The file has no sound."));
    CHECK(has(&m, "no_audio"));
    CHECK(!has(&m, "/play/"));
    media_buf_free(&m);
    m = compose(PARAMS("media.failed", "bunny.mp4", ",\"error\":{\"code\":null,\"detail\":null}"));
    CHECK(has(&m, "the cause is not known"));
    CHECK(!has(&m, "Code "));
    media_buf_free(&m);
}

static void test_mail_hostile_name_is_harmless(void)
{
    media_buf_t m = compose(
        PARAMS("media.ready", "a\\r\\nBcc: x@y\\r\\n\\r\\n<script>alert(1)</script>&.mp4", OUTPUT));

    CHECK(!has(&m, "\nBcc"));
    CHECK(!has(&m, "<td>a  Bcc: x@y    <script>"));
    CHECK(has(&m, "&lt;script&gt;alert(1)&lt;/script&gt;&amp;.mp4"));
    media_buf_free(&m);
}

static void test_mail_lines_fit_smtp(void)
{
    char name[1000], params[4000];
    media_buf_t m;

    for (int utf8 = 0; utf8 < 2; utf8++) {
        memset(name, 'n', sizeof(name));
        snprintf(params, sizeof(params), PARAMS("media.ready", "%s%.900s", OUTPUT),
                 utf8 ? "\\u00e9" : "", name);
        m = compose(params);
        for (const char *line = m.p, *end; *line != '\0'; line = end + 2) {
            end = strstr(line, "\r\n");
            CHECK(end != NULL && end - line <= 998);
            CHECK(memchr(line, '\n', (size_t)(end - line)) == NULL);
            CHECK(memchr(line, '\r', (size_t)(end - line)) == NULL);
        }
        media_buf_free(&m);
    }
}

static void test_mail_ready_without_output_has_no_link(void)
{
    media_buf_t m = compose(PARAMS("media.ready", "a.mp4", ",\"output\":null"));

    CHECK(!has(&m, "http"));
    CHECK(has(&m, "Your file is ready: a.mp4"));
    media_buf_free(&m);
}

static void test_mail_format_names(void)
{
    media_buf_t m = compose(PARAMS(
        "media.ready", "a", ",\"output\":{\"name\":\"audio.m4a\",\"content_type\":\"audio/mp4\"}"));

    CHECK(has(&m, "Your aac is ready"));
    media_buf_free(&m);
    m = compose(PARAMS("media.ready", "a",
                       ",\"output\":{\"name\":\"audio.ogg\",\"content_type\":\"audio/ogg\"}"));
    CHECK(has(&m, "Your ogg is ready"));
    media_buf_free(&m);
}

int main(void)
{
    test_mime_header_short_ascii_is_plain();
    test_mime_header_other_is_encoded_and_folded();
    test_mime_header_injection_is_impossible();
    test_mime_part_ascii_is_7bit();
    test_mime_part_utf8_is_quoted_printable();
    test_mime_address();
    test_template_values_sections_and_escapes();
    test_note_wrong_params_are_rejected();
    test_mail_ready_has_headers_id_and_link();
    test_mail_same_job_same_bytes();
    test_mail_failed_has_id_and_cause();
    test_mail_hostile_name_is_harmless();
    test_mail_lines_fit_smtp();
    test_mail_ready_without_output_has_no_link();
    test_mail_format_names();
    media_jwt_key_free((media_jwt_key_t *)(uintptr_t)play_key());
    return test_report();
}
