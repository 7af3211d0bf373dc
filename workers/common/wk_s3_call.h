/* One signed S3 request over libcurl, with its retries (private to wk_s3.c). */
#ifndef WK_S3_CALL_H
#define WK_S3_CALL_H

#include <curl/curl.h>

#include "media/buf.h"
#include "wk_cred.h"
#include "wk_s3.h"

typedef struct {
    char base[600];       /* "http://127.0.0.1:9000", "https://media.s3.example.org" */
    char connect_to[300]; /* "::s3.example.org:": where virtual hosts are; empty: base */
    struct curl_slist *connect_list;
    media_s3_target_t target;
    wk_cred_t *cred;
} wk_s3_store_t;

struct wk_s3_s {
    const wk_conf_t *conf;
    CURL *curl;
    wk_s3_store_t store[MEDIA_STORE_COUNT]; /* that of a request is told by its key */
    wk_s3_tick_pt tick;
    void *tick_data;
    int64_t ticked_ms;   /* monotonic */
    int64_t patience_ms; /* 0: three tries */
    int tick_rc;         /* why the running request was ended by us; 0: it was not */
};

/* A request and its answer. The body to send is either `mem` or a window of `fd`; it can be read
 * again from its start, so a request may be repeated. */
typedef struct {
    media_s3_req_t req; /* now_s is filled per try */
    const char *mem;
    int fd;
    int64_t body_off;
    int64_t body_len; /* -1: no body */
    int tries;        /* 0: three, or as the patience says */

    char *dst; /* where the bytes of a 2xx answer go; NULL: into `answer` */
    size_t dst_cap;
    size_t dst_len;
    media_buf_t answer; /* XML */
    long status;
    int64_t length; /* of the whole object, as the answer's head says; -1: it does not */
    char etag[128];
    char sse[16]; /* what the answer says of encryption */
    media_s3_error_t error;

    int64_t sent;         /* of the body, in this try */
    wk_s3_store_t *store; /* NULL: the key's */
    wk_s3_t *s3;
} wk_s3_call_t;

void wk_s3_call_init(wk_s3_call_t *c, enum media_s3_op op, const char *key);
void wk_s3_call_free(wk_s3_call_t *c);
/* The store of a key. */
wk_s3_store_t *wk_s3_store(wk_s3_t *s, media_str_t key);
/* Runs the request. 0 for a 2xx, else the verdict's code, what the tick returned, or MEDIA_E_BUG.
 */
int wk_s3_call(wk_s3_t *s, wk_s3_call_t *c, media_err_t *ei);

#endif
