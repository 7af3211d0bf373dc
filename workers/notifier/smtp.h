/* Hands one mail over to the mail server (RFC 5321) by libcurl. */
#ifndef SMTP_H
#define SMTP_H

#include "media/err.h"
#include "media/str.h"

/* Called at least every second while the server is talked to; non-zero ends the delivery. */
typedef int (*smtp_tick_pt)(void *data);

typedef struct {
    const char *url; /* smtp://, smtp+starttls://, smtps://; may hold user and password */
    const char *from;
    const char *to;
    media_str_t message;
    smtp_tick_pt tick;
    void *data;
} smtp_mail_t;

/* 0: the server took the responsibility after the final dot; MEDIA_E_RETRY: 4xx, unreachable, or a
 * fault of our side; MEDIA_E_REJECT: 5xx for this mail; MEDIA_E_AGAIN: tick ended it. `reply` gets
 * the server's last line, printable ASCII. [thread] */
int smtp_send(const smtp_mail_t *mail, char *reply, size_t cap, media_err_t *ei);

#endif
