#include "gw_names.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void gw_name_init(gw_name_t *name, media_str_t host, int64_t grace_ms)
{
    struct in6_addr addr;

    memset(name, 0, sizeof(*name));
    (void)snprintf(name->host, sizeof(name->host), "%.*s", (int)host.len, host.p);
    name->grace_ms = grace_ms;
    name->fd = -1;
    if (inet_pton(AF_INET, name->host, &addr) == 1 || inet_pton(AF_INET6, name->host, &addr) == 1) {
        name->is_address = 1;
        gw_addrs_add(&name->answer, name->host);
    } else if (name->host[0] == '/') {
        name->is_address = 1;
    }
    if (name->is_address) {
        gw_name_use(name);
    }
}

static int addrs_have(const gw_addrs_t *addrs, const char *addr)
{
    for (size_t i = 0; i < addrs->count; i++) {
        if (strcmp(addrs->at[i], addr) == 0) {
            return 1;
        }
    }
    return 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

void gw_addrs_add(gw_addrs_t *addrs, const char *addr)
{
    if (addrs->count == GW_ADDRS_MAX || strlen(addr) >= INET6_ADDRSTRLEN ||
        addrs_have(addrs, addr)) {
        return;
    }
    (void)snprintf(addrs->at[addrs->count++], INET6_ADDRSTRLEN, "%s", addr);
    qsort(addrs->at, addrs->count, sizeof(addrs->at[0]), by_text);
}

void gw_name_answer(gw_name_t *name, const gw_addrs_t *answer, int64_t now_ms)
{
    if (answer->count == 0) {
        return;
    }
    name->answer = *answer;
    for (size_t i = 0; i < name->used.count; i++) {
        if (addrs_have(answer, name->used.at[i])) {
            name->missing_since_ms[i] = 0;
        } else if (name->missing_since_ms[i] == 0) {
            name->missing_since_ms[i] = now_ms;
        }
    }
}

int gw_name_stale(const gw_name_t *name, int64_t now_ms)
{
    if (name->is_address) {
        return 0;
    }
    for (size_t i = 0; i < name->used.count; i++) {
        if (name->missing_since_ms[i] != 0 &&
            now_ms - name->missing_since_ms[i] >= name->grace_ms) {
            return 1;
        }
    }
    return name->used.count == 0;
}

void gw_name_use(gw_name_t *name)
{
    name->used = name->answer;
    memset(name->missing_since_ms, 0, sizeof(name->missing_since_ms));
}
