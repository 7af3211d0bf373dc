
/*
 * One upload, from the request line to the committed row.
 *
 *   OPENING --ok--> READING --body done--> STORING --stored--> COMMITTING -->
 *      |               |                      |                   |
 *      v               v                      v                   v
 *   refused         refused, client gone, S3 failed: RELEASED   201, or given
 *                   (the row says "doomed", the janitor cleans)  up: janitor
 *
 * OPENING     the intent row is being written; nothing was read yet, so an
 *             "Expect: 100-continue" is still unanswered. Timer: pg deadline.
 * READING     client -> [form] -> digest, sniff -> sink. The sink says when it
 *             cannot take more; then the client is not read. Timers:
 *             client_body_timeout while we wait for the client, S3's own
 *             while we wait for S3, NGX_MEDIA_MEM_WAIT for memory.
 * STORING     S3 has to answer for the rest. Timers: S3's.
 * COMMITTING  one transaction makes media and jobs. From here on the client may
 *             leave: the commit goes on.
 *
 * The upload has its own pool and outlives its request; op.r == NULL says that
 * the client is gone. All functions are [loop].
 *
 * Functions that may end the upload return NGX_DONE when they did: it does not
 * exist any more, and its request may be gone too.
 */

#ifndef _NGX_MEDIA_UPLOAD_H_INCLUDED_
#define _NGX_MEDIA_UPLOAD_H_INCLUDED_


#include "ngx_media.h"
#include "ngx_media_op.h"
#include "ngx_media_mem.h"
#include "media/multipart.h"
#include "media/objkey.h"
#include "media/sniff.h"
#include <openssl/evp.h>


#define NGX_MEDIA_MEM_WAIT       30000  /* ms an upload may wait for memory */
#define NGX_MEDIA_PARTS_SENDING  2      /* full parts of one upload in RAM */
#define NGX_MEDIA_PARTS_MAX      10000  /* of a multipart upload, says S3 */
#define NGX_MEDIA_OBJECT_MAX     (5LL << 40)    /* bytes, says S3 */
#define NGX_MEDIA_PART_TRIES     6  /* over 15.5 s */
#define NGX_MEDIA_COMMIT_TRIES   20
#define NGX_MEDIA_RETRY_DELAY    500    /* ms, first pause before a retry */
#define NGX_MEDIA_HEARTBEAT      15000  /* ms between heart-beats of intents */


typedef struct ngx_media_upload_s  ngx_media_upload_t;

typedef enum {
    NGX_MEDIA_UPLOAD_OPENING = 0,
    NGX_MEDIA_UPLOAD_READING,
    NGX_MEDIA_UPLOAD_STORING,
    NGX_MEDIA_UPLOAD_COMMITTING
} ngx_media_upload_state_e;


/* Where the file's bytes go. Both sinks know `u` and nothing of HTTP. */
typedef struct {
    /* the type is known and u->head holds the file's first bytes: take them
     * over and open whatever S3 needs; NGX_OK or NGX_DONE */
    ngx_int_t                 (*open)(ngx_media_upload_t *u);
    /* takes bytes, moving pos; NGX_OK all taken, NGX_AGAIN full (the sink
     * calls ngx_media_upload_pump() later), NGX_DONE */
    ngx_int_t                 (*write)(ngx_media_upload_t *u, ngx_buf_t *b);
    /* may more be read from the client? NGX_OK, NGX_AGAIN, NGX_DONE */
    ngx_int_t                 (*ready)(ngx_media_upload_t *u);
    /* no more bytes; ends in ngx_media_upload_stored() */
    ngx_int_t                 (*finish)(ngx_media_upload_t *u);
    /* the client is (1) or is not (0) what we wait for */
    void                      (*hold)(ngx_media_upload_t *u, ngx_uint_t hold);
    /* let go of calls, timers and memory */
    void                      (*close)(ngx_media_upload_t *u);
} ngx_media_sink_t;


/* ngx_media_stream.c: bytes pass straight through (known length) */
typedef struct {
    ngx_media_s3_call_t        *call;
    off_t                       part_size;  /* 0: one PUT */
    off_t                       left;       /* of the current S3 request */
    off_t                       rest;       /* of the file, behind it */
    ngx_buf_t                   head;       /* u->head, not sent yet */
    ngx_uint_t                  part;       /* 1.. */
    EVP_MD_CTX                 *sha;        /* of the part, if multipart */
    unsigned                    writable:1; /* the head is out */
    unsigned                    finished:1; /* the request's body is out */
} ngx_media_stream_t;


