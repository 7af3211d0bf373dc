/* HMAC (RFC 2104) over SHA-256, SHA-384 or SHA-512, keyed once and used often.
 *
 * OpenSSL's low-level interface on purpose: its state lies in our struct and on our stack, so a MAC
 * cannot fail and costs no allocation and no provider look-up; an EVP context costs more than the
 * hash of a token. */
#ifndef MEDIA_SRC_HMAC_H
#define MEDIA_SRC_HMAC_H

#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include "media/str.h"

#define MEDIA_HMAC_LEN_MAX SHA512_DIGEST_LENGTH

typedef union {
    SHA256_CTX sha256;
    SHA512_CTX sha512; /* SHA-384, too */
} media_hmac_half_t;

typedef struct {
    size_t len;              /* of the hash: 32, 48 or 64 bytes */
    media_hmac_half_t inner; /* behind the key's block */
    media_hmac_half_t outer;
} media_hmac_t;

/* len: 32, 48 or 64. Wipe h with OPENSSL_cleanse() after use: it is as good as the key. */
void media_hmac_key(media_hmac_t *h, size_t len, media_str_t key);
/* Writes h->len bytes; only reads h. */
void media_hmac_make(const media_hmac_t *h, media_str_t msg, unsigned char *mac);

#endif
