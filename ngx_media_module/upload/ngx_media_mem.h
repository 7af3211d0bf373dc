
/*
 * The memory of uploads of unknown length: blocks, counted against
 * media_memory, which is the budget of one process. [loop]
 *
 * Most of the budget is for whoever asks first. Once that is used up they wait,
 * and when blocks come back, go on in the order of what they have taken since
 * (start-time fair queueing, Goyal et al. 1996): the one that took least first.
 * So all who wait get the same bytes per second, whatever they could send.
 * Those who hold nothing yet have a queue of their own: only free blocks help
 * them, and they must not keep a loan from others.
 *
 * That alone could stand still, with all memory in parts that are not full
 * yet. Hence the reserve, as large as the largest part: it is lent, and a loan
 * is all that a part may still take. Whoever has one can fill the part or end
 * the file without anybody's help; then the part goes to S3, whose timeouts end
 * its stay, and blocks and loan come back. Loans in sum never exceed the
 * reserve, and each of them fits into it alone: as long as somebody waits,
 * either memory is free, or a loan is out and will return. A client cannot sit
 * on one: while somebody waits, media_min_rate is asked of those who hold.
 *
 * The budget is asked before a read, so it may be passed by what one read
 * brings (client_body_buffer_size).
 */

#ifndef _NGX_MEDIA_MEM_H_INCLUDED_
#define _NGX_MEDIA_MEM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_MEDIA_BLOCK_MIN  4096
#define NGX_MEDIA_BLOCK_MAX  65536


typedef struct ngx_media_block_s  ngx_media_block_t;

struct ngx_media_block_s {
    ngx_media_block_t          *next;
    size_t                      size;       /* of data */
    size_t                      used;
    u_char                      data[1];
};

typedef struct {
    ngx_queue_t                 queue;
    void                      (*resume)(void *data);
    void                       *data;
    size_t                     *loan;       /* where a loan is written to;
                                               NULL: holds nothing yet */
    size_t                      need;       /* the loan that is wanted */
    uint64_t                    taken;      /* virtual time, in bytes */
    unsigned                    waiting:1;
} ngx_media_mem_waiter_t;


/* reserve: of the budget, to be lent. pressed() is called a few times a second
 * while somebody waits: it may end uploads. */
void ngx_media_mem_init(size_t budget, size_t reserve, void (*pressed)(void));
void ngx_media_mem_done(void);

/* 1: go on, else it waits: resume() is called once, from a posted event; then
 * ask again. need: the most that this part may still take, at most the reserve;
 * *loan is 0 unless it has one. */
ngx_uint_t ngx_media_mem_ask(ngx_media_mem_waiter_t *w, size_t *loan,
    size_t need);
/* The same for one who holds nothing yet. */
ngx_uint_t ngx_media_mem_admit(ngx_media_mem_waiter_t *w);
/* It took n bytes: others come before it now. */
void ngx_media_mem_took(ngx_media_mem_waiter_t *w, size_t n);
/* It waits no more. */
void ngx_media_mem_forget(ngx_media_mem_waiter_t *w);
/* Gives the loan back, if there is one: the part's blocks are free, or it took
 * none of it. */
void ngx_media_mem_repay(size_t *loan);

/* size: NGX_MEDIA_BLOCK_MIN to NGX_MEDIA_BLOCK_MAX; NULL only when the system
 * has none. */
ngx_media_block_t *ngx_media_block_alloc(size_t size);
void ngx_media_blocks_free(ngx_media_block_t *b);


#endif
