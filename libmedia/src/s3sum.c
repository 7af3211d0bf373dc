/* Checksums of S3 objects, see s3sum.h.
 *
 * CRC-64/NVME (NVM Express NVM Command Set 1.0, 5.2.1.3.4): reflected polynomial below, all bits
 * inverted before and after. Eight tables take eight bytes at a time; where the processor
 * multiplies polynomials (PCLMULQDQ), 64 bytes are folded at a time ("Fast CRC Computation for
 * Generic Polynomials Using PCLMULQDQ Instruction", Intel 2009) and the tables take the rest.
 * Everything is made when the program or module is loaded, so that no caller waits and no two
 * threads race. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "media/s3sum.h"

#define POLY 0x9a6c9329ac4bc9b5ull
#define TOP (1ull << 63) /* x^0: reflected, the lowest power is the highest bit */

static uint64_t table[8][256];
static uint64_t powers[64]; /* x^(2^n) modulo the polynomial */

/* a * b modulo the polynomial */
static uint64_t times(uint64_t a, uint64_t b)
{
    uint64_t product = 0;

    for (uint64_t bit = TOP; bit != 0; bit >>= 1) {
        if (a & bit) {
            product ^= b;
        }
        b = b & 1 ? b >> 1 ^ POLY : b >> 1;
    }
    return product;
}

/* x^n modulo the polynomial */
static uint64_t power(uint64_t n)
{
    uint64_t x = TOP;

    for (int i = 0; n != 0; n >>= 1, i++) {
        if (n & 1) {
            x = times(x, powers[i]);
        }
    }
    return x;
}

static uint64_t take_bytes(uint64_t crc, const unsigned char *p, size_t n)
{
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t w;

        memcpy(&w, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        w = __builtin_bswap64(w);
#endif
        w ^= crc;
        crc = table[7][w & 0xff] ^ table[6][w >> 8 & 0xff] ^ table[5][w >> 16 & 0xff] ^
              table[4][w >> 24 & 0xff] ^ table[3][w >> 32 & 0xff] ^ table[2][w >> 40 & 0xff] ^
              table[1][w >> 48 & 0xff] ^ table[0][w >> 56];
    }
    for (; n > 0; n--, p++) {
        crc = crc >> 8 ^ table[0][(crc ^ *p) & 0xff];
    }
    return crc;
}

#if defined(__x86_64__)

static int has_clmul;
static uint64_t by_128[2], by_512[2]; /* for the halves of a block moved on by that many bits */

/* A block that stands `k` further on, added to the one there. */
__attribute__((target("pclmul"))) static inline __m128i fold(__m128i block, __m128i k, __m128i onto)
{
    return _mm_xor_si128(onto, _mm_xor_si128(_mm_clmulepi64_si128(block, k, 0x00),
                                             _mm_clmulepi64_si128(block, k, 0x11)));
}

/* n: a multiple of 64, at least 128 */
__attribute__((target("pclmul"))) static uint64_t take_blocks(uint64_t crc, const unsigned char *p,
                                                              size_t n)
{
    const __m128i *in = (const __m128i *)p;
    __m128i k = _mm_set_epi64x((long long)by_512[1], (long long)by_512[0]);
    __m128i a = _mm_xor_si128(_mm_loadu_si128(in), _mm_set_epi64x(0, (long long)crc));
    __m128i b = _mm_loadu_si128(in + 1), c = _mm_loadu_si128(in + 2), d = _mm_loadu_si128(in + 3);
    unsigned char rest[16];

    for (in += 4, n -= 64; n > 0; in += 4, n -= 64) {
        a = fold(a, k, _mm_loadu_si128(in));
        b = fold(b, k, _mm_loadu_si128(in + 1));
        c = fold(c, k, _mm_loadu_si128(in + 2));
        d = fold(d, k, _mm_loadu_si128(in + 3));
    }
    k = _mm_set_epi64x((long long)by_128[1], (long long)by_128[0]);
    d = fold(fold(fold(a, k, b), k, c), k, d);
    _mm_storeu_si128((__m128i *)rest, d);
    return take_bytes(0, rest, sizeof(rest));
}

