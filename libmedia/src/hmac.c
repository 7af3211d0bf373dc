#include "hmac.h"

#include <string.h>

#include <openssl/crypto.h>

static size_t block_len(size_t len)
{
    return len == SHA256_DIGEST_LENGTH ? SHA256_CBLOCK : SHA512_CBLOCK;
}

static void half_init(media_hmac_half_t *half, size_t len)
{
    switch (len) {
    case SHA256_DIGEST_LENGTH:
        SHA256_Init(&half->sha256);
        break;
    case SHA384_DIGEST_LENGTH:
        SHA384_Init(&half->sha512);
        break;
    default:
        SHA512_Init(&half->sha512);
    }
}

static void half_add(media_hmac_half_t *half, size_t len, const void *p, size_t n)
{
    if (len == SHA256_DIGEST_LENGTH) {
        SHA256_Update(&half->sha256, p, n);
    } else {
        SHA512_Update(&half->sha512, p, n);
    }
}

/* SHA-384 is told by its state. */
static void half_end(media_hmac_half_t *half, size_t len, unsigned char *out)
{
    if (len == SHA256_DIGEST_LENGTH) {
        SHA256_Final(out, &half->sha256);
    } else {
        SHA512_Final(out, &half->sha512);
    }
}

void media_hmac_key(media_hmac_t *h, size_t len, media_str_t key)
{
    unsigned char block[SHA512_CBLOCK] = {0};
    media_hmac_half_t hash;

    h->len = len;
    if (key.len > block_len(len)) {
        half_init(&hash, len);
        half_add(&hash, len, key.p, key.len);
        half_end(&hash, len, block);
    } else if (key.len > 0) {
        memcpy(block, key.p, key.len);
    }
    for (size_t i = 0; i < block_len(len); i++) {
        block[i] ^= 0x36;
    }
    half_init(&h->inner, len);
    half_add(&h->inner, len, block, block_len(len));
    for (size_t i = 0; i < block_len(len); i++) {
        block[i] ^= 0x36 ^ 0x5c;
    }
    half_init(&h->outer, len);
    half_add(&h->outer, len, block, block_len(len));
    OPENSSL_cleanse(block, sizeof(block));
}

void media_hmac_make(const media_hmac_t *h, media_str_t msg, unsigned char *mac)
{
    media_hmac_half_t hash = h->inner;

    half_add(&hash, h->len, msg.p, msg.len);
    half_end(&hash, h->len, mac);
    hash = h->outer;
    half_add(&hash, h->len, mac, h->len);
    half_end(&hash, h->len, mac);
    OPENSSL_cleanse(&hash, sizeof(hash));
}
