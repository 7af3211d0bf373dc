#include "gw_probe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PROBE_S 5

int gw_probe(const gw_conf_t *conf)
{
    static const char request[] = "GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n";
    struct sockaddr_in to = {.sin_family = AF_INET};
    struct timeval limit = {PROBE_S, 0};
    char answer[16] = "";
    size_t len = 0;
    ssize_t n;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_port = htons((uint16_t)(conf->ops_port != 0 ? conf->ops_port : conf->http_port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0) {
        return 1;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
        send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) == sizeof(request) - 1) {
        while (len < 12 && (n = recv(fd, answer + len, 12 - len, 0)) > 0) {
            len += (size_t)n;
        }
    }
    (void)close(fd);
    return len == 12 && memcmp(answer + 8, " 200", 4) == 0 ? 0 : 1;
}
