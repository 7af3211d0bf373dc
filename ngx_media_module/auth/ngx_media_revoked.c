
/*
 * The table of ngx_media_revoked.h: open addressing over a power of two of
 * slots, at most three quarters used; ids are random in their last bytes and
 * are their own hash.
 *
 * Readers take no lock: the version is odd while somebody writes and another
 * one afterwards, so a reader that sees it change looks again. Writers hold
 * the zone's mutex, which the master opens when its holder dies. Nothing is
 * ever taken out of a chain; when the slots run short the table is built anew
 * from what still matters.
 */

#include "ngx_media_conf.h"
#include "ngx_media_revoked.h"


#define NGX_MEDIA_REVOKED_SIZE   (1024 * 1024)
#define NGX_MEDIA_REVOKED_TRIES  64


typedef struct {
    ngx_atomic_t                version;    /* odd: being written */
    ngx_atomic_t                known;
    ngx_atomic_t                asked_at;   /* ngx_current_msec */
    uint64_t                    floor_ms;   /* refuses what began until then */
    uint64_t                    life_ms;
    ngx_uint_t                  size;       /* slots */
    ngx_uint_t                  used;
    u_char                      mark[NGX_MEDIA_REVOKED_MARK];
    ngx_media_revoked_t         slots[1];
} ngx_media_revoked_table_t;


static ngx_int_t ngx_media_revoked_init_zone(ngx_shm_zone_t *zone,
    void *data);
static ngx_uint_t ngx_media_revoked_probe(ngx_media_revoked_table_t *t,
    const u_char *user, const u_char *sid, uint64_t began_ms);
static ngx_media_revoked_t *ngx_media_revoked_slot(
    ngx_media_revoked_table_t *t, const u_char *id, ngx_uint_t kind);
static void ngx_media_revoked_begin(ngx_media_revoked_table_t *t);
static void ngx_media_revoked_end(ngx_media_revoked_table_t *t);
static void ngx_media_revoked_put(ngx_media_revoked_table_t *t,
    const ngx_media_revoked_t *e);
static void ngx_media_revoked_rebuild(ngx_media_revoked_table_t *t);
static int ngx_libc_cdecl ngx_media_revoked_newer(const void *one,
    const void *two);
static uint64_t ngx_media_revoked_horizon(ngx_media_revoked_table_t *t);


static ngx_shm_zone_t  *ngx_media_revoked_zone;


