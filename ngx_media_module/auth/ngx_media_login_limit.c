
/*
 * Repeated failures: per minute so many for an account from one address, for
 * an account from everywhere, and for an address. The second stops guessing
 * spread over many addresses; it is the largest step above the first, because
 * it also keeps the owner out. Of IPv6 the first 64 bits are the address.
 *
 * Counters are in shared memory. A slot is (minute << 16) | count and may be
 * shared by several keys, which errs towards refusing; a salt keeps others
 * from choosing keys that share a victim's slot.
 */


#include <openssl/rand.h>
#include <openssl/sha.h>

#include "ngx_media_login.h"


#define NGX_MEDIA_LOGIN_WINDOW  60      /* seconds */


enum {
    NGX_MEDIA_LOGIN_PAIR = 0,
    NGX_MEDIA_LOGIN_ACCOUNT,
    NGX_MEDIA_LOGIN_ADDRESS
};


static ngx_uint_t ngx_media_login_slots(ngx_http_request_t *r,
    ngx_str_t *email, ngx_atomic_t *slots[NGX_MEDIA_LOGIN_LIMITS]);
static ngx_atomic_t *ngx_media_login_slot(ngx_media_shm_t *shm,
    ngx_uint_t limit, ngx_str_t *address, ngx_str_t *email);
static ngx_str_t ngx_media_login_address(ngx_http_request_t *r);
static ngx_atomic_uint_t ngx_media_login_salt(ngx_media_shm_t *shm);
static ngx_uint_t ngx_media_login_add(ngx_atomic_t *slot);
static void ngx_media_login_take(ngx_atomic_t *slot);


static ngx_uint_t  ngx_media_login_limits[NGX_MEDIA_LOGIN_LIMITS] = {
    10,     /* account and address */
    50,     /* account */
    100     /* address */
};


ngx_uint_t
ngx_media_login_admit(ngx_http_request_t *r, ngx_str_t *email)
{
    ngx_uint_t     i;
    ngx_atomic_t  *slots[NGX_MEDIA_LOGIN_LIMITS];

    if (!ngx_media_login_slots(r, email, slots)) {
        return 0;
    }

    for (i = 0; i < NGX_MEDIA_LOGIN_LIMITS; i++) {

        if (ngx_media_login_add(slots[i]) <= ngx_media_login_limits[i]) {
            continue;
        }

        do {
            ngx_media_login_take(slots[i]);
        } while (i--);

        return NGX_MEDIA_LOGIN_WINDOW - ngx_time() % NGX_MEDIA_LOGIN_WINDOW;
    }

    return 0;
}


void
ngx_media_login_forgive(ngx_http_request_t *r, ngx_str_t *email)
{
    ngx_uint_t     i;
    ngx_atomic_t  *slots[NGX_MEDIA_LOGIN_LIMITS];

    if (!ngx_media_login_slots(r, email, slots)) {
        return;
    }

    for (i = 0; i < NGX_MEDIA_LOGIN_LIMITS; i++) {
        ngx_media_login_take(slots[i]);
    }
}


static ngx_uint_t
ngx_media_login_slots(ngx_http_request_t *r, ngx_str_t *email,
    ngx_atomic_t *slots[NGX_MEDIA_LOGIN_LIMITS])
{
    ngx_str_t         address, any = ngx_string("");
    ngx_media_shm_t  *shm;

    shm = ngx_media_shm();
    if (shm == NULL) {
        return 0;
    }

    address = ngx_media_login_address(r);

    slots[0] = ngx_media_login_slot(shm, NGX_MEDIA_LOGIN_PAIR, &address,
                                    email);
    slots[1] = ngx_media_login_slot(shm, NGX_MEDIA_LOGIN_ACCOUNT, &any,
                                    email);
    slots[2] = ngx_media_login_slot(shm, NGX_MEDIA_LOGIN_ADDRESS, &address,
                                    &any);
    return 1;
}


static ngx_atomic_t *
ngx_media_login_slot(ngx_media_shm_t *shm, ngx_uint_t limit,
    ngx_str_t *address, ngx_str_t *email)
{
    size_t              len;
    u_char             *p, text[64 + NGX_MEDIA_EMAIL_MAX];
    u_char              digest[SHA256_DIGEST_LENGTH];
    uint32_t            n;
    ngx_atomic_uint_t   salt;

    salt = ngx_media_login_salt(shm);

    p = ngx_cpymem(text, &salt, sizeof(salt));
    *p++ = (u_char) address->len;
    p = ngx_cpymem(p, address->data, address->len);

    len = ngx_min(email->len, NGX_MEDIA_EMAIL_MAX);
    ngx_strlow(p, email->data, len);
    p += len;

    (void) SHA256(text, p - text, digest);

    ngx_memcpy(&n, digest, sizeof(n));

    return &shm->login_failures[limit][n % NGX_MEDIA_LOGIN_SLOTS];
}


/* Its bytes; none for a UNIX socket */

static ngx_str_t
ngx_media_login_address(ngx_http_request_t *r)
{
    ngx_str_t             a;
    struct sockaddr      *sa;
    struct sockaddr_in   *sin;
    struct sockaddr_in6  *sin6;

    ngx_str_set(&a, "");
    sa = r->connection->sockaddr;

    if (sa->sa_family == AF_INET) {
        sin = (struct sockaddr_in *) sa;
        a.data = (u_char *) &sin->sin_addr;
        a.len = 4;

    } else if (sa->sa_family == AF_INET6) {
        sin6 = (struct sockaddr_in6 *) sa;
        a.data = sin6->sin6_addr.s6_addr;
        a.len = 8;

        if (IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr)) {
            a.data += 12;
            a.len = 4;
        }
    }

    return a;
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


/* The count with this attempt in it. */

static ngx_uint_t
ngx_media_login_add(ngx_atomic_t *slot)
{
    ngx_atomic_uint_t  old, minute, value;

    minute = (ngx_atomic_uint_t) ngx_time() / NGX_MEDIA_LOGIN_WINDOW;

    do {
        old = *slot;

        if (old >> 16 != minute) {
            value = minute << 16 | 1;

        } else if ((old & 0xffff) < 0xffff) {
            value = old + 1;

        } else {
            return 0xffff;
        }

    } while (!ngx_atomic_cmp_set(slot, old, value));

    return value & 0xffff;
}


/* Nothing to take from in another minute than that of the attempt. */

static void
ngx_media_login_take(ngx_atomic_t *slot)
{
    ngx_atomic_uint_t  old, minute;

    minute = (ngx_atomic_uint_t) ngx_time() / NGX_MEDIA_LOGIN_WINDOW;

    do {
        old = *slot;

        if (old >> 16 != minute || (old & 0xffff) == 0) {
            return;
        }

    } while (!ngx_atomic_cmp_set(slot, old, old - 1));
}
