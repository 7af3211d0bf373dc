/* A network in ONNX that says the same of every picture: 3 x side x side -> the mean of each
 * channel
 * -> nothing of it, plus a table of rows x cols. Enough of protobuf to write one. */
#ifndef AN_ONNX_H
#define AN_ONNX_H

#include <stdint.h>
#include <string.h>

#include "media/buf.h"

static inline void pb_varint(media_buf_t *b, uint64_t v)
{
    do {
        uint8_t byte = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));

        (void)media_buf_add(b, &byte, 1);
        v >>= 7;
    } while (v != 0);
}

static inline void pb_int(media_buf_t *b, unsigned field, uint64_t v)
{
    pb_varint(b, field << 3);
    pb_varint(b, v);
}

static inline void pb_bytes(media_buf_t *b, unsigned field, const void *p, size_t n)
{
    pb_varint(b, field << 3 | 2);
    pb_varint(b, n);
    (void)media_buf_add(b, p, n);
}

static inline void pb_text(media_buf_t *b, unsigned field, const char *s)
{
    pb_bytes(b, field, s, strlen(s));
}

/* Takes what `from` has, as a message in a field of `to`. */
static inline void pb_message(media_buf_t *to, unsigned field, media_buf_t *from)
{
    pb_bytes(to, field, from->p != NULL ? from->p : "", from->len);
    media_buf_free(from);
}

static inline media_buf_t pb_new(void)
{
    media_buf_t b;

    media_buf_init(&b, 1 << 20);
    return b;
}

/* An attribute that is one integer. */
static inline void onnx_attribute(media_buf_t *node, const char *name, uint64_t v)
{
    media_buf_t a = pb_new();

    pb_text(&a, 1, name);
    pb_int(&a, 3, v);
    pb_int(&a, 20, 2);
    pb_message(node, 5, &a);
}

static inline void onnx_node(media_buf_t *graph, const char *op, const char *const *in,
                             const char *out)
{
    media_buf_t n = pb_new();

    for (; *in != NULL; in++) {
        pb_text(&n, 1, *in);
    }
    pb_text(&n, 2, out);
    pb_text(&n, 3, out);
    pb_text(&n, 4, op);
    if (strcmp(op, "Flatten") == 0) {
        onnx_attribute(&n, "axis", 1);
    } else if (strcmp(op, "Gemm") == 0) {
        onnx_attribute(&n, "transB", 1);
    }
    pb_message(graph, 1, &n);
}

static inline void onnx_tensor(media_buf_t *graph, const char *name, int type, const int *dims,
                               int ndims, const void *data, size_t len)
{
    media_buf_t t = pb_new();

    for (int i = 0; i < ndims; i++) {
        pb_int(&t, 1, (uint64_t)dims[i]);
    }
    pb_int(&t, 2, (uint64_t)type); /* 1: float, 7: int64 */
    pb_text(&t, 8, name);
    pb_bytes(&t, 9, data, len);
    pb_message(graph, 5, &t);
}

static inline void onnx_value(media_buf_t *graph, unsigned field, const char *name, const int *dims,
                              int ndims)
{
    media_buf_t value = pb_new(), type = pb_new(), tensor = pb_new(), shape = pb_new();

    for (int i = 0; i < ndims; i++) {
        media_buf_t d = pb_new();

        pb_int(&d, 1, (uint64_t)dims[i]);
        pb_message(&shape, 1, &d);
    }
    pb_int(&tensor, 1, 1);
    pb_message(&tensor, 2, &shape);
    pb_message(&type, 1, &tensor);
    pb_text(&value, 1, name);
    pb_message(&value, 2, &type);
    pb_message(graph, field, &value);
}

/* To be freed with media_buf_free. */
static inline media_buf_t onnx_says(int side, int rows, int cols, const float *table)
{
    static float nothing[3 * 4096];
    const int in[] = {1, 3, side, side}, out[] = {1, rows, cols};
    const int weights[] = {rows * cols, 3}, bias[] = {rows * cols}, three[] = {3};
    const int64_t shape[] = {1, rows, cols};
    media_buf_t model = pb_new(), graph = pb_new(), opset = pb_new();

    onnx_node(&graph, "GlobalAveragePool", (const char *const[]){"images", NULL}, "mean");
    onnx_node(&graph, "Flatten", (const char *const[]){"mean", NULL}, "flat");
    onnx_node(&graph, "Gemm", (const char *const[]){"flat", "w", "b", NULL}, "said");
    onnx_node(&graph, "Reshape", (const char *const[]){"said", "shape", NULL}, "output");
    pb_text(&graph, 2, "says");
    onnx_tensor(&graph, "w", 1, weights, 2, nothing, 3 * (size_t)(rows * cols) * sizeof(float));
    onnx_tensor(&graph, "b", 1, bias, 1, table, (size_t)(rows * cols) * sizeof(float));
    onnx_tensor(&graph, "shape", 7, three, 1, shape, sizeof(shape));
    onnx_value(&graph, 11, "images", in, 4);
    onnx_value(&graph, 12, "output", out, 3);
    pb_int(&model, 1, 6);
    pb_text(&opset, 1, "");
    pb_int(&opset, 2, 11);
    pb_message(&model, 8, &opset);
    pb_message(&model, 7, &graph);
    return model;
}

#endif
