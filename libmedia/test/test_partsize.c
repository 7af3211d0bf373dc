#include "test.h"

#include "media/partsize.h"

#define MIB (1LL << 20)

static void test_partsize_grows_from_first_to_most(void)
{
    CHECK_INT(media_part_size(8 * MIB, MEDIA_PART_MAX, 1), 8 * MIB);
    CHECK_INT(media_part_size(8 * MIB, MEDIA_PART_MAX, 900), 8 * MIB);
    CHECK_INT(media_part_size(8 * MIB, MEDIA_PART_MAX, 901), 16 * MIB);
    CHECK_INT(media_part_size(8 * MIB, MEDIA_PART_MAX, 1801), 32 * MIB);
    CHECK_INT(media_part_size(8 * MIB, 32 * MIB, 1801), 32 * MIB);
    CHECK_INT(media_part_size(8 * MIB, 32 * MIB, MEDIA_PARTS_MAX), 32 * MIB);
    CHECK_INT(media_part_size(8 * MIB, 8 * MIB, MEDIA_PARTS_MAX), 8 * MIB);
    CHECK_INT(media_part_size(10 * MIB, 12 * MIB, 901), 12 * MIB);
    CHECK_INT(media_part_size(1024 * MIB, MEDIA_PART_MAX, MEDIA_PARTS_MAX), MEDIA_PART_MAX);
}

/* Whatever the first size, every part is legal and 5 TiB fit. */
static void test_partsize_all_parts_hold_5_tib(void)
{
    static const int64_t firsts[] = {MEDIA_PART_MIN, 6 * MIB, 8 * MIB, 100 * MIB, 1024 * MIB};

    for (size_t i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++) {
        int64_t sum = 0, before = 0;

        for (unsigned n = 1; n <= MEDIA_PARTS_MAX; n++) {
            int64_t size = media_part_size(firsts[i], MEDIA_PART_MAX, n);

            if (size < before || size < MEDIA_PART_MIN || size > MEDIA_PART_MAX) {
                CHECK(!"a legal size");
            }
            before = size;
            sum += size;
        }
        CHECK(sum >= MEDIA_OBJECT_MAX);
        CHECK_INT(media_part_size_total(firsts[i], MEDIA_PART_MAX), MEDIA_OBJECT_MAX);
    }
}

static void test_partsize_total_of_capped_parts(void)
{
    CHECK_INT(media_part_size_total(5 * MIB, 5 * MIB), 50000 * MIB);
    CHECK_INT(media_part_size_total(8 * MIB, 32 * MIB), (900 * 24 + 8200 * 32LL) * MIB);
}

static void test_partsize_equal_holds_the_length(void)
{
    CHECK_INT(media_part_size_equal(8 * MIB, 0), 8 * MIB);
    CHECK_INT(media_part_size_equal(8 * MIB, 5LL << 30), 8 * MIB);
    CHECK_INT(media_part_size_equal(8 * MIB, 80000 * MIB), 8 * MIB);
    CHECK_INT(media_part_size_equal(8 * MIB, 80000 * MIB + 1), 16 * MIB);
    CHECK_INT(media_part_size_equal(5 * MIB, MEDIA_OBJECT_MAX), 640 * MIB);
    CHECK_INT(media_part_size_equal(8 * MIB, MEDIA_OBJECT_MAX), 1024 * MIB);
    CHECK_INT(media_part_size_equal(1024 * MIB, MEDIA_OBJECT_MAX), 1024 * MIB);
}

int main(void)
{
    test_partsize_grows_from_first_to_most();
    test_partsize_all_parts_hold_5_tib();
    test_partsize_total_of_capped_parts();
    test_partsize_equal_holds_the_length();
    return test_report();
}
