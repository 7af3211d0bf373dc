/* multipart.c: every form is read whole and cut at every step; the events must be the same. */
#include "media/multipart.h"

#include "test.h"

#define HEAD_A "Content-Disposition: form-data; name=\"a\"\r\n\r\n"
#define HEAD_F "Content-Disposition: form-data; name=\"f\"; filename=\"x.mp4\"\r\n"
#define END "\r\n--B--\r\n"

typedef struct {
    char log[8192]; /* the events as text; file data is joined */
    size_t len;
    media_err_t ei;
    int rc;
    int eof;
    int in_data;
} run_t;

static void put(run_t *r, const char *p, size_t n)
{
    if (n > sizeof(r->log) - 1 - r->len) {
        n = sizeof(r->log) - 1 - r->len;
    }
    if (n != 0) {
        memcpy(r->log + r->len, p, n);
    }
    for (size_t i = 0; i < n; i++) {
        r->log[r->len + i] = r->log[r->len + i] == '\0' ? '0' : r->log[r->len + i];
    }
    r->len += n;
    r->log[r->len] = '\0';
}

static void put_text(run_t *r, const char *label, media_str_t s)
{
    put(r, label, strlen(label));
    put(r, s.p, s.len);
}

static void note(run_t *r, const media_mp_event_t *ev)
{
    switch (ev->type) {
    case MEDIA_MP_FIELD:
        put_text(r, "field ", ev->name);
        put_text(r, "=", ev->value);
        break;
    case MEDIA_MP_FILE_BEGIN:
        put_text(r, "file ", ev->name);
        put_text(r, " '", ev->filename);
        put_text(r, "' ", ev->content_type);
        put_text(r, ev->sha256.len != 0 ? " sha256=" : "", ev->sha256);
        put_text(r, ":", MEDIA_STR(""));
        break;
    case MEDIA_MP_FILE_DATA:
        CHECK(ev->data.len != 0);
        put_text(r, "", ev->data);
        return;
    case MEDIA_MP_FILE_END:
        put_text(r, "|", MEDIA_STR(""));
        return;
    case MEDIA_MP_END:
        put_text(r, "end", MEDIA_STR(""));
        break;
    default:
        return;
    }
    if (ev->type != MEDIA_MP_FILE_BEGIN) {
        put_text(r, ";", MEDIA_STR(""));
    }
}

/* Reads `form` in pieces of `step` bytes, each in memory of its own so that ASAN sees overruns. */
static void read_form(run_t *r, media_str_t form, size_t step)
{
    media_multipart_t *m;
    media_mp_event_t ev;

    memset(r, 0, sizeof(*r));
    CHECK_INT(media_multipart_new(MEDIA_STR("B"), &m), 0);
    for (size_t at = 0; at < form.len && r->rc == 0; at += step) {
        size_t n = form.len - at < step ? form.len - at : step, pos = 0, used;
        char *piece = malloc(n);

        memcpy(piece, form.p + at, n);
        do {
            r->rc = media_multipart_next(m, piece + pos, n - pos, &used, &ev, &r->ei);
            pos += used;
            if (r->rc == 0) {
                note(r, &ev);
            }
        } while (r->rc == 0 && ev.type != MEDIA_MP_NEED);
        CHECK(r->rc != 0 || pos == n);
        free(piece);
    }
    r->eof = media_multipart_eof(m, NULL);
    media_multipart_free(m);
}

static void check_form(media_str_t form, int rc, const char *want)
{
    static run_t r;
    size_t steps[] = {form.len, 1, 2, 3, 5, 7, 16, 61};

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (steps[i] == 0) {
            continue;
        }
        read_form(&r, form, steps[i]);
        CHECK_INT(r.rc, rc);
        if (rc == 0) {
            CHECK_STR(r.log, want);
            CHECK_INT(r.eof, 0);
        } else {
            CHECK_STR(r.ei.text, want);
            CHECK_INT(r.eof, MEDIA_E_REJECT);
        }
    }
}

#define GOOD(form, want) check_form(MEDIA_STR(form), 0, want)
#define REJECT(form, want) check_form(MEDIA_STR(form), MEDIA_E_REJECT, want)

static void test_multipart_fields_and_file_are_read(void)
{
    GOOD("--B\r\n" HEAD_A "1\r\n--B\r\n" HEAD_F "Content-Type: video/mp4\r\n\r\nDATA\r\n--B\r\n"
         "content-disposition:form-data;NAME=b\r\n\r\n2" END,
         "field a=1;file f 'x.mp4' video/mp4:DATA|field b=2;end;");
    GOOD("--B\r\n" HEAD_F "SHA256: abc\r\nX-Other: y\r\n\r\nD" END,
         "file f 'x.mp4'  sha256=abc:D|end;");
    GOOD("--B--", "end;");
}

