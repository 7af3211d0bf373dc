/* One member of a key set, in and out: between jwk.c and jwks.c. */
#ifndef MEDIA_SRC_JWK_H
#define MEDIA_SRC_JWK_H

#include "media/jwks.h"

#define MEDIA_JWK_KEYS_MAX 6 /* algorithms of an RSA key */

/* Appends the keys of one JWK to set->keys, which has room for MEDIA_JWK_KEYS_MAX more. 0,
 * MEDIA_E_REJECT when it is of no use, MEDIA_E_NOMEM. */
int media_jwk_read(const json_t *jwk, int secrets, media_jwks_t *set);

#endif
