
/*
 * Counters in shared memory: summed over worker processes and kept over
 * reloads. Gauges are kept by process, since one that crashes takes nothing
 * back. [any thread] for counting, [conf] for the zone.
 */

#include "ngx_media_conf.h"


static ngx_shm_zone_t      *ngx_media_zone;
static ngx_media_gauges_t  *ngx_media_gauges;   /* of this process */

static ngx_int_t ngx_media_init_zone(ngx_shm_zone_t *zone, void *data);


/* Without "media_shm_size" the zone has its least size. */

char *
ngx_media_add_zone(ngx_conf_t *cf, ngx_media_main_conf_t *mcf, size_t size)
{
    ngx_str_t  name;

    ngx_str_set(&name, "ngx_media");

    mcf->shm_zone = ngx_shared_memory_add(cf, &name, size,
                                          &ngx_http_media_module);
    if (mcf->shm_zone == NULL) {
        return NGX_CONF_ERROR;
    }

    mcf->shm_zone->init = ngx_media_init_zone;

    return NGX_CONF_OK;
}


char *
ngx_media_set_shm(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_media_main_conf_t  *mcf = conf;

    size_t  size;

    if (mcf->shm_zone != NULL) {
        return "is duplicate";
    }

    if (ngx_media_conf_zone_size(cf, NGX_MEDIA_SHM_MIN, &size) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    return ngx_media_add_zone(cf, mcf, size);
}


/* A failed reload must not leave a pointer into freed configuration behind,
 * so the zone is known from here on only. */

void
ngx_media_use_zone(ngx_shm_zone_t *zone)
{
    ngx_media_shm_t  *shm;

    ngx_media_zone = zone;

    /* a slot of nginx's process table is one living process; a crashed worker's
     * successor has the same one */

    shm = ngx_media_shm();
    ngx_media_gauges = &shm->gauges[ngx_process_slot];

    ngx_memzero((void *) ngx_media_gauges, sizeof(ngx_media_gauges_t));
    ngx_media_gauges->pid = ngx_pid;
}


void
ngx_media_leave_zone(void)
{
    if (ngx_media_gauges != NULL) {
        ngx_media_gauges->pid = 0;
    }
}


static ngx_int_t
ngx_media_init_zone(ngx_shm_zone_t *zone, void *data)
{
    ngx_slab_pool_t  *shpool;

    if (data != NULL) {
        zone->data = data;      /* reload: the counters go on */
        return NGX_OK;
    }

    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    if (zone->shm.exists) {
        zone->data = shpool->data;
        return NGX_OK;
    }

    zone->data = ngx_slab_calloc(shpool, sizeof(ngx_media_shm_t));
    if (zone->data == NULL) {
        return NGX_ERROR;
    }

    shpool->data = zone->data;

    return NGX_OK;
}


ngx_media_shm_t *
ngx_media_shm(void)
{
    return ngx_media_zone == NULL ? NULL : ngx_media_zone->data;
}


ngx_media_s3_cred_shm_t *
ngx_media_shm_s3_cred(ngx_uint_t which, ngx_slab_pool_t **shpool)
{
    ngx_media_shm_t  *shm;

    shm = ngx_media_shm();

    if (shm == NULL) {
        return NULL;
    }

    *shpool = (ngx_slab_pool_t *) ngx_media_zone->shm.addr;

    return &shm->s3_cred[which];
}


void
ngx_media_count_problem(enum media_problem p)
{
    ngx_media_shm_t  *shm;

    shm = ngx_media_shm();

    if (shm != NULL) {
        (void) ngx_atomic_fetch_add(&shm->problems[p], 1);
    }
}


void
ngx_media_count(enum ngx_media_counter c, ngx_uint_t n)
{
    ngx_media_shm_t  *shm;

    shm = ngx_media_shm();

    if (shm != NULL) {
        (void) ngx_atomic_fetch_add(&shm->counters[c], n);
    }
}


void
ngx_media_gauge(enum ngx_media_gauge g, ngx_int_t delta)
{
    if (ngx_media_gauges != NULL) {
        ngx_media_gauges->values[g] += delta;
    }
}


ngx_uint_t
ngx_media_gauge_sum(enum ngx_media_gauge g)
{
    ngx_pid_t         pid;
    ngx_uint_t        i, sum;
    ngx_media_shm_t  *shm;

    shm = ngx_media_shm();
    sum = 0;

    for (i = 0; i < NGX_MAX_PROCESSES; i++) {
        pid = (ngx_pid_t) shm->gauges[i].pid;

        /* an old worker that crashed after a reload has no successor */

        if (pid != 0 && (kill(pid, 0) == 0 || ngx_errno != ESRCH)) {
            sum += shm->gauges[i].values[g];
        }
    }

    return sum;
}