static void test_multipart_empty_bodies_are_read(void)
{
    GOOD("--B\r\n" HEAD_A END, "field a=;end;");
    GOOD("--B\r\n" HEAD_F "\r\n" END, "file f 'x.mp4' :|end;");
    /* without a body the empty line is the delimiter's own CRLF (RFC 2046 body-part) */
    GOOD("--B\r\n" HEAD_A "--B--", "field a=;end;");
    GOOD("--B\r\n" HEAD_F "\r\n--B--", "file f 'x.mp4' :|end;");
}

static void test_multipart_data_like_a_delimiter_is_data(void)
{
    GOOD("--B\r\n" HEAD_F "\r\n\r\n-B\r\n--\r\n--A\r--B\n--B--\r\n\r\r\n" END,
         "file f 'x.mp4' :\r\n-B\r\n--\r\n--A\r--B\n--B--\r\n\r\r\n|end;");
    GOOD("--B\r\n" HEAD_F "\r\n--A" END, "file f 'x.mp4' :--A|end;");
    GOOD("--B\r\n" HEAD_F "\r\n-" END, "file f 'x.mp4' :-|end;");
    GOOD("--B\r\n" HEAD_F "\r\n\r\n\r\n" END, "file f 'x.mp4' :\r\n\r\n|end;");
    GOOD("--B\r\n" HEAD_F "\r\na\0b" END, "file f 'x.mp4' :a0b|end;");
    GOOD("--B\r\n" HEAD_A "x\r\n-\r\n--\r" END, "field a=x\r\n-\r\n--\r;end;");
}

static void test_multipart_preamble_padding_epilogue_are_skipped(void)
{
    GOOD("This is a\r\nmultipart --B message\r\n--B  \t\r\n" HEAD_A
         "1\r\n--B-- \r\n--B\r\nepilogue\r\n--B--",
         "field a=1;end;");
    GOOD("\r\n--B\r\n" HEAD_A "1" END, "field a=1;end;");
    GOOD("--B\r\n" HEAD_A "1\r\n--B--anything", "field a=1;end;");
}

static void test_multipart_names_are_unescaped(void)
{
    GOOD("--B\r\nContent-Disposition: form-data; name=\"a\\\"b\\\\c\"\r\n\r\n1" END,
         "field a\"b\\c=1;end;");
    GOOD("--B\r\nContent-Disposition: form-data; name=\"a%22b%0D%0a%25%41\"\r\n\r\n1" END,
         "field a\"b\r\n%25%41=1;end;");
    GOOD("--B\r\nContent-Disposition: form-data; name=f; filename=\"C:\\dir\\my;file.mp4\"\r\n\r\n"
         "1" END,
         "file f 'C:\\dir\\my;file.mp4' :1|end;");
    GOOD("--B\r\nContent-Disposition: form-data; name=f; filename=\"\xc3\xa4 "
         "100%.mp4\"\r\n\r\n1" END,
         "file f '\xc3\xa4 100%.mp4' :1|end;");
    GOOD("--B\r\nContent-Disposition: form-data; name=\"\"; filename=\"\"\r\n\r\n1" END,
         "file  '' :1|end;");
}

static void test_multipart_extended_filename_wins(void)
{
    GOOD("--B\r\nContent-Disposition: form-data; name=f; filename=\"plain\";"
         " filename*=utf-8'en'%c3%a4%20x.mp4\r\n\r\n1" END,
         "file f '\xc3\xa4 x.mp4' :1|end;");
    GOOD("--B\r\nContent-Disposition: form-data; name=f; filename*=UTF-8''a%22b\r\n\r\n1" END,
         "file f 'a\"b' :1|end;");
    GOOD("--B\r\nContent-Disposition: form-data; name=f; filename*=UTF-8''%ff;"
         " filename=\"plain\"\r\n\r\n1" END,
         "file f 'plain' :1|end;");
    REJECT("--B\r\nContent-Disposition: form-data; name=f; filename*=latin-1''a\r\n\r\n1" END,
           "a filename* that is not UTF-8 as in RFC 8187");
}

