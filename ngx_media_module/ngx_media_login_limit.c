
/*
 * Repeated failures: a counter per minute for the pair of address and account
 * and one for the address, in shared memory. A slot is (minute << 16) | count
 * and may be shared by several keys, which errs towards refusing; a salt keeps
 * others from choosing keys that share a victim's slot.
 */


#include <openssl/rand.h>
#include <openssl/sha.h>

#include "ngx_media_login.h"


#define NGX_MEDIA_LOGIN_PER_ACCOUNT  10
#define NGX_MEDIA_LOGIN_PER_ADDRESS  100
#define NGX_MEDIA_LOGIN_WINDOW       60     /* seconds */


static ngx_atomic_t *ngx_media_login_slot(ngx_http_request_t *r,
    ngx_str_t *email);
static ngx_atomic_uint_t ngx_media_login_salt(ngx_media_shm_t *shm);
static ngx_uint_t ngx_media_login_count(ngx_atomic_t *slot);
static void ngx_media_login_add(ngx_atomic_t *slot);


ngx_uint_t
ngx_media_login_wait(ngx_http_request_t *r, ngx_str_t *email)
{
    ngx_atomic_t  *account, *address;

    account = ngx_media_login_slot(r, email);
    address = ngx_media_login_slot(r, NULL);

    if (account == NULL || address == NULL) {
        return 0;
    }

    if (ngx_media_login_count(account) < NGX_MEDIA_LOGIN_PER_ACCOUNT
        && ngx_media_login_count(address) < NGX_MEDIA_LOGIN_PER_ADDRESS)
    {
        return 0;
    }

    return NGX_MEDIA_LOGIN_WINDOW - ngx_time() % NGX_MEDIA_LOGIN_WINDOW;
}


void
ngx_media_login_refused(ngx_http_request_t *r, ngx_str_t *email)
{
    ngx_media_login_add(ngx_media_login_slot(r, email));
    ngx_media_login_add(ngx_media_login_slot(r, NULL));
}


static ngx_atomic_t *
ngx_media_login_slot(ngx_http_request_t *r, ngx_str_t *email)
{
    size_t              len;
    u_char             *p, text[512], digest[SHA256_DIGEST_LENGTH];
    uint32_t            n;
    ngx_atomic_uint_t   salt;
    ngx_media_shm_t    *shm;

    shm = ngx_media_shm();
    if (shm == NULL) {
        return NULL;
    }

    salt = ngx_media_login_salt(shm);

    p = ngx_cpymem(text, &salt, sizeof(salt));

    len = ngx_min(r->connection->addr_text.len, 64);
    p = ngx_cpymem(p, r->connection->addr_text.data, len);

    *p++ = email ? '\0' : '\1';

    if (email) {
        len = ngx_min(email->len, NGX_MEDIA_EMAIL_MAX);
        ngx_strlow(p, email->data, len);
        p += len;
    }

    (void) SHA256(text, p - text, digest);

    ngx_memcpy(&n, digest, sizeof(n));

    return &shm->login_failures[n % NGX_MEDIA_LOGIN_SLOTS];
}


static ngx_atomic_uint_t
ngx_media_login_salt(ngx_media_shm_t *shm)
{
    ngx_atomic_uint_t  salt;

    if (shm->login_salt == 0
        && RAND_bytes((u_char *) &salt, sizeof(salt)) == 1)
    {
        (void) ngx_atomic_cmp_set(&shm->login_salt, 0, salt | 1);
    }

    return shm->login_salt;
}


static ngx_uint_t
ngx_media_login_count(ngx_atomic_t *slot)
{
    ngx_atomic_uint_t  value;

    value = *slot;

    if (value >> 16 != (ngx_atomic_uint_t) ngx_time() / NGX_MEDIA_LOGIN_WINDOW)
    {
        return 0;
    }

    return value & 0xffff;
}


static void
ngx_media_login_add(ngx_atomic_t *slot)
{
    ngx_atomic_uint_t  old, minute, value;

    if (slot == NULL) {
        return;
    }

    minute = (ngx_atomic_uint_t) ngx_time() / NGX_MEDIA_LOGIN_WINDOW;

    do {
        old = *slot;

        if (old >> 16 != minute) {
            value = minute << 16 | 1;

        } else if ((old & 0xffff) < 0xffff) {
            value = old + 1;

        } else {
            return;
        }

    } while (!ngx_atomic_cmp_set(slot, old, value));
}
