/* BMP: 24 bits per pixel, bottom up, on white. */
#include "an_writer.h"

#include <stdlib.h>
#include <string.h>

#define HEADER 54

static void put32(uint8_t *p, size_t v)
{
    for (int i = 0; i < 4; i++) {
        p[i] = (uint8_t)(v >> (8 * i));
    }
}

static int add(an_writer_t *w, const AVFrame *frame, AVRational delay, tc_fail_t *f)
{
    size_t row = ((size_t)w->width * 3 + 3) / 4 * 4, n = row * (size_t)w->height;
    uint8_t header[HEADER] = "BM", *line = calloc(1, row);

    (void)delay;
    if (line == NULL) {
        return an_writer_failed(w, f);
    }
    put32(header + 2, HEADER + n);
    put32(header + 10, HEADER);
    put32(header + 14, 40);
    put32(header + 18, (size_t)w->width);
    put32(header + 22, (size_t)w->height);
    header[26] = 1;
    header[28] = 24;
    put32(header + 34, n);
    (void)media_buf_add(&w->out, header, HEADER);
    for (int y = w->height - 1; y >= 0; y--) {
        const uint8_t *p = frame->data[0] + y * frame->linesize[0];

        for (int x = 0; x < w->width; x++, p += 4) {
            for (int i = 0; i < 3; i++) {
                line[3 * x + 2 - i] = (uint8_t)((p[i] * p[3] + 255 * (255 - p[3]) + 127) / 255);
            }
        }
        (void)media_buf_add(&w->out, line, row);
    }
    free(line);
    return 0;
}

const an_format_t an_format_bmp = {"masked.bmp", "image/bmp", add, NULL, NULL};
