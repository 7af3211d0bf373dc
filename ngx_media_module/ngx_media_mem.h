
/*
 * The memory of uploads of unknown length: blocks from a per-process list,
 * counted against media_memory. Whoever wants to read more while the budget is
 * used up waits in a queue and is called when blocks come back. One may go on
 * beyond the budget, to its end: if all memory is in parts that are not full
 * yet, nobody's blocks would ever come back. [loop]
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

/* 1 if this reader may go on, else it waits: resume() is called once, from a
 * posted event, when it may. The budget is asked before a read, not at an
 * allocation: it may be passed by what one read brings
 * (client_body_buffer_size), and by the one who goes on: a few parts. */
ngx_uint_t ngx_media_mem_ask(ngx_media_mem_waiter_t *w);

/* NULL only when the system has none. */
ngx_media_block_t *ngx_media_block_alloc(void);
void ngx_media_blocks_free(ngx_media_block_t *b);

/* It ends: another one may pass the budget. */
void ngx_media_mem_forget(ngx_media_mem_waiter_t *w);


#endif
