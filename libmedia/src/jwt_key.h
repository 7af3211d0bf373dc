/* The inside of a key: made by jwt_key.c, read by jwt.c. */
#ifndef MEDIA_SRC_JWT_KEY_H
#define MEDIA_SRC_JWT_KEY_H

#include <openssl/evp.h>

#include "media/jwt.h"

#define MEDIA_JWT_KID_MAX 128
#define MEDIA_JWT_RSA_BITS_MAX 8192

struct media_jwt_key_s {
    enum media_jwt_alg alg;
    char kid[MEDIA_JWT_KID_MAX + 1];
    size_t kid_len;
    unsigned char
        *secret; /* HMAC secret or private PEM, what libjwt signs with; NULL: verify only */
    size_t secret_len;
    EVP_MAC_CTX *mac;   /* HS256: keyed */
    EVP_MD_CTX *verify; /* RS256: initialised with the key */
    char *header;       /* base64url of the header we issue */
    size_t header_len;
};

#endif
