
/*
 * One upload, from the request line to the committed row.
 *
 *   OPENING --ok--> READING --body done--> STORING --stored--> COMMITTING -->
 *      |               |                      |                   |
 *      v               v                      v                   v
 *   refused         refused, client gone, S3 failed: RELEASED   201, or given
 *                   (the row says "doomed", the janitor cleans)  up: janitor
 *
 * OPENING     S3 is asked whether it is there, if that is in doubt; an upload
 *             that will hold parts waits for its first memory; then the intent
 *             row is written. Nothing was read yet, so an "Expect:
 *             100-continue" is still unanswered. Timers: that of the question,
 *             media_memory_wait, pg deadline.
 * READING     client -> [form] -> digest, sniff -> sink. The sink says when it
 *             cannot take more; then the client is not read. Timers:
 *             client_body_timeout while we wait for the client (and
 *             media_s3_idle_timeout, if a request of ours to S3 waits with
 *             us), S3's own while we wait for S3, media_memory_wait for
 *             memory. No more than NGX_MEDIA_TURN bytes in a row, then others
 *             have a turn.
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
#include "ngx_media_retry.h"
#include "ngx_media_alive.h"
#include "media/multipart.h"
#include "media/objkey.h"
#include "media/pace.h"
#include "media/partsize.h"
#include "media/sniff.h"
#include <openssl/evp.h>


#define NGX_MEDIA_TURN           262144 /* bytes of one client in a row */
#define NGX_MEDIA_PARTS_SENDING  2      /* full parts of one upload in RAM */
#define NGX_MEDIA_S3_PAUSE       16000  /* ms, longest between tries at S3 */
#define NGX_MEDIA_PG_PAUSE       1000   /* the same, at PostgreSQL */
#define NGX_MEDIA_HEARTBEAT      15000  /* ms between heart-beats of intents */
#define NGX_MEDIA_RESERVE_AHEAD  (32LL << 20)   /* bytes left: ask for more */
#define NGX_MEDIA_FORM_MAX       (4LL << 20)    /* of a form beside its file,
                                                   more than its reader takes */
#define NGX_MEDIA_KEY_MAX        255    /* bytes of an Idempotency-Key */


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
    /* it feeds u->sha itself, with what it takes */
    ngx_uint_t                  digests;
} ngx_media_sink_t;


/* ngx_media_stream.c: bytes pass straight through (known length) */
typedef struct {
    ngx_media_s3_call_t        *call;
    off_t                       part_size;  /* 0: one PUT */
    off_t                       left;       /* of the current S3 request */
    off_t                       rest;       /* of the file, behind it */
    ngx_buf_t                   head;       /* u->head, not sent yet */
    ngx_uint_t                  part;       /* 1.. */
    media_s3_sum_t              sum;        /* of the part, if multipart */
    char                        sum_text[MEDIA_S3_SUM_TEXT];
    ngx_event_t                 idle;       /* S3 waits for the client */
    ngx_media_retry_t           look;       /* what became of the PUT? */
    unsigned                    paused:1;   /* the client is, and S3 waits */
    unsigned                    writable:1; /* the head is out */
    unsigned                    finished:1; /* the request's body is out */
} ngx_media_stream_t;


typedef struct ngx_media_part_s  ngx_media_part_t;

struct ngx_media_part_s {
    ngx_queue_t                 queue;
    ngx_media_upload_t         *upload;
    ngx_uint_t                  number;     /* 1.. */
    size_t                      room;       /* bytes that make it full */
    size_t                      size;       /* bytes in it */
    size_t                      held;       /* memory of its blocks */
    size_t                      loan;       /* of memory */
    ngx_media_block_t          *first;
    ngx_media_block_t          *last;
    EVP_MD_CTX                 *sha;        /* NULL: u->sha is its digest, or
                                               none is wanted */
    uint64_t                    crc;        /* media_s3_checksum crc64nvme */
    char                        sum[MEDIA_S3_SUM_TEXT];
    ngx_media_s3_call_t        *call;
    ngx_chain_t                *chain;      /* over the blocks, one try */
    ngx_chain_t                *unsent;
    ngx_media_retry_t           retry;
    ngx_queue_t                 turn;       /* among those that wait */
    u_char                      sha256[32];
    unsigned                    waiting:1;
    unsigned                    sending:1;
};

