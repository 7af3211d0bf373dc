/* The block cache: what is fetched, in which pieces, and what is not. */
#include "wk_blocks.h"

#include <poll.h>
#include <string.h>

#include "test.h"

#define MIB ((int64_t)1 << 20)
#define CALLS 64

/* A source whose byte at off is off / 4096, and what was asked of it. */
typedef struct {
    int64_t off[CALLS], len[CALLS];
    atomic_int calls;
} asked_t;

static int read_counted(void *data, atomic_int *stop, int64_t off, size_t len, void *dst,
                        media_err_t *ei)
{
    asked_t *a = data;
    int i = atomic_load(&a->calls);
    char *to = dst;

    (void)stop;
    if (i == CALLS) {
        return media_err_set(ei, MEDIA_E_BUG, "too many reads");
    }
    a->off[i] = off;
    a->len[i] = (int64_t)len;
    for (size_t n = 0; n < len; n++) {
        to[n] = (char)((off + (int64_t)n) / 4096);
    }
    atomic_store(&a->calls, i + 1);
    return 0;
}

/* As the child asks: every MiB from `from` to `to`; the sum of what came. */
static int64_t walk(wk_blocks_t *b, int64_t from, int64_t to)
{
    struct pollfd p = {.fd = wk_blocks_fd(b), .events = POLLIN};
    media_err_t ei = {""};
    int64_t got = 0;
    const char *bytes;
    ssize_t n;

    while (from < to) {
        n = wk_blocks_get(b, from, &bytes, &ei);
        if (n == MEDIA_E_AGAIN) {
            (void)poll(&p, 1, 1000);
            continue;
        }
        if (n <= 0) {
            break;
        }
        n = n < to - from ? n : (ssize_t)(to - from);
        n = n < MIB ? n : MIB;
        CHECK_INT(bytes[0], (char)(from / 4096));
        CHECK_INT(bytes[n - 1], (char)((from + n - 1) / 4096));
        from += n;
        got += n;
    }
    return got;
}

static int64_t fetched(wk_blocks_t *b, const asked_t *a)
{
    int64_t sum = 0;

    for (int i = 0; i < atomic_load(&a->calls); i++) {
        CHECK(a->off[i] % WK_BLOCK_SMALL == 0);
        CHECK(a->len[i] <= WK_BLOCK_SIZE);
        for (int k = 0; k < i; k++) {
            CHECK(a->off[i] != a->off[k]); /* nothing twice */
        }
        sum += a->len[i];
    }
    CHECK_INT(sum, wk_blocks_fetched(b));
    return sum;
}

static void test_wk_blocks_whole_input_is_fetched_once(void)
{
    asked_t a = {.calls = 0};
    const wk_source_t source = {
        .read = read_counted, .data = &a, .size = 11 * MIB + 5, .to = 11 * MIB + 5};
    wk_blocks_t *b = wk_blocks_new(&source);

    CHECK_INT(walk(b, 0, source.size), source.size);
    CHECK_INT(fetched(b, &a), source.size);
    CHECK_INT(atomic_load(&a.calls), 3);
    wk_blocks_free(b);
}

static void test_wk_blocks_part_is_fetched_without_its_neighbours(void)
{
    asked_t a = {.calls = 0};
    const wk_source_t source = {.read = read_counted,
                                .data = &a,
                                .size = 100 * MIB,
                                .from = 30 * MIB + 7,
                                .to = 41 * MIB + 7};
    wk_blocks_t *b = wk_blocks_new(&source);

    CHECK_INT(walk(b, 0, MIB / 2), MIB / 2);
    CHECK_INT(walk(b, source.from, source.to), source.to - source.from);
    wk_blocks_free(b); /* whatever it fetches ahead is done then */
    b = wk_blocks_new(&source);
    CHECK_INT(a.off[0], 0);
    CHECK_INT(a.len[0], WK_BLOCK_SMALL);
    CHECK_INT(a.off[1], 30 * MIB);
    CHECK_INT(a.len[1], 2 * MIB);
    CHECK_INT(atomic_load(&a.calls), 5);
    CHECK_INT(a.off[4] + a.len[4], 42 * MIB);
    wk_blocks_free(b);
}

static void test_wk_blocks_beside_a_part_pieces_are_small(void)
{
    asked_t a = {.calls = 0};
    const wk_source_t source = {
        .read = read_counted, .data = &a, .size = 20 * MIB - 9, .from = 8 * MIB, .to = 9 * MIB};
    wk_blocks_t *b = wk_blocks_new(&source);

    CHECK_INT(walk(b, 3 * MIB + 10, 3 * MIB + 20), 10);
    CHECK_INT(walk(b, 19 * MIB + 10, source.size), MIB - 19);
    CHECK_INT(walk(b, 8 * MIB, 9 * MIB), MIB);
    CHECK_INT(fetched(b, &a), 3 * MIB - 9);
    CHECK_INT(atomic_load(&a.calls), 3);
    wk_blocks_free(b);
}

int main(void)
{
    test_wk_blocks_whole_input_is_fetched_once();
    test_wk_blocks_part_is_fetched_without_its_neighbours();
    test_wk_blocks_beside_a_part_pieces_are_small();
    return test_report();
}