/* A product of reflected values comes out one power too high. */
static void make_folds(void)
{
    __builtin_cpu_init();
    has_clmul = __builtin_cpu_supports("pclmul");
    by_128[0] = power(128 + 64 - 1);
    by_128[1] = power(128 - 1);
    by_512[0] = power(512 + 64 - 1);
    by_512[1] = power(512 - 1);
}

#else

static const int has_clmul;

static uint64_t take_blocks(uint64_t crc, const unsigned char *p, size_t n)
{
    return take_bytes(crc, p, n);
}

static void make_folds(void)
{
}

#endif

__attribute__((constructor)) static void make_tables(void)
{
    for (unsigned i = 0; i < 256; i++) {
        uint64_t c = i;

        for (int k = 0; k < 8; k++) {
            c = c & 1 ? c >> 1 ^ POLY : c >> 1;
        }
        table[0][i] = c;
    }
    for (int t = 1; t < 8; t++) {
        for (unsigned i = 0; i < 256; i++) {
            table[t][i] = table[t - 1][i] >> 8 ^ table[0][table[t - 1][i] & 0xff];
        }
    }
    powers[0] = TOP >> 1;
    for (int i = 1; i < 64; i++) {
        powers[i] = times(powers[i - 1], powers[i - 1]);
    }
    make_folds();
}

uint64_t media_crc64nvme(uint64_t crc, const void *data, size_t n)
{
    const unsigned char *p = data;
    size_t blocks = has_clmul && n >= 128 ? n & ~(size_t)63 : 0;

    crc = ~crc;
    if (blocks != 0) {
        crc = take_blocks(crc, p, blocks);
    }
    return ~take_bytes(crc, p + blocks, n - blocks);
}

uint64_t media_crc64nvme_combine(uint64_t a, uint64_t b, int64_t len_b)
{
    return times(power((uint64_t)len_b * 8), a) ^ b;
}

const char *media_s3_sum_header(enum media_s3_sum_alg alg)
{
    static const char *const headers[] = {
#define X(name, word, wire, kind, len) "x-amz-checksum-" word,
        MEDIA_S3_SUMS(X)
#undef X
    };

    return headers[alg];
}

int media_s3_sum_parse(media_str_t word)
{
    static const char *const words[] = {
#define X(name, word, wire, kind, len) word,
        MEDIA_S3_SUMS(X)
#undef X
    };

    for (int i = 0; i < MEDIA_S3_SUM_COUNT; i++) {
        if (media_str_eq(word, media_str(words[i]))) {
            return i;
        }
    }
    return -1;
}

void media_s3_sum_init(media_s3_sum_t *s, enum media_s3_sum_alg alg)
{
    s->alg = alg;
    s->n = 0;
    s->crc = 0;
    if (alg == MEDIA_S3_SUM_SHA256) {
        SHA256_Init(&s->sha);
    }
}

void media_s3_sum_add(media_s3_sum_t *s, const void *p, size_t n)
{
    s->n += (int64_t)n;
    if (s->alg == MEDIA_S3_SUM_SHA256) {
        SHA256_Update(&s->sha, p, n);
    } else if (s->alg == MEDIA_S3_SUM_CRC64NVME) {
        s->crc = media_crc64nvme(s->crc, p, n);
    }
}

void media_s3_sum_end(media_s3_sum_t *s, char dst[MEDIA_S3_SUM_TEXT])
{
    uint8_t sha[SHA256_DIGEST_LENGTH];

    dst[0] = '\0';
    if (s->alg == MEDIA_S3_SUM_SHA256) {
        SHA256_Final(sha, &s->sha);
        media_s3_sum_sha256_text(sha, dst);
    } else if (s->alg == MEDIA_S3_SUM_CRC64NVME) {
        media_s3_sum_crc_text(s->crc, dst);
    }
}

void media_s3_sum_sha256_text(const uint8_t sha256[32], char dst[MEDIA_S3_SUM_TEXT])
{
    media_b64_encode(sha256, 32, dst, MEDIA_S3_SUM_TEXT);
}

void media_s3_sum_crc_text(uint64_t crc, char dst[MEDIA_S3_SUM_TEXT])
{
    uint8_t be[8];

    for (int i = 0; i < 8; i++) {
        be[i] = (uint8_t)(crc >> (56 - 8 * i));
    }
    media_b64_encode(be, sizeof(be), dst, MEDIA_S3_SUM_TEXT);
}
