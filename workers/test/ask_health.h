/* Asks a worker's health port, for tests. */
#ifndef ASK_HEALTH_H
#define ASK_HEALTH_H

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test.h"

static int health_port_no;
static char health_answer[32768];

/* Takes the port from MEDIA_HEALTH_FILE; 0: it is not there yet. */
static inline int health_port(const char *file)
{
    FILE *f = fopen(file, "r");

    health_port_no = 0;
    if (f != NULL) {
        if (fscanf(f, "127.0.0.1:%d\n", &health_port_no) != 1) {
            health_port_no = 0;
        }
        fclose(f);
    }
    return health_port_no;
}

static inline int health_dial(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)health_port_no),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    CHECK_INT(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    return fd;
}

/* Sends raw bytes, returns the whole answer. */
static inline const char *health_ask(const char *request)
{
    int fd = health_dial();
    size_t n = 0;
    ssize_t got;

    CHECK_INT(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    while (n < sizeof(health_answer) - 1 &&
           (got = recv(fd, health_answer + n, sizeof(health_answer) - 1 - n, 0)) > 0) {
        n += (size_t)got;
    }
    health_answer[n] = '\0';
    close(fd);
    return health_answer;
}

static inline int has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

#endif
