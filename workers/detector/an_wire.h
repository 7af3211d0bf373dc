/* What the detector process and its parent say to each other over the socket pair: frames of a
 * head and a payload, host byte order, one question at a time.
 *
 *   parent             detector
 *   START  JSON   ->                 {"models": directory}; off = uid to become, -1: none
 *                 <-   READY  JSON   {"kind","opencv","files":[{"name","sha256"}...]}
 *   PICTURE       ->                 an_size_t, then width * height * 3 bytes of BGR
 *                 <-   HITS          an_hit_t...
 *   any           <-   ERROR  JSON   {"code","detail"}; after START the process ends, after PICTURE
 *                                    it is ready for the next one
 */
#ifndef AN_WIRE_H
#define AN_WIRE_H

#include <stddef.h>
#include <stdint.h>

#define AN_WIRE_FD 3
#define AN_TEXT_MAX 8192 /* bytes of a JSON payload */

enum an_frame { AN_F_START = 0x414e0001, AN_F_READY, AN_F_PICTURE, AN_F_HITS, AN_F_ERROR };

typedef struct {
    uint32_t type;
    uint32_t len; /* of the payload */
    int64_t off;
} an_head_t;

typedef struct {
    uint32_t width, height;
} an_size_t;

/* Both move all of their bytes or return MEDIA_E_GONE (the other end is closed) or MEDIA_E_AGAIN
 * (an_wire_now_ms() reached until_ms; -1: waits for ever). The socket may block or not.
 * [thread] */
int an_wire_recv(int fd, void *dst, size_t len, int64_t until_ms);
/* A frame whose payload is a followed by b; either may be empty. */
int an_wire_send(int fd, const an_head_t *head, const void *a, size_t a_len, const void *b,
                 size_t b_len, int64_t until_ms);
/* Until there is something to receive, if only the end: 0; MEDIA_E_AGAIN as above. */
int an_wire_wait(int fd, int64_t until_ms);
/* CLOCK_MONOTONIC in milliseconds. [any] */
int64_t an_wire_now_ms(void);

#endif