/* ngx_media_parts.c: bytes are held, part by part (length unknown) */
typedef struct {
    ngx_media_part_t           *filling;
    ngx_queue_t                 full;       /* parts waiting for or at S3 */
    ngx_uint_t                  nfull;
    ngx_media_mem_waiter_t      waiter;
    ngx_event_t                 wait;       /* media_memory_wait */
    unsigned                    unused:1;   /* of a loan: nothing taken yet */
    unsigned                    multipart:1;
    unsigned                    finishing:1;
} ngx_media_parts_t;


typedef struct {
    ngx_str_t                   etag;
    char                        sum[MEDIA_S3_SUM_TEXT];
} ngx_media_multi_part_t;

/* ngx_media_multi.c: what both sinks need for a multipart upload */
typedef struct {
    ngx_media_s3_call_t        *call;
    ngx_media_pg_query_t       *query;
    ngx_str_t                   upload_id;
    ngx_array_t                *parts;      /* ngx_media_multi_part_t by part
                                               number - 1 */
    uint64_t                    crc;        /* of the parts so far, in a row */
    char                        sum[MEDIA_S3_SUM_TEXT];     /* of the object */
    ngx_str_t                   body;       /* of CompleteMultipartUpload */
    ngx_media_retry_t           retry;
    ngx_int_t                 (*again)(ngx_media_upload_t *u);
    ngx_int_t                 (*opened)(ngx_media_upload_t *u);
    unsigned                    doubt:1;    /* a Create may have worked */
    unsigned                    noted:1;    /* its row says so */
    unsigned                    recorded:1; /* the id is in its row */
    unsigned                    twice:1;    /* a Complete may be under way */
    unsigned                    last:1;     /* no Complete any more */
} ngx_media_multi_t;


/* ngx_media_reserve.c: the quota ahead of the bytes */
typedef struct {
    ngx_media_pg_query_t       *query;
    ngx_media_retry_t           retry;
    off_t                       bytes;      /* reserved by now */
    unsigned                    last:1;     /* there is no more, most likely */
} ngx_media_reserve_t;


struct ngx_media_upload_s {
    ngx_media_op_t              op;         /* first */
    ngx_pool_t                 *pool;
    ngx_log_t                  *log;
    ngx_queue_t                 link;       /* all uploads of this process */
    ngx_media_main_conf_t      *mcf;
    ngx_media_s3_conf_t        *s3;         /* the input store */
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
    ngx_str_t                   idempotency_key;
    off_t                       declared;   /* the file's size, -1 unknown */
    off_t                       least;      /* the file has at least ... */
    off_t                       most;       /* ... and at most, -1: unknown */
    u_char                      want_sha256[32];    /* of the file */
    u_char                      want_body[32];      /* of the whole body */
    media_multipart_t          *form;       /* NULL: the body is the file */

    /* what came so far (ngx_media_ingest.c) */
    off_t                       received;
    EVP_MD_CTX                 *sha;
    EVP_MD_CTX                 *body_sha;   /* of a form with a digest */
    u_char                      sha256[32];
    u_char                      head[MEDIA_SNIFF_LEN];
    size_t                      head_len;
    media_sniff_t               sniff;
    ngx_chain_t                *in;         /* the client's bytes in hand */
    media_pace_t                pace;       /* of the client */
    ngx_event_t                 turn;       /* posted: goes on in its turn */
    size_t                      taken;      /* bytes in this turn */

    /* where it goes */
    const ngx_media_sink_t     *sink;
    ngx_media_stream_t          stream;
    ngx_media_parts_t           parts;
    ngx_media_multi_t           multi;
    ngx_str_t                   etag;       /* of the object, once stored */

    /* admission */
    ngx_media_alive_t           alive;
    ngx_media_reserve_t         reserve;
    ngx_media_pg_query_t       *check;      /* of a form's fields */
    off_t                       replay_size;    /* of the file it repeats */

