/* Host names nginx has to be told the addresses of: the hosts of PostgreSQL and the endpoints of
 * S3. What was answered, what nginx uses, and when that is out of date. No I/O but gw_lookup_*. */
#ifndef GW_NAMES_H
#define GW_NAMES_H

#include <netinet/in.h>
#include <sys/types.h>

#include "media/err.h"
#include "media/str.h"

#define GW_ADDRS_MAX 16
#define GW_HOST_MAX 256

/* Addresses as text, sorted, none twice. */
typedef struct {
    char at[GW_ADDRS_MAX][INET6_ADDRSTRLEN];
    size_t count;
} gw_addrs_t;

typedef struct {
    char host[GW_HOST_MAX];
    int is_address; /* nothing to look up: an address or a socket directory */
    int64_t grace_ms;
    gw_addrs_t answer;                      /* the last one */
    gw_addrs_t used;                        /* by nginx */
    int64_t missing_since_ms[GW_ADDRS_MAX]; /* of used.at[i], 0: was in the last answer */
    /* a lookup under way */
    pid_t pid; /* 0: none, -1: has ended, what it said may be left to read */
    int fd;
    int64_t until_ms;
    char text[GW_ADDRS_MAX * INET6_ADDRSTRLEN];
    size_t len;
} gw_name_t;

/* `grace_ms`: an address in use that no answer has had for so long is given up. 0 where the answer
 * is all there is; minutes where each answer is a choice of many. [any] */
void gw_name_init(gw_name_t *name, media_str_t host, int64_t grace_ms);
/* Adds an address unless it is there or there is no room. [any] */
void gw_addrs_add(gw_addrs_t *addrs, const char *addr);
/* An answer came; one without addresses counts as none. [any] */
void gw_name_answer(gw_name_t *name, const gw_addrs_t *answer, int64_t now_ms);
/* 1 if nginx should be told new addresses: it has none yet, or one that is given up. [any] */
int gw_name_stale(const gw_name_t *name, int64_t now_ms);
/* From now on nginx uses the last answer. [any] */
void gw_name_use(gw_name_t *name);

/* Looks a name up in a process of its own, so that a resolver that hangs holds nobody up and can be
 * ended. -1 if there is no process to be had. [thread] */
int gw_lookup_start(gw_name_t *name, int64_t now_ms);
/* Reads what the process said; 1 when the lookup is over (also by its deadline), then *answer holds
 * what came. */
int gw_lookup_read(gw_name_t *name, int64_t now_ms, gw_addrs_t *answer);
/* Ends it. */
void gw_lookup_stop(gw_name_t *name);

#endif