char *
ngx_media_set_revoked(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_media_main_conf_t  *mcf = conf;

    size_t  size;

    if (mcf->revoked_zone != NULL) {
        return "is duplicate";
    }

    if (ngx_media_conf_zone_size(cf, NGX_MEDIA_REVOKED_SIZE_MIN, &size)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_media_add_revoked(cf, &mcf->revoked_zone, size);
}


char *
ngx_media_add_revoked(ngx_conf_t *cf, ngx_shm_zone_t **zone, size_t size)
{
    ngx_str_t  name;

    ngx_str_set(&name, "ngx_media_revoked");

    *zone = ngx_shared_memory_add(cf, &name, size ? size
                                                  : NGX_MEDIA_REVOKED_SIZE,
                                  &ngx_http_media_module);
    if (*zone == NULL) {
        return NGX_CONF_ERROR;
    }

    (*zone)->init = ngx_media_revoked_init_zone;

    return NGX_CONF_OK;
}


/* Half of the zone: the table in one piece, whatever the slab needs. */

static ngx_int_t
ngx_media_revoked_init_zone(ngx_shm_zone_t *zone, void *data)
{
    ngx_uint_t                  n;
    ngx_slab_pool_t            *shpool;
    ngx_media_revoked_table_t  *t;

    if (data != NULL) {
        zone->data = data;      /* reload: what was revoked stays it */
        return NGX_OK;
    }

    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    if (zone->shm.exists) {
        zone->data = shpool->data;
        return NGX_OK;
    }

    for (n = 64; n * 2 * sizeof(*t->slots) <= zone->shm.size / 2; n *= 2) {
        /* void */
    }

    t = ngx_slab_calloc(shpool, sizeof(*t) + n * sizeof(*t->slots));
    if (t == NULL) {
        return NGX_ERROR;
    }

    t->size = n;

    shpool->data = t;
    zone->data = t;

    return NGX_OK;
}


void
ngx_media_revoked_use(ngx_shm_zone_t *zone)
{
    ngx_media_revoked_zone = zone;
}


ngx_uint_t
ngx_media_revoked_known(void)
{
    ngx_media_revoked_table_t  *t;

    t = ngx_media_revoked_zone->data;

    return t->known;
}


ngx_uint_t
ngx_media_revoked_find(const u_char *user, const u_char *sid,
    uint64_t began_ms)
{
    ngx_uint_t                  found, n;
    ngx_slab_pool_t            *shpool;
    ngx_atomic_uint_t           version;
    ngx_media_revoked_table_t  *t;

    t = ngx_media_revoked_zone->data;

    for (n = 0; n < NGX_MEDIA_REVOKED_TRIES; n++) {

        version = t->version;
        ngx_memory_barrier();

        if (version & 1) {
            ngx_cpu_pause();
            continue;
        }

        found = ngx_media_revoked_probe(t, user, sid, began_ms);

        ngx_memory_barrier();

        if (t->version == version) {
            return found;
        }
    }

    shpool = (ngx_slab_pool_t *) ngx_media_revoked_zone->shm.addr;

    ngx_shmtx_lock(&shpool->mutex);
    found = ngx_media_revoked_probe(t, user, sid, began_ms);
    ngx_shmtx_unlock(&shpool->mutex);

    return found;
}


static ngx_uint_t
ngx_media_revoked_probe(ngx_media_revoked_table_t *t, const u_char *user,
    const u_char *sid, uint64_t began_ms)
{
    ngx_media_revoked_t  *e;

    if (began_ms <= t->floor_ms) {
        return 1;
    }

    if (t->used == 0) {
        return 0;
    }

    e = ngx_media_revoked_slot(t, user, NGX_MEDIA_REVOKED_USER);

    if (e->ended_ms && began_ms <= e->ended_ms) {
        return 1;
    }

    return sid && ngx_media_revoked_slot(t, sid,
                                         NGX_MEDIA_REVOKED_SESSION)->ended_ms;
}


/* Where the entry is, or the free slot where it would be. There is always a
 * free one; a reader under a writer's hands ends after one round. */

static ngx_media_revoked_t *
ngx_media_revoked_slot(ngx_media_revoked_table_t *t, const u_char *id,
    ngx_uint_t kind)
{
    uint64_t              hash;
    ngx_uint_t            i, n;
    ngx_media_revoked_t  *e;

    ngx_memcpy(&hash, id + 8, sizeof(hash));

    i = (ngx_uint_t) (hash ^ (hash >> 32)) & (t->size - 1);

    for (n = 1; n < t->size; n++) {
        e = &t->slots[i];

        if (e->ended_ms == 0
            || (e->kind == kind && ngx_memcmp(e->id, id, 16) == 0))
        {
            return e;
        }

        i = (i + 1) & (t->size - 1);
    }

    return &t->slots[i];
}


void
ngx_media_revoked_add(const ngx_media_revoked_t *entries, ngx_uint_t n,
    const ngx_media_revoked_list_t *list)
{
    uint64_t                    oldest;
    ngx_uint_t                  i;
    ngx_slab_pool_t            *shpool;
    ngx_media_revoked_table_t  *t;

    t = ngx_media_revoked_zone->data;
    shpool = (ngx_slab_pool_t *) ngx_media_revoked_zone->shm.addr;

    ngx_shmtx_lock(&shpool->mutex);
    ngx_media_revoked_begin(t);

    if (list) {
        t->life_ms = list->life_ms;
        ngx_memcpy(t->mark, list->mark, sizeof(t->mark));
    }

    oldest = 0;

    for (i = 0; i < n; i++) {
        ngx_media_revoked_put(t, &entries[i]);

        if (i == 0 || entries[i].ended_ms < oldest) {
            oldest = entries[i].ended_ms;
        }
    }

    if (list && list->cut) {
        t->floor_ms = ngx_max(t->floor_ms, oldest);
    }

    ngx_media_revoked_end(t);

    if (list) {
        t->known = 1;
    }

    ngx_shmtx_unlock(&shpool->mutex);
}


/* It may be odd already: its writer has died. */

static void
ngx_media_revoked_begin(ngx_media_revoked_table_t *t)
{
    t->version |= 1;
    ngx_memory_barrier();
}


static void
ngx_media_revoked_end(ngx_media_revoked_table_t *t)
{
    ngx_memory_barrier();
    t->version++;
}


static void
ngx_media_revoked_put(ngx_media_revoked_table_t *t,
    const ngx_media_revoked_t *e)
{
    ngx_media_revoked_t  *slot;

    if (e->ended_ms <= t->floor_ms
        || e->ended_ms < ngx_media_revoked_horizon(t))
    {
        return;
    }

    slot = ngx_media_revoked_slot(t, e->id, e->kind);

    if (slot->ended_ms) {
        slot->ended_ms = ngx_max(slot->ended_ms, e->ended_ms);
        return;
    }

    if (t->used >= t->size / 4 * 3) {
        ngx_media_revoked_rebuild(t);

        if (e->ended_ms <= t->floor_ms) {
            return;
        }

        slot = ngx_media_revoked_slot(t, e->id, e->kind);
    }

    *slot = *e;
    t->used++;
}


/* The newest half of the slots at most; without memory to sort them in, none:
 * whoever began before now has to log in again. */

static void
ngx_media_revoked_rebuild(ngx_media_revoked_table_t *t)
{
    uint64_t              horizon;
    ngx_uint_t            i, n;
    ngx_media_revoked_t  *copy;

    horizon = ngx_media_revoked_horizon(t);
    n = 0;

    copy = ngx_alloc(t->used * sizeof(ngx_media_revoked_t), ngx_cycle->log);

    for (i = 0; i < t->size; i++) {

        if (t->slots[i].ended_ms == 0 || t->slots[i].ended_ms < horizon) {
            continue;
        }

        if (copy) {
            copy[n++] = t->slots[i];

        } else {
            t->floor_ms = ngx_max(t->floor_ms, t->slots[i].ended_ms);
        }
    }

    ngx_memzero(t->slots, t->size * sizeof(ngx_media_revoked_t));
    t->used = 0;

    if (n > t->size / 2) {
        ngx_qsort(copy, n, sizeof(ngx_media_revoked_t),
                  ngx_media_revoked_newer);

        n = t->size / 2;
        t->floor_ms = ngx_max(t->floor_ms, copy[n].ended_ms);

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "media: \"media_revoked_size\" is too small, logins "
                      "that began before %uL have to be repeated",
                      t->floor_ms / 1000);
    }

    for (i = 0; i < n; i++) {
        *ngx_media_revoked_slot(t, copy[i].id, copy[i].kind) = copy[i];
        t->used++;
    }

    ngx_free(copy);
}


