
/*
 * Faults on demand, see ngx_media_fault.h.
 */

#include "ngx_media_fault.h"


#if (NGX_MEDIA_FAULTS)

#include <ngx_event.h>
#include <ngx_http.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <signal.h>


#define NGX_MEDIA_FAULT_LINES  8
#define NGX_MEDIA_FAULT_NAME   64


typedef struct {
    char                        point[NGX_MEDIA_FAULT_NAME];
    char                        action[8];
    unsigned                    nth;        /* time from now on */
    unsigned                    more;
} ngx_media_fault_line_t;


static struct {
    ngx_media_fault_line_t      lines[NGX_MEDIA_FAULT_LINES];
    ngx_uint_t                  n;
    ngx_log_t                  *log;
    pthread_t                   loop;
    ngx_uint_t                  armed;
} ngx_media_faults;


void
ngx_media_fault_arm(ngx_str_t *file, ngx_log_t *log)
{
    int                      got;
    char                    *p, *next, text[1024];
    ssize_t                  n;
    ngx_fd_t                 fd;
    ngx_media_fault_line_t  *line;

    if (file->len == 0) {
        return;
    }

    fd = ngx_open_file(file->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);
    if (fd == NGX_INVALID_FILE) {
        return;
    }

    n = ngx_read_fd(fd, text, sizeof(text) - 1);

    (void) ngx_close_file(fd);
    (void) ngx_delete_file(file->data);

    text[ngx_max(n, 0)] = '\0';

    ngx_memzero(&ngx_media_faults, sizeof(ngx_media_faults));

    for (p = text; *p; p = next) {
        next = p + strcspn(p, "\n");
        next += *next != '\0';

        line = &ngx_media_faults.lines[ngx_media_faults.n];
        line->nth = 1;
        line->more = 1;

        got = sscanf(p, "%63s %7s %u %u", line->point, line->action,
                     &line->nth, &line->more);

        if (got >= 2 && ngx_media_faults.n < NGX_MEDIA_FAULT_LINES - 1) {
            ngx_media_faults.n++;
        }
    }

    ngx_media_faults.log = log;
    ngx_media_faults.loop = pthread_self();
    ngx_media_faults.armed = 1;

    ngx_log_error(NGX_LOG_NOTICE, log, 0, "media fault: armed");
}


void
ngx_media_fault_upload(ngx_str_t *id)
{
    if (ngx_media_faults.armed) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_media_faults.log, 0,
                      "media fault: upload %V", id);
    }
}


ngx_uint_t
ngx_media_fault(const char *room, const char *what, const char *when)
{
    u_char                   name[NGX_MEDIA_FAULT_NAME];
    ngx_uint_t               i;
    ngx_media_fault_line_t  *line;

    if (!ngx_media_faults.armed) {
        return 0;
    }

    *ngx_snprintf(name, sizeof(name) - 1, "%s.%s%s%s", room, what,
                  when ? "." : "", when ? when : "")
        = '\0';

    for (i = 0; i < ngx_media_faults.n; i++) {
        line = &ngx_media_faults.lines[i];

        if (ngx_strcmp(line->point, name) != 0 || line->nth == 0
            || --line->nth != 0)
        {
            continue;
        }

        ngx_log_error(NGX_LOG_NOTICE, ngx_media_faults.log, 0,
                      "media fault: %s %s", name, line->action);

        if (ngx_strcmp(line->action, "kill") == 0) {
            (void) raise(SIGKILL);
        }

        return 1;
    }

    return 0;
}


static ngx_uint_t
ngx_media_fault_alloc(const char *function)
{
    ngx_uint_t               i;
    ngx_media_fault_line_t  *line;

    if (!ngx_media_faults.armed
        || !pthread_equal(ngx_media_faults.loop, pthread_self()))
    {
        return 0;
    }

    for (i = 0; i < ngx_media_faults.n; i++) {
        line = &ngx_media_faults.lines[i];

        if (ngx_strcmp(line->point, "alloc") != 0) {
            continue;
        }

        if (line->nth > 1) {
            line->nth--;
            return 0;
        }

        if (line->more == 0) {
            return 0;
        }

        line->more--;

        ngx_log_error(NGX_LOG_NOTICE, ngx_media_faults.log, 0,
                      "media fault: alloc in %s", function);
        return 1;
    }

    return 0;
}


/* function, its result, its parameters and arguments: the same list as in
 * CMakeLists.txt */
#define NGX_MEDIA_FAULT_ALLOCS(X)                                             \
    X(ngx_alloc, void *, (size_t size, ngx_log_t *log), (size, log))          \
    X(ngx_calloc, void *, (size_t size, ngx_log_t *log), (size, log))         \
    X(ngx_palloc, void *, (ngx_pool_t *p, size_t size), (p, size))            \
    X(ngx_pnalloc, void *, (ngx_pool_t *p, size_t size), (p, size))           \
    X(ngx_pcalloc, void *, (ngx_pool_t *p, size_t size), (p, size))           \
    X(ngx_create_pool, ngx_pool_t *, (size_t size, ngx_log_t *log),           \
      (size, log))                                                            \
    X(ngx_array_create, ngx_array_t *,                                        \
      (ngx_pool_t *p, ngx_uint_t n, size_t size), (p, n, size))               \
    X(ngx_array_push, void *, (ngx_array_t *a), (a))                          \
    X(ngx_list_push, void *, (ngx_list_t *l), (l))                            \
    X(ngx_pstrdup, u_char *, (ngx_pool_t *p, ngx_str_t *s), (p, s))           \
    X(ngx_pool_cleanup_add, ngx_pool_cleanup_t *,                             \
      (ngx_pool_t *p, size_t size), (p, size))                                \
    X(ngx_http_cleanup_add, ngx_http_cleanup_t *,                             \
      (ngx_http_request_t *r, size_t size), (r, size))                        \
    X(ngx_get_connection, ngx_connection_t *,                                 \
      (ngx_socket_t s, ngx_log_t *log), (s, log))                             \
    X(EVP_MD_CTX_new, EVP_MD_CTX *, (void), ())                               \
    X(malloc, void *, (size_t size), (size))                                  \
    X(calloc, void *, (size_t n, size_t size), (n, size))                     \
    X(realloc, void *, (void *p, size_t size), (p, size))


#define X(name, type, params, args)                                           \
    type __real_##name params;                                                \
    type __wrap_##name params;                                                \
                                                                              \
    type                                                                      \
    __wrap_##name params                                                      \
    {                                                                         \
        return ngx_media_fault_alloc(#name) ? NULL : __real_##name args;      \
    }

NGX_MEDIA_FAULT_ALLOCS(X)

#undef X

#endif
