/* The mail of a notification. Its bytes depend on the arguments alone (no clock, no randomness): a
 * second attempt sends the same mail with the same Message-ID. */
#ifndef MAIL_H
#define MAIL_H

#include "media/buf.h"
#include "media/jwt.h"
#include "note.h"

#define MAIL_MAX (256u << 10)
#define MAIL_ID_MAX 340

typedef struct {
    const char *job_id;
    int64_t created_s; /* of the job: the mail's Date */
    const char *from;  /* a plain address */
    const char *public_url;
    int64_t link_ttl_s;
    const media_jwt_key_t *play_key;
} mail_frame_t;

/* "<job@domain of the sender>", without a length to care about. [any] */
void mail_message_id(const mail_frame_t *frame, char dst[MAIL_ID_MAX]);
/* Appends the whole message (RFC 5322, CRLF). 0 or a negative code. [any] */
int mail_build(const note_t *note, const mail_frame_t *frame, media_buf_t *out, media_err_t *ei);

#endif
