/* The whole test framework: CHECK macros that print file:line and go on, and
 * one line "N passed, M failed" at the end. A case is one function test_<file>_<case>_<expected>.
 */
#ifndef MEDIA_TEST_H
#define MEDIA_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int test_passed;
static int test_failed;

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (cond) {                                                                                \
            test_passed++;                                                                         \
        } else {                                                                                   \
            test_failed++;                                                                         \
            printf("%s:%d: %s: failed: %s\n", __FILE__, __LINE__, __func__, #cond);                \
        }                                                                                          \
    } while (0)

/* Both sides as long long, printed when they differ. */
#define CHECK_INT(got, want)                                                                       \
    do {                                                                                           \
        long long got_ = (long long)(got);                                                         \
        long long want_ = (long long)(want);                                                       \
        if (got_ == want_) {                                                                       \
            test_passed++;                                                                         \
        } else {                                                                                   \
            test_failed++;                                                                         \
            printf("%s:%d: %s: %s is %lld, expected %lld\n", __FILE__, __LINE__, __func__, #got,   \
                   got_, want_);                                                                   \
        }                                                                                          \
    } while (0)

/* Two C strings. */
#define CHECK_STR(got, want)                                                                       \
    do {                                                                                           \
        const char *got_ = (got);                                                                  \
        const char *want_ = (want);                                                                \
        if (got_ != NULL && strcmp(got_, want_) == 0) {                                            \
            test_passed++;                                                                         \
        } else {                                                                                   \
            test_failed++;                                                                         \
            printf("%s:%d: %s: %s is \"%s\", expected \"%s\"\n", __FILE__, __LINE__, __func__,     \
                   #got, got_ ? got_ : "(null)", want_);                                           \
        }                                                                                          \
    } while (0)

/* `len` bytes against a C string. */
#define CHECK_MEM(got, len, want)                                                                  \
    do {                                                                                           \
        const char *want_ = (want);                                                                \
        size_t len_ = (size_t)(len);                                                               \
        if (len_ == strlen(want_) && (len_ == 0 || memcmp((got), want_, len_) == 0)) {             \
            test_passed++;                                                                         \
        } else {                                                                                   \
            test_failed++;                                                                         \
            printf("%s:%d: %s: %s is \"%.*s\", expected \"%s\"\n", __FILE__, __LINE__, __func__,   \
                   #got, (int)(len_ < 2000 ? len_ : 2000), (const char *)(got), want_);            \
        }                                                                                          \
    } while (0)

/* The last statement of main: return test_report(); */
static inline int test_report(void)
{
    printf("%d passed, %d failed\n", test_passed, test_failed);
    return test_failed != 0 || test_passed == 0;
}

/* A whole file of test/vectors, NUL-terminated, to be freed; a missing one ends the program. */
static inline char *test_read(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    char *p = NULL;
    size_t cap = 1 << 20;
    if (f != NULL) {
        p = malloc(cap + 1);
    }
    if (p == NULL) {
        printf("cannot read %s\n", path);
        exit(1);
    }
    size_t n = fread(p, 1, cap, f);
    fclose(f);
    p[n] = '\0';
    if (len != NULL) {
        *len = n;
    }
    return p;
}

#endif
