
/*
 * What was revoked, in shared memory: a table of its own zone that every
 * worker process asks and any of them fills.
 *
 * An entry names a login (the "sid" of its tokens) or a user, all of whose
 * logins until a moment it ends. The table is bounded: where it would have to
 * forget what still matters, it forgets the oldest and refuses every login
 * that began before that instead ("floor"). Better somebody logs in again
 * than that a revoked token comes back to life.
 */

#ifndef _NGX_MEDIA_REVOKED_H_INCLUDED_
#define _NGX_MEDIA_REVOKED_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_MEDIA_REVOKED_SIZE_MIN  (16 * ngx_pagesize)
#define NGX_MEDIA_REVOKED_MARK      24      /* with its NUL */

enum ngx_media_revoked_kind {
    NGX_MEDIA_REVOKED_SESSION = 1,
    NGX_MEDIA_REVOKED_USER
};

typedef struct {
    u_char                      id[16];     /* UUID of the login or user */
    uint64_t                    ended_ms;   /* unix time; 0: a free slot */
    uint64_t                    kind;
} ngx_media_revoked_t;

/* Of the list in the database: since where to ask, and how it stands. */
typedef struct {
    u_char                      mark[NGX_MEDIA_REVOKED_MARK];
    uint64_t                    life_ms;    /* so long an entry matters */
    ngx_uint_t                  cut;        /* older ones were left out */
} ngx_media_revoked_list_t;


/* The zone of the configuration; without a size of its own, 1m. [conf] */
char *ngx_media_set_revoked(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_media_add_revoked(ngx_conf_t *cf, ngx_shm_zone_t **zone,
    size_t size);

/* The zone that this process asks. [loop], from init_process */
void ngx_media_revoked_use(ngx_shm_zone_t *zone);

/* 1 once the list was loaded into this memory; before, nothing can be said.
 * [loop] */
ngx_uint_t ngx_media_revoked_known(void);

/* 1 if a token of that user, in that login (NULL: none), which began then, was
 * revoked. Takes no lock but while somebody writes. [loop] */
ngx_uint_t ngx_media_revoked_find(const u_char *user, const u_char *sid,
    uint64_t began_ms);

/* Adds entries; with a list, what it says of itself, and the table counts as
 * loaded. [loop] */
void ngx_media_revoked_add(const ngx_media_revoked_t *entries, ngx_uint_t n,
    const ngx_media_revoked_list_t *list);

/* The mark to ask with; empty: for all. [loop] */
void ngx_media_revoked_mark(u_char mark[NGX_MEDIA_REVOKED_MARK]);

/* Most entries worth asking for. [loop] */
ngx_uint_t ngx_media_revoked_capacity(void);

/* 1 if no process has asked for `interval` ms, and the turn is now ours. */
ngx_uint_t ngx_media_revoked_turn(ngx_msec_t interval);


#endif
