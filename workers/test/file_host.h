/* Runs a decoder child on a file instead of a job: the input comes from a descriptor, outputs are
 * kept in memory files. Nothing else is different from wk_child_run. */
#ifndef FILE_HOST_H
#define FILE_HOST_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wk_host.h"

#define FILE_HOST_OUTPUTS 8

typedef struct {
    int in_fd;
    int64_t size; /* -1: the descriptor's */
    int read_rc;  /* what reading answers instead of bytes */
    int beat_rc;  /* what every beat answers after the first `beats_ok` */
    int beats_ok;
    int output_rc;
    wk_asked_t *asked;

    int beats;
    double progress;
    int nout;
    int out_fd[FILE_HOST_OUTPUTS];
    int64_t out_size[FILE_HOST_OUTPUTS];
    json_t *out_meta[FILE_HOST_OUTPUTS];
    wk_outcome_t out;
} file_host_t;

static inline int file_host_read(void *data, atomic_int *stop, int64_t off, size_t len, void *dst,
                                 media_err_t *ei)
{
    file_host_t *h = data;

    (void)stop;
    if (h->read_rc != 0) {
        return media_err_set(ei, h->read_rc, "told to fail");
    }
    for (size_t got = 0; got < len;) {
        ssize_t n = pread(h->in_fd, (char *)dst + got, len - got, off + (int64_t)got);
        if (n <= 0) {
            return media_err_set(ei, MEDIA_E_RETRY, "short read");
        }
        got += (size_t)n;
    }
    return 0;
}

static inline int file_host_beat(void *data, double progress, double eta_s)
{
    file_host_t *h = data;

    (void)eta_s;
    h->progress = progress;
    return h->beats++ >= h->beats_ok ? h->beat_rc : 0;
}

static inline int file_host_output(void *data, int fd, int64_t size, json_t *meta, media_err_t *ei)
{
    file_host_t *h = data;
    static char buf[1 << 16];
    int64_t off = 0;
    int i = h->nout;

    if (h->output_rc != 0 || i >= FILE_HOST_OUTPUTS) {
        json_decref(meta);
        return media_err_set(ei, h->output_rc != 0 ? h->output_rc : MEDIA_E_BUG, "told to fail");
    }
    h->out_fd[i] = memfd_create("output", MFD_CLOEXEC);
    while (off < size) {
        ssize_t n = pread(fd, buf, sizeof(buf), off);
        if (n <= 0 || write(h->out_fd[i], buf, (size_t)n) != n) {
            break;
        }
        off += n;
    }
    h->out_size[i] = off;
    h->out_meta[i] = meta;
    h->nout++;
    return off == size ? 0 : media_err_set(ei, MEDIA_E_RETRY, "copy failed");
}

static inline void file_host_init(file_host_t *h, int in_fd)
{
    memset(h, 0, sizeof(*h));
    h->in_fd = in_fd;
    h->size = -1;
}

static inline enum wk_end file_host_run(file_host_t *h, const char *exe, const char *params,
                                        const wk_child_limits_t *limits)
{
    struct stat st = {0};
    wk_source_t source = {.read = file_host_read, .data = h};
    json_t *start = json_object();
    wk_host_t host = {.exe = exe,
                      .tmpdir = "/tmp",
                      .uid = geteuid() == 0 ? 65534 : -1,
                      .limits = limits,
                      .source = &source,
                      .start = start,
                      .beat = file_host_beat,
                      .output = file_host_output,
                      .data = h,
                      .asked = h->asked};
    enum wk_end end;

    (void)fstat(h->in_fd, &st);
    source.size = h->size >= 0 ? h->size : st.st_size;
    source.to = source.size;
    (void)json_object_set_new(start, "size", json_integer(source.size));
    (void)json_object_set_new(start, "name", json_string("a name"));
    (void)json_object_set_new(start, "params", json_loads(params, 0, NULL));
    end = wk_host_run(&host, &h->out);
    json_decref(start);
    return end;
}

static inline void file_host_free(file_host_t *h)
{
    for (int i = 0; i < h->nout; i++) {
        (void)close(h->out_fd[i]);
        json_decref(h->out_meta[i]);
    }
    json_decref(h->out.result);
    memset(&h->out, 0, sizeof(h->out));
    h->nout = 0;
}

#endif