static void test_multipart_broken_heads_are_refused(void)
{
    REJECT("--B\r\n\r\n1" END, "a part without Content-Disposition: form-data");
    REJECT("--B\r\nContent-Type: a/b\r\n\r\n1" END,
           "a part without Content-Disposition: form-data");
    REJECT("--B\r\nContent-Disposition: attachment; name=a\r\n\r\n1" END,
           "a part without Content-Disposition: form-data");
    REJECT("--B\r\nContent-Disposition: form-data\r\n\r\n1" END, "a part without a good name");
    REJECT("--B\r\nContent-Disposition: form-data; name=\"a\r\n\r\n1" END,
           "a part without a good name");
    REJECT("--B\r\nContent-Disposition: form-data; name=a b\r\n\r\n1" END,
           "a part without a good name");
    REJECT("--B\r\nContent-Disposition: form-data; name=a; name=b\r\n\r\n1" END,
           "a parameter of Content-Disposition twice");
    REJECT("--B\r\n" HEAD_F "Content-Disposition: form-data; name=b\r\n\r\n1" END,
           "a header of a part twice");
    REJECT("--B\r\n" HEAD_F " folded\r\n\r\n1" END, "a folded header line in a part");
    REJECT("--B\r\n" HEAD_F "no colon\r\n\r\n1" END, "a header line of a part without a name");
    REJECT("--B\r\n" HEAD_F ": x\r\n\r\n1" END, "a header line of a part without a name");
    REJECT("--B\r\n" HEAD_F "A: b\n\r\n1" END, "a header line that ends in a bare LF");
    REJECT("--B\r\n" HEAD_F "A: b\rc\r\n\r\n1" END, "a control character in a part's header");
    REJECT("--B\r\n" HEAD_F "A: \0\r\n\r\n1" END, "a control character in a part's header");
    REJECT("--B\r\n" HEAD_F "Content-Transfer-Encoding: base64\r\n\r\n1" END,
           "a part with a Content-Transfer-Encoding");
    GOOD("--B\r\n" HEAD_F "Content-Transfer-Encoding: Binary\r\n\r\n1" END,
         "file f 'x.mp4' :1|end;");
}

static void test_multipart_broken_boundary_lines_are_refused(void)
{
    static const char cause[] = "a boundary line that does not end in CRLF";

    REJECT("--Bx\r\n" HEAD_A "1" END, cause);
    REJECT("--B\n" HEAD_A "1" END, cause);
    REJECT("--B-x", cause);
    REJECT("--B \rx", cause);
    REJECT("--B --", cause);
    REJECT("--B\r\n" HEAD_A "1\r\n--BB--\r\n", cause);
}

static void test_multipart_second_file_is_refused(void)
{
    REJECT("--B\r\n" HEAD_F "\r\n1\r\n--B\r\n" HEAD_F "\r\n2" END, "a second file part");
}

static void test_multipart_early_end_is_refused(void)
{
    static const char *const forms[] = {"",
                                        "--B",
                                        "--B\r\n",
                                        "--B\r\n" HEAD_A,
                                        "--B\r\n" HEAD_F "\r\nDATA",
                                        "--B\r\n" HEAD_F "\r\nDATA\r\n--B",
                                        "--B\r\n" HEAD_F "\r\nDATA\r\n--B-",
                                        "--B\r\n" HEAD_F "\r\nDATA\r\n--B\r\n"};
    static run_t r;

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        read_form(&r, media_str(forms[i]), 4);
        CHECK_INT(r.rc, 0);
        CHECK_INT(r.eof, MEDIA_E_REJECT);
    }
}

/* `before`, n times 'x', `after` */
static void check_sized(const char *before, size_t n, const char *after, int rc, const char *cause)
{
    static char form[80000];
    static run_t r;
    size_t b = strlen(before), a = strlen(after);

    memcpy(form, before, b);
    memset(form + b, 'x', n);
    memcpy(form + b + n, after, a);
    for (size_t step = b + n + a; step > 100; step /= 30) {
        read_form(&r, (media_str_t){form, b + n + a}, step);
        CHECK_INT(r.rc, rc);
        CHECK_STR(r.ei.text, cause);
    }
}