    /* the database */
    ngx_media_pg_query_t       *query;
    ngx_media_retry_t           retry;      /* of the commit */

    ngx_int_t                   answer;     /* of a refusal before it began */

    ngx_msec_t                  stored_at;  /* times for the access log */
    ngx_msec_t                  began_at;

    unsigned                    want_digest:1;
    unsigned                    want_body_digest:1;
    unsigned                    no_replace:1;
    unsigned                    chosen:1;   /* a form chose its pipeline */
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
/* ngx_media_upload_key.c: bytes are hashed only, a repetition */
extern const ngx_media_sink_t  ngx_media_replay_sink;


/* init_process: memory, heart-beat timer */
ngx_int_t ngx_media_upload_init_process(ngx_cycle_t *cycle,
    ngx_media_main_conf_t *mcf);

/* Reads what the request line and headers say. NGX_OK; NGX_DONE: a problem was
 * sent, u->answer ends the request; or the status that ends it. */
ngx_int_t ngx_media_upload_parse(ngx_media_upload_t *u, ngx_http_request_t *r);

/* Parts of it, with the same result: the digests that headers state, the
 * Idempotency-Key, what names and describes the file. */
ngx_int_t ngx_media_upload_digest(ngx_media_upload_t *u,
    ngx_http_request_t *r);
ngx_int_t ngx_media_upload_key(ngx_media_upload_t *u, ngx_http_request_t *r);
ngx_int_t ngx_media_upload_describe(ngx_media_upload_t *u,
    ngx_http_request_t *r);

/* What they use: a problem while nothing was begun is sent at once, u->answer
 * ends the request. */
#define ngx_media_refuse(...)                                                 \
    do {                                                                      \
        u->answer = ngx_media_send_problem(__VA_ARGS__);                      \
        return NGX_DONE;                                                      \
    } while (0)

/* The digest a form states. NGX_OK or NGX_DONE. */
ngx_int_t ngx_media_upload_hex_digest(ngx_media_upload_t *u, media_str_t hex);
/* The body is over: do the digests agree? NGX_OK or NGX_DONE. */
ngx_int_t ngx_media_upload_digest_end(ngx_media_upload_t *u);

/* A form field: title, pipeline, visibility, params, sha256. NGX_OK or
 * NGX_DONE. */
ngx_int_t ngx_media_upload_field(ngx_media_upload_t *u, ngx_str_t *name,
    ngx_str_t *value);
/* The file's name and declared type, from a form part. NGX_OK or NGX_DONE. */
ngx_int_t ngx_media_upload_file(ngx_media_upload_t *u, media_mp_event_t *ev);

/* Admitted: the body may come. */
void ngx_media_upload_start(ngx_media_upload_t *u);

/* Are the bytes that came reserved, may more come? NGX_OK; NGX_AGAIN: not yet,
 * ngx_media_upload_pump() follows; NGX_DONE. */
ngx_int_t ngx_media_reserve_ready(ngx_media_upload_t *u);
void ngx_media_reserve_close(ngx_media_upload_t *u);

/* Moves bytes from the client to the sink as far as both go. NGX_DONE when the
 * upload has ended meanwhile, else NGX_OK. From sinks and events. */
ngx_int_t ngx_media_upload_pump(ngx_media_upload_t *u);

/* The client's body (ngx_media_body.c): begins to read it, after the answer to
 * "Expect: 100-continue". */
void ngx_media_body_start(ngx_media_upload_t *u);
/* The next bytes into u->in: NGX_OK something came or the body is over,
 * NGX_AGAIN nothing yet, NGX_DONE. */
ngx_int_t ngx_media_body_next(ngx_media_upload_t *u);
/* Not the client is what we wait for. NGX_OK or NGX_DONE. */
ngx_int_t ngx_media_body_pause(ngx_media_upload_t *u);
/* Others have a turn first; then the pump goes on. */
void ngx_media_body_yield(ngx_media_upload_t *u);
/* Can it be read without waiting for the client? */
ngx_uint_t ngx_media_body_has_input(ngx_media_upload_t *u);

/* The client's bytes of one buffer, form or file; as sink->write. */
ngx_int_t ngx_media_ingest(ngx_media_upload_t *u, ngx_buf_t *b);
/* Takes note of bytes as they come, before ngx_media_ingest(); NGX_OK or
 * NGX_DONE. */
ngx_int_t ngx_media_ingest_body(ngx_media_upload_t *u, u_char *p, size_t n);
/* Counts and digests the file's bytes; NGX_OK, or NGX_DONE when they are too
 * many. */
ngx_int_t ngx_media_ingest_account(ngx_media_upload_t *u, u_char *p,
    size_t n);
/* The body is over. NGX_OK or NGX_DONE. */
ngx_int_t ngx_media_ingest_end(ngx_media_upload_t *u);

/* The object is complete in S3 (u->etag): commit. */
ngx_int_t ngx_media_upload_stored(ngx_media_upload_t *u);


/* One part in memory (ngx_media_part.c). init: no more than that many are sent
 * at once. create: NULL when out of memory. */
void ngx_media_part_init(ngx_uint_t most);
ngx_media_part_t *ngx_media_part_create(ngx_media_upload_t *u,
    ngx_uint_t number);
void ngx_media_part_free(ngx_media_part_t *part);
/* Takes bytes until it is full: how many, also into the file's digest. 0: out
 * of memory. */
size_t ngx_media_part_fill(ngx_media_part_t *part, u_char *p, size_t n);
/* The memory it may still take when at most `rest` bytes of the file follow. */
size_t ngx_media_part_need(ngx_media_part_t *part, off_t rest);
/* Nothing more goes in: its digest. NGX_OK or NGX_ERROR. */
ngx_int_t ngx_media_part_close(ngx_media_part_t *part);
/* In its turn. NGX_OK or NGX_DONE; ngx_media_parts_stored() follows, or the
 * upload ends. */
ngx_int_t ngx_media_part_send(ngx_media_part_t *part);
/* S3 has the part; frees it. */
void ngx_media_parts_stored(ngx_media_part_t *part, ngx_str_t *etag);
/* May an upload that will hold parts begin? NGX_OK, or NGX_AGAIN: admitted() is
 * called to ask again, or it ends. */
ngx_int_t ngx_media_parts_admit(ngx_media_upload_t *u,
    void (*admitted)(void *data));

/* Multipart at S3: create and record its id, then u->multi.opened(u). */
ngx_int_t ngx_media_multi_create(ngx_media_upload_t *u,
    ngx_int_t (*opened)(ngx_media_upload_t *u));
/* The parts' CRCs, one after the other. */
void ngx_media_multi_crc(ngx_media_upload_t *u, uint64_t crc, off_t size);
/* S3 has the part, in any order. */
ngx_int_t ngx_media_multi_part(ngx_media_upload_t *u, ngx_uint_t part,
    ngx_str_t *etag, const char *sum);
ngx_int_t ngx_media_multi_complete(ngx_media_upload_t *u);
void ngx_media_multi_close(ngx_media_upload_t *u);

/* Ends the upload: nothing was promised, the intent is doomed or removed, the
 * client (if it is still there) gets the problem. Always NGX_DONE. */
ngx_int_t ngx_media_upload_fail(ngx_media_upload_t *u, enum media_problem p,
    const char *fmt, ...);
/* As the database's code asks for; members: of the problem, as a JSON object,
 * or NULL. */
ngx_int_t ngx_media_upload_denied(ngx_media_upload_t *u, ngx_str_t *code,
    ngx_str_t *detail, ngx_str_t *members);
/* 201 with this media, whose id is u->id by now; the upload is gone. */
void ngx_media_upload_created(ngx_media_upload_t *u, ngx_str_t *media);
/* The 201 of the first upload with this Idempotency-Key, again. */
void ngx_media_upload_replayed(ngx_media_upload_t *u, ngx_str_t *id,
    ngx_str_t *media);
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
