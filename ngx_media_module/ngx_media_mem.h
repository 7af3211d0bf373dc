
/*
 * The memory of uploads of unknown length: blocks from a per-process list,
 * counted against media_memory. Whoever wants to read more while the budget is
 * used up waits in a queue and is called when blocks come back. [loop]
 */

#ifndef _NGX_MEDIA_MEM_H_INCLUDED_
#define _NGX_MEDIA_MEM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_MEDIA_BLOCK  65536


typedef struct ngx_media_block_s  ngx_media_block_t;

struct ngx_media_block_s {
    ngx_media_block_t          *next;
    size_t                      used;
    u_char                      data[NGX_MEDIA_BLOCK];
};

typedef struct {
    ngx_queue_t                 queue;
    void                      (*resume)(void *data);
    void                       *data;
    unsigned                    waiting:1;
} ngx_media_mem_waiter_t;


void ngx_media_mem_init(size_t budget);

/* 1 while the budget allows another reader to go on. The budget is asked
 * before a read, not at an allocation: it may be passed by what one read
 * brings (client_body_buffer_size). */
ngx_uint_t ngx_media_mem_available(void);

/* NULL only when the system has none. */
ngx_media_block_t *ngx_media_block_alloc(void);
void ngx_media_blocks_free(ngx_media_block_t *b);

/* Called once, from a posted event, when memory is available again. */
void ngx_media_mem_wait(ngx_media_mem_waiter_t *w);
void ngx_media_mem_forget(ngx_media_mem_waiter_t *w);


#endif