typedef struct ngx_media_part_s  ngx_media_part_t;

struct ngx_media_part_s {
    ngx_queue_t                 queue;
    ngx_media_upload_t         *upload;
    ngx_uint_t                  number;
    ngx_media_block_t          *first;
    ngx_media_block_t          *last;
    size_t                      size;
    ngx_media_s3_call_t        *call;
    ngx_chain_t                *chain;      /* over the blocks, one try */
    ngx_chain_t                *unsent;
    ngx_event_t                 retry;
    ngx_uint_t                  tries;
    u_char                      sha256[32];
};

/* ngx_media_parts.c: bytes are held, part by part (length unknown) */
typedef struct {
    ngx_media_part_t           *filling;
    ngx_queue_t                 full;       /* parts waiting for or at S3 */
    ngx_uint_t                  nfull;
    ngx_uint_t                  count;      /* parts begun */
    ngx_media_mem_waiter_t      waiter;
    ngx_event_t                 wait;       /* NGX_MEDIA_MEM_WAIT */
    unsigned                    multipart:1;
    unsigned                    finishing:1;
} ngx_media_parts_t;


/* ngx_media_multi.c: what both sinks need for a multipart upload */
typedef struct {
    ngx_media_s3_call_t        *call;
    ngx_media_pg_query_t       *query;
    ngx_str_t                   upload_id;
    ngx_array_t                *etags;      /* ngx_str_t by part number - 1 */
    ngx_str_t                   body;       /* of CompleteMultipartUpload */
    ngx_event_t                 retry;
    ngx_uint_t                  tries;
    ngx_int_t                 (*opened)(ngx_media_upload_t *u);
} ngx_media_multi_t;


struct ngx_media_upload_s {
    ngx_media_op_t              op;         /* first */
    ngx_pool_t                 *pool;
    ngx_log_t                  *log;
    ngx_queue_t                 link;       /* all uploads of this process */
    ngx_media_main_conf_t      *mcf;
    ngx_media_loc_conf_t       *lcf;
    ngx_media_upload_state_e    state;

    /* what the client wants (ngx_media_upload_req.c) */
    ngx_str_t                   id;
    ngx_str_t                   key;
    ngx_str_t                   owner;
    ngx_str_t                   name;
    ngx_str_t                   title;
    ngx_str_t                   type;       /* declared */
    ngx_str_t                   pipeline;
    ngx_str_t                   params;
    ngx_str_t                   visibility;
    ngx_str_t                   request_id;
    ngx_str_t                   traceparent;
    off_t                       declared;   /* the file's size, -1 unknown */
    u_char                      want_sha256[32];
    media_multipart_t          *form;       /* NULL: the body is the file */

    /* what came so far (ngx_media_ingest.c) */
    off_t                       received;
    EVP_MD_CTX                 *sha;
    u_char                      sha256[32];
    u_char                      head[MEDIA_SNIFF_LEN];
    size_t                      head_len;
    media_sniff_t               sniff;
    ngx_chain_t                *in;         /* the client's bytes in hand */

    /* where it goes */
    const ngx_media_sink_t     *sink;
    ngx_media_stream_t          stream;
    ngx_media_parts_t           parts;
    ngx_media_multi_t           multi;
    ngx_str_t                   etag;       /* of the object, once stored */

    /* the database */
    ngx_media_pg_query_t       *query;
    ngx_event_t                 retry;      /* of the commit */
    ngx_uint_t                  tries;

    ngx_int_t                   answer;     /* of a refusal before it began */

    ngx_msec_t                  stored_at;  /* times for the access log */
    ngx_msec_t                  began_at;

    unsigned                    want_digest:1;
    unsigned                    no_replace:1;
    unsigned                    opened:1;   /* the intent row exists */
    unsigned                    starting:1; /* inside nginx's body reader */
    unsigned                    touched:1;  /* S3 may hold something */
    unsigned                    typed:1;    /* sniffed, sink open */
    unsigned                    file_begun:1;
    unsigned                    body_done:1;
    unsigned                    dead:1;     /* the janitor gave it up */
};