static void test_multipart_caps_hold(void)
{
    static const char name[] = "--B\r\nContent-Disposition: form-data; name=\"";
    static const char file[] = "--B\r\nContent-Disposition: form-data; name=f; filename=\"";
    static const char ext[] = "--B\r\nContent-Disposition: form-data; name=f; filename*=UTF-8''";
    static const char head[] = "--B\r\n" HEAD_F "X: ";
    size_t room = MEDIA_MP_HEAD_MAX - (sizeof(head) - 1 - 5) - 4;

    check_sized("--B\r\n" HEAD_A, MEDIA_MP_FIELD_MAX, END, 0, "");
    check_sized("--B\r\n" HEAD_A, MEDIA_MP_FIELD_MAX + 1, END, MEDIA_E_TOOBIG,
                "a field larger than 65536 bytes");
    check_sized(name, 255, "\"\r\n\r\n1" END, 0, "");
    check_sized(name, 256, "\"\r\n\r\n1" END, MEDIA_E_TOOBIG, "a field name longer than 255 bytes");
    check_sized(file, 4096, "\"\r\n\r\n1" END, 0, "");
    check_sized(file, 4097, "\"\r\n\r\n1" END, MEDIA_E_TOOBIG,
                "a file name longer than 4096 bytes");
    check_sized(ext, 4097, "\r\n\r\n1" END, MEDIA_E_TOOBIG, "a file name longer than 4096 bytes");
    check_sized(head, room, "\r\n\r\n1" END, 0, "");
    check_sized(head, room + 1, "\r\n\r\n1" END, MEDIA_E_TOOBIG,
                "headers of a part larger than 8192 bytes");
}

static void test_multipart_field_count_is_capped(void)
{
    static const char part[] = "--B\r\n" HEAD_A "\r\n";
    static char form[4096];
    static run_t r;
    size_t n = 0;

    for (int i = 0; i < MEDIA_MP_FIELDS_MAX; i++, n += sizeof(part) - 1) {
        memcpy(form + n, part, sizeof(part));
    }
    memcpy(form + n, "--B--", 6);
    read_form(&r, media_str(form), 1000);
    CHECK_INT(r.rc, 0);
    memcpy(form + n, part, sizeof(part));
    read_form(&r, media_str(form), 1000);
    CHECK_INT(r.rc, MEDIA_E_TOOBIG);
    CHECK_STR(r.ei.text, "more than 32 fields");
}

static void check_boundary(const char *type, int rc, const char *want)
{
    char dst[MEDIA_MP_BOUNDARY_MAX + 1] = "";

    CHECK_INT(media_multipart_boundary(media_str(type), dst, sizeof(dst), NULL), rc);
    if (rc == 0) {
        CHECK_STR(dst, want);
    }
}

static void test_multipart_boundary_is_read(void)
{
    static const char b70[] =
        "multipart/form-data; "
        "boundary=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    char b71[128];

    check_boundary("multipart/form-data; boundary=----WebKitFormBoundaryAb1", 0,
                   "----WebKitFormBoundaryAb1");
    check_boundary("Multipart/Form-Data ; charset=utf-8;BOUNDARY=\"a b:=?\" ;", 0, "a b:=?");
    check_boundary(b70, 0, b70 + 30);
    snprintf(b71, sizeof(b71), "%sx", b70);
    check_boundary(b71, MEDIA_E_REJECT, NULL);
    check_boundary("", MEDIA_E_GONE, NULL);
    check_boundary("video/mp4", MEDIA_E_GONE, NULL);
    check_boundary("multipart/mixed; boundary=a", MEDIA_E_GONE, NULL);
    check_boundary("multipart/form-data", MEDIA_E_REJECT, NULL);
    check_boundary("multipart/form-data; boundary=", MEDIA_E_REJECT, NULL);
    check_boundary("multipart/form-data; boundary=\"\"", MEDIA_E_REJECT, NULL);
    check_boundary("multipart/form-data; boundary=\"a \"", MEDIA_E_REJECT, NULL);
    check_boundary("multipart/form-data; boundary=\"a", MEDIA_E_REJECT, NULL);
    check_boundary("multipart/form-data; boundary=a; boundary=b", MEDIA_E_REJECT, NULL);
    check_boundary("multipart/form-data; boundary=\"a\\\\b\"", MEDIA_E_REJECT, NULL);
    check_boundary("multipart/form-data; boundary=a&b", MEDIA_E_REJECT, NULL);
}

int main(void)
{
    test_multipart_fields_and_file_are_read();
    test_multipart_empty_bodies_are_read();
    test_multipart_data_like_a_delimiter_is_data();
    test_multipart_preamble_padding_epilogue_are_skipped();
    test_multipart_names_are_unescaped();
    test_multipart_extended_filename_wins();
    test_multipart_broken_heads_are_refused();
    test_multipart_broken_boundary_lines_are_refused();
    test_multipart_second_file_is_refused();
    test_multipart_early_end_is_refused();
    test_multipart_caps_hold();
    test_multipart_field_count_is_capped();
    test_multipart_boundary_is_read();
    return test_report();
}
