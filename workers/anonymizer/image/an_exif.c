#include "an_exif.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "an_params.h"

#define TAG_ORIENTATION 0x0112
#define TAG_DATE 0x0132
#define TAG_COPYRIGHT 0x8298
#define TAG_EXIF_IFD 0x8769
#define TAG_DATE_ORIGINAL 0x9003
#define TYPE_ASCII 2
#define TYPE_SHORT 3
#define ENTRIES_MAX 512

typedef struct {
    const uint8_t *p;
    size_t n;
    int is_big;
} tiff_t;

static uint32_t number(const tiff_t *t, size_t at, int bytes)
{
    uint32_t v = 0;

    if (at > t->n || t->n - at < (size_t)bytes) {
        return 0;
    }
    for (int i = 0; i < bytes; i++) {
        v = v << 8 | t->p[at + (size_t)(t->is_big ? i : bytes - 1 - i)];
    }
    return v;
}

int an_exif_is_date(const char *s, size_t n)
{
    static const char form[] = "0000:00:00 00:00:00";

    if (n < sizeof(form) - 1) {
        return 0;
    }
    for (size_t i = 0; i < sizeof(form) - 1; i++) {
        if (form[i] == '0' ? !isdigit((unsigned char)s[i]) : s[i] != form[i]) {
            return 0;
        }
    }
    return 1;
}

static void read_text(const tiff_t *t, size_t entry, char *dst, size_t cap)
{
    size_t n = number(t, entry + 4, 4), at = n > 4 ? number(t, entry + 8, 4) : entry + 8;

    if (at > t->n || n > t->n - at) {
        return;
    }
    n = n < cap - 1 ? n : cap - 1;
    memcpy(dst, t->p + at, n);
    dst[n] = '\0';
}

static void read_entry(const tiff_t *t, size_t entry, an_exif_t *out, size_t *more)
{
    uint32_t tag = number(t, entry, 2), type = number(t, entry + 2, 2);
    char text[32] = "";

    if (tag == TAG_ORIENTATION && type == TYPE_SHORT) {
        uint32_t v = number(t, entry + 8, 2);
        out->orientation = v >= 1 && v <= 8 ? (int)v : 1;
    } else if (tag == TAG_COPYRIGHT && type == TYPE_ASCII) {
        read_text(t, entry, out->copyright, sizeof(out->copyright));
    } else if (tag == TAG_EXIF_IFD) {
        *more = number(t, entry + 8, 4);
    } else if ((tag == TAG_DATE && out->date[0] == '\0') || tag == TAG_DATE_ORIGINAL) {
        read_text(t, entry, text, sizeof(text));
        if (type == TYPE_ASCII && an_exif_is_date(text, strlen(text))) {
            (void)snprintf(out->date, sizeof(out->date), "%.19s", text);
        }
    }
}

static size_t read_ifd(const tiff_t *t, size_t at, an_exif_t *out)
{
    uint32_t n = number(t, at, 2);
    size_t more = 0;

    for (uint32_t i = 0; i < n && i < ENTRIES_MAX && at + 2 + 12 * (i + 1) <= t->n; i++) {
        read_entry(t, at + 2 + (size_t)12 * i, out, &more);
    }
    return more;
}

void an_exif_read(const uint8_t *p, size_t n, an_exif_t *out)
{
    tiff_t t = {p, n, 0};
    size_t more;

    if (n >= 6 && memcmp(p, "Exif\0\0", 6) == 0) {
        t.p += 6;
        t.n -= 6;
    }
    if (t.n < 14 || (memcmp(t.p, "II*\0", 4) != 0 && memcmp(t.p, "MM\0*", 4) != 0)) {
        return;
    }
    t.is_big = t.p[0] == 'M';
    more = read_ifd(&t, number(&t, 4, 4), out);
    if (more != 0) {
        (void)read_ifd(&t, more, out);
    }
}

static void put(uint8_t *p, uint32_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        p[i] = (uint8_t)(v >> (8 * i));
    }
}

/* An entry of ASCII whose text goes to `at`; the place behind it. */
static size_t put_text(uint8_t *dst, size_t entry, uint32_t tag, const char *text, size_t at)
{
    size_t n = strlen(text) + 1;

    put(dst + entry, tag, 2);
    put(dst + entry + 2, TYPE_ASCII, 2);
    put(dst + entry + 4, (uint32_t)n, 4);
    if (n <= 4) {
        memcpy(dst + entry + 8, text, n);
        return at;
    }
    put(dst + entry + 8, (uint32_t)at, 4);
    memcpy(dst + at, text, n);
    return at + n + (n & 1);
}

size_t an_exif_write(const an_exif_t *e, unsigned keep, uint8_t dst[AN_EXIF_MAX])
{
    int has_date = (keep & AN_KEEP_DATE) != 0 && e->date[0] != '\0';
    int has_copyright = (keep & AN_KEEP_COPYRIGHT) != 0 && e->copyright[0] != '\0';
    size_t n = (size_t)(has_date + has_copyright), entry = 10, at = 10 + 12 * n + 4;

    if (n == 0) {
        return 0;
    }
    memset(dst, 0, AN_EXIF_MAX);
    memcpy(dst, "II*\0\x08\0\0\0", 8);
    put(dst + 8, (uint32_t)n, 2);
    if (has_date) {
        at = put_text(dst, entry, TAG_DATE, e->date, at);
        entry += 12;
    }
    if (has_copyright) {
        at = put_text(dst, entry, TAG_COPYRIGHT, e->copyright, at);
    }
    return at;
}