extern const ngx_media_sink_t  ngx_media_stream_sink;
extern const ngx_media_sink_t  ngx_media_parts_sink;


/* init_process: memory, heart-beat timer */
ngx_int_t ngx_media_upload_init_process(ngx_cycle_t *cycle,
    ngx_media_main_conf_t *mcf);

/* Reads what the request line and headers say. NGX_OK; NGX_DONE: a problem was
 * sent, u->answer ends the request; or the status that ends it. */
ngx_int_t ngx_media_upload_parse(ngx_media_upload_t *u, ngx_http_request_t *r);

/* The digest of the file that headers state; as ngx_media_upload_parse(). */
ngx_int_t ngx_media_upload_digest(ngx_media_upload_t *u,
    ngx_http_request_t *r);
/* The one a form states. NGX_OK or NGX_DONE. */
ngx_int_t ngx_media_upload_hex_digest(ngx_media_upload_t *u, media_str_t hex);

/* A form field: title, pipeline, visibility, params, sha256. NGX_OK or
 * NGX_DONE. */
ngx_int_t ngx_media_upload_field(ngx_media_upload_t *u, ngx_str_t *name,
    ngx_str_t *value);
/* The file's name and declared type, from a form part. */
ngx_int_t ngx_media_upload_file(ngx_media_upload_t *u, media_mp_event_t *ev);

/* Moves bytes from the client to the sink as far as both go. NGX_DONE when the
 * upload has ended meanwhile, else NGX_OK. From sinks and events. */
ngx_int_t ngx_media_upload_pump(ngx_media_upload_t *u);
/* The post handler of nginx's body reader. */
void ngx_media_upload_body(ngx_http_request_t *r);

/* The client's bytes of one buffer, form or file; as sink->write. */
ngx_int_t ngx_media_ingest(ngx_media_upload_t *u, ngx_buf_t *b);
/* Counts and digests the file's bytes as they come, before ngx_media_ingest();
 * NGX_OK, or NGX_DONE when they are too many. */
ngx_int_t ngx_media_ingest_account(ngx_media_upload_t *u, u_char *p,
    size_t n);
/* The body is over. NGX_OK or NGX_DONE. */
ngx_int_t ngx_media_ingest_end(ngx_media_upload_t *u);

/* The object is complete in S3 (u->etag): commit. */
ngx_int_t ngx_media_upload_stored(ngx_media_upload_t *u);


/* Multipart at S3: create and record its id, then u->multi.opened(u). */
ngx_int_t ngx_media_multi_create(ngx_media_upload_t *u,
    ngx_int_t (*opened)(ngx_media_upload_t *u));
ngx_int_t ngx_media_multi_etag(ngx_media_upload_t *u, ngx_uint_t part,
    ngx_str_t *etag);
ngx_int_t ngx_media_multi_complete(ngx_media_upload_t *u);
void ngx_media_multi_close(ngx_media_upload_t *u);

/* Ends the upload: nothing was promised, the intent is doomed or removed, the
 * client (if it is still there) gets the problem. Always NGX_DONE. */
ngx_int_t ngx_media_upload_fail(ngx_media_upload_t *u, enum media_problem p,
    const char *fmt, ...);
/* As the database's code asks for. */
ngx_int_t ngx_media_upload_denied(ngx_media_upload_t *u, ngx_str_t *code,
    ngx_str_t *detail);
/* As S3's answer asks for. */
ngx_int_t ngx_media_upload_s3_failed(ngx_media_upload_t *u,
    ngx_media_s3_result_t *res, const char *what);
/* Frees everything; the request is answered already or gone. */
void ngx_media_upload_free(ngx_media_upload_t *u);
/* An upload with its ids, in the list of this process; NULL when out of
 * memory. */
ngx_media_upload_t *ngx_media_upload_create(ngx_http_request_t *r);
/* nginx's reader found the connection closed. Always NGX_DONE. */
ngx_int_t ngx_media_upload_left(ngx_media_upload_t *u);
/* The cancel function of op: the request is being freed. */
void ngx_media_upload_cancel(ngx_media_op_t *op);
/* The client is gone and r with it: nothing was promised. */
void ngx_media_upload_abandon(ngx_media_upload_t *u);


#endif