static int ngx_libc_cdecl
ngx_media_revoked_newer(const void *one, const void *two)
{
    const ngx_media_revoked_t  *a = one;
    const ngx_media_revoked_t  *b = two;

    return (a->ended_ms < b->ended_ms) - (a->ended_ms > b->ended_ms);
}


/* What ended before has no token left that lives. */

static uint64_t
ngx_media_revoked_horizon(ngx_media_revoked_table_t *t)
{
    uint64_t  now;

    now = (uint64_t) ngx_time() * 1000;

    return t->life_ms && now > t->life_ms ? now - t->life_ms : 0;
}


void
ngx_media_revoked_mark(u_char mark[NGX_MEDIA_REVOKED_MARK])
{
    ngx_slab_pool_t            *shpool;
    ngx_media_revoked_table_t  *t;

    t = ngx_media_revoked_zone->data;
    shpool = (ngx_slab_pool_t *) ngx_media_revoked_zone->shm.addr;

    ngx_shmtx_lock(&shpool->mutex);
    ngx_memcpy(mark, t->mark, NGX_MEDIA_REVOKED_MARK);
    ngx_shmtx_unlock(&shpool->mutex);
}


ngx_uint_t
ngx_media_revoked_capacity(void)
{
    ngx_media_revoked_table_t  *t;

    t = ngx_media_revoked_zone->data;

    return t->size / 2;
}


ngx_uint_t
ngx_media_revoked_turn(ngx_msec_t interval)
{
    ngx_msec_int_t              ago;
    ngx_atomic_uint_t           at;
    ngx_media_revoked_table_t  *t;

    t = ngx_media_revoked_zone->data;
    at = t->asked_at;

    /* the clocks of two processes differ by what their loops take */

    ago = (ngx_msec_int_t) (ngx_current_msec - (ngx_msec_t) at);

    if (at && ago < (ngx_msec_int_t) interval) {
        return 0;
    }

    return ngx_atomic_cmp_set(&t->asked_at, at, ngx_current_msec);
}
