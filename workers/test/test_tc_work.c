/* The transcoder's decoder child on files made here: WAV in, each format out, and back through the
 * same program, so that what was written is read again. MEDIA_TRANSCODER is the binary. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>

#include "file_host.h"
#include "test.h"
#include "wk_log.h"

#define TONE_HZ 440.0
#define PI 3.14159265358979323846

static const wk_child_limits_t limits = {.memory_bytes = 512 << 20,
                                         .output_bytes = 256 << 20,
                                         .cpu_s = 60,
                                         .wall_s = 120,
                                         .stall_s = 60};

/* ---- WAV, written and read ---- */

static void put16(char *p, unsigned v)
{
    p[0] = (char)(v & 0xff);
    p[1] = (char)(v >> 8 & 0xff);
}

static void put32(char *p, uint32_t v)
{
    put16(p, v & 0xffff);
    put16(p + 2, v >> 16);
}

static uint32_t get32(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

enum { PCM = 1, FLOATS = 3 };

/* A memory file with a WAV header for `bytes` of samples to come. */
static int wav_new(int tag, int rate, int channels, int bits, uint32_t bytes)
{
    char h[44];
    int fd = memfd_create("wav", MFD_CLOEXEC);

    memcpy(h, "RIFF", 4);
    put32(h + 4, 36 + bytes);
    memcpy(h + 8, "WAVEfmt ", 8);
    put32(h + 16, 16);
    put16(h + 20, (unsigned)tag);
    put16(h + 22, (unsigned)channels);
    put32(h + 24, (uint32_t)rate);
    put32(h + 28, (uint32_t)(rate * channels * bits / 8));
    put16(h + 32, (unsigned)(channels * bits / 8));
    put16(h + 34, (unsigned)bits);
    memcpy(h + 36, "data", 4);
    put32(h + 40, bytes);
    CHECK_INT(write(fd, h, sizeof(h)), sizeof(h));
    return fd;
}

/* A tone in every channel, 16 bits. */
static int wav_tone(int rate, int channels, double seconds)
{
    int n = (int)(rate * seconds);
    size_t bytes = (size_t)n * (size_t)channels * 2;
    int fd = wav_new(PCM, rate, channels, 16, (uint32_t)bytes);
    char *p = malloc(bytes);

    for (int i = 0; i < n; i++) {
        int v = (int)lround(12000 * sin(2 * PI * TONE_HZ * i / rate));
        for (int c = 0; c < channels; c++) {
            put16(p + 2 * ((size_t)i * (size_t)channels + (size_t)c), (unsigned)v & 0xffff);
        }
    }
    CHECK_INT(write(fd, p, bytes), bytes);
    free(p);
    return fd;
}

typedef struct {
    int rate, channels, bits;
    size_t frames;
    unsigned char *file;
    const unsigned char *data;
    size_t bytes;
} wav_t;

static void wav_free(wav_t *w)
{
    free(w->file);
    memset(w, 0, sizeof(*w));
}

static void wav_read(int fd, int64_t size, wav_t *w)
{
    size_t off = 12;

    memset(w, 0, sizeof(*w));
    w->file = calloc(1, (size_t)size + 8);
    CHECK_INT(pread(fd, w->file, (size_t)size, 0), size);
    while (off + 8 < (size_t)size) {
        uint32_t len = get32(w->file + off + 4);
        if (memcmp(w->file + off, "fmt ", 4) == 0) {
            w->channels = (int)(get32(w->file + off + 8) >> 16);
            w->rate = (int)get32(w->file + off + 12);
            w->bits = (int)(get32(w->file + off + 20) >> 16);
        } else if (memcmp(w->file + off, "data", 4) == 0) {
            w->data = w->file + off + 8;
            w->bytes = len < (size_t)size - off - 8 ? len : (size_t)size - off - 8;
        }
        off += 8 + len + (len & 1);
    }
    if (w->channels > 0 && w->bits > 0) {
        w->frames = w->bytes / (size_t)(w->channels * w->bits / 8);
    }
}

/* Frequency of the first channel by its rising zero crossings, away from the ends. */
static double wav_tone_hz(const wav_t *w)
{
    size_t step = (size_t)w->channels, first = 0, last = 0, count = 0;
    const int16_t *s = (const int16_t *)(const void *)w->data;

    for (size_t i = w->frames / 10; i < w->frames * 9 / 10; i++) {
        if (s[i * step] < 0 && s[(i + 1) * step] >= 0) {
            first = count == 0 ? i : first;
            last = i;
            count++;
        }
    }
    return count > 1 ? (double)(count - 1) * w->rate / (double)(last - first) : 0;
}

/* ---- helpers ---- */

static enum wk_end convert(file_host_t *h, int fd, const char *params)
{
    file_host_init(h, fd);
    return file_host_run(h, MEDIA_TRANSCODER, params, &limits);
}

static double meta_number(const file_host_t *h, const char *name)
{
    return h->nout > 0 ? json_number_value(json_object_get(h->out_meta[0], name)) : -1;
}

static const char *meta_text(const file_host_t *h, const char *name)
{
    return h->nout > 0 ? json_string_value(json_object_get(h->out_meta[0], name)) : NULL;
}

static void expect_failure(int fd, const char *params, enum wk_end end, const char *code)
{
    file_host_t h;

    CHECK_INT(convert(&h, fd, params), end);
    CHECK_STR(h.out.code, code);
    CHECK(strlen(h.out.detail) > 10);
    CHECK_INT(h.nout, 0);
    file_host_free(&h);
}

static int bytes_file(const void *p, size_t n)
{
    int fd = memfd_create("bytes", MFD_CLOEXEC);

    CHECK_INT(write(fd, p, n), n);
    return fd;
}

/* The first `size` bytes. */
static int cut(int fd, int64_t size)
{
    char *p = malloc((size_t)size);
    int out;

    CHECK_INT(pread(fd, p, (size_t)size, 0), size);
    out = bytes_file(p, (size_t)size);
    free(p);
    return out;
}

/* ---- tests ---- */

static const struct {
    const char *format, *name, *type;
} formats[] = {{"mp3", "audio.mp3", "audio/mpeg"},   {"aac", "audio.m4a", "audio/mp4"},
               {"opus", "audio.opus", "audio/ogg"},  {"vorbis", "audio.ogg", "audio/ogg"},
               {"flac", "audio.flac", "audio/flac"}, {"wav", "audio.wav", "audio/wav"}};
#define FORMATS (sizeof(formats) / sizeof(formats[0]))

/* Converts to the format and back; gives what came back. */
static void there_and_back(int fd, const char *params, size_t f, wav_t *back)
{
    file_host_t h, b;

    memset(back, 0, sizeof(*back));
    CHECK_INT(convert(&h, fd, params), WK_DONE);
    CHECK_INT(h.nout, 1);
    if (h.nout == 1) {
        CHECK_STR(meta_text(&h, "name"), formats[f].name);
        CHECK_STR(meta_text(&h, "content_type"), formats[f].type);
        CHECK_STR(meta_text(&h, "kind"), "audio");
        CHECK(meta_number(&h, "bitrate") > 1000);
        CHECK_INT(convert(&b, h.out_fd[0], "{\"format\":\"wav\"}"), WK_DONE);
        if (b.nout == 1) {
            wav_read(b.out_fd[0], b.out_size[0], back);
        }
        file_host_free(&b);
    }
    file_host_free(&h);
}

static void test_tc_work_every_format_keeps_length_and_tone(void)
{
    int fd = wav_tone(44100, 2, 3.3);
    char params[64];
    wav_t w;

    for (size_t f = 0; f < FORMATS; f++) {
        there_and_back(fd, wk_fmt(params, sizeof(params), "{\"format\":\"%s\"}", formats[f].format),
                       f, &w);
        CHECK_INT(w.channels, 2);
        CHECK(w.rate == (strcmp(formats[f].format, "opus") == 0 ? 48000 : 44100));
        CHECK(w.rate > 0 && fabs((double)w.frames / w.rate - 3.3) < 0.05);
        CHECK(fabs(wav_tone_hz(&w) - TONE_HZ) < 1);
        wav_free(&w);
    }
    (void)close(fd);
}

static void test_tc_work_default_is_mp3_192(void)
{
    int fd = wav_tone(48000, 2, 5);
    file_host_t h;
    json_t *probe, *stream;

    CHECK_INT(convert(&h, fd, "{}"), WK_DONE);
    CHECK_STR(meta_text(&h, "name"), "audio.mp3");
    CHECK(fabs(meta_number(&h, "duration") - 5) < 0.05);
    CHECK(fabs(meta_number(&h, "bitrate") - 192000) < 4000);
    probe = json_object_get(h.out.result, "probe");
    stream = json_array_get(json_object_get(probe, "streams"), 0);
    CHECK_STR(json_string_value(json_object_get(probe, "container")), "wav");
    CHECK_STR(json_string_value(json_object_get(stream, "type")), "audio");
    CHECK_INT(json_integer_value(json_object_get(stream, "sample_rate")), 48000);
    CHECK_INT(json_integer_value(json_object_get(stream, "channels")), 2);
    file_host_free(&h);
    (void)close(fd);
}

static void test_tc_work_params_are_obeyed(void)
{
    int fd = wav_tone(96000, 6, 1.5);
    wav_t w;

    there_and_back(fd, "{}", 0, &w); /* mp3: stereo, 48 kHz at most */
    CHECK_INT(w.channels, 2);
    CHECK_INT(w.rate, 48000);
    wav_free(&w);
    there_and_back(fd, "{\"format\":\"aac\",\"sample_rate\":32000}", 1, &w);
    CHECK_INT(w.channels, 6);
    CHECK_INT(w.rate, 32000);
    wav_free(&w);
    there_and_back(fd, "{\"format\":\"flac\",\"channels\":1,\"bitrate\":192}", 4, &w);
    CHECK_INT(w.channels, 1);
    CHECK_INT(w.rate, 96000);
    CHECK(fabs((double)w.frames / 96000 - 1.5) < 0.05);
    wav_free(&w);
    there_and_back(fd, "{\"format\":\"vorbis\",\"quality\":4,\"bitrate\":64}", 3, &w);
    CHECK_INT(w.channels, 6);
    wav_free(&w);
    (void)close(fd);

    fd = wav_tone(8000, 1, 2); /* no codec's favourite */
    for (size_t f = 0; f < FORMATS; f++) {
        char params[64];
        there_and_back(fd, wk_fmt(params, sizeof(params), "{\"format\":\"%s\"}", formats[f].format),
                       f, &w);
        CHECK_INT(w.channels, 1);
        CHECK(w.rate > 0 && fabs((double)w.frames / w.rate - 2) < 0.05);
        wav_free(&w);
    }
    (void)close(fd);
}

static void test_tc_work_bad_param_is_named(void)
{
    static const struct {
        const char *params, *word;
    } cases[] = {
        {"{\"format\":\"midi\"}", "format"},    {"{\"format\":7}", "format"},
        {"{\"bitrate\":1000}", "bitrate"},      {"{\"bitrate\":\"192\"}", "bitrate"},
        {"{\"quality\":11}", "quality"},        {"{\"format\":\"opus\",\"quality\":3}", "quality"},
        {"{\"channels\":0}", "channels"},       {"{\"channels\":6}", "channels"},
        {"{\"sample_rate\":1}", "sample_rate"}, {"{\"cover\":\"yes\"}", "cover"},
        {"{\"bitrte\":192}", "bitrte"}};
    int fd = wav_tone(8000, 1, 0.5);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        file_host_t h;
        CHECK_INT(convert(&h, fd, cases[i].params), WK_REJECT);
        CHECK_STR(h.out.code, "params_invalid");
        CHECK(strstr(h.out.detail, cases[i].word) != NULL);
        file_host_free(&h);
    }
    (void)close(fd);
}

/* 16 bits stay 16, 24 bits stay 24, every one of them. */
static void test_tc_work_flac_is_lossless(void)
{
    for (int bits = 16; bits <= 24; bits += 8) {
        size_t bytes = (size_t)(44100 * bits / 8) * 2;
        int fd = wav_new(PCM, 44100, 2, bits, (uint32_t)bytes);
        unsigned char *p = malloc(bytes);
        uint32_t x = 1;
        wav_t w;

        for (size_t i = 0; i < bytes; i++) {
            x = x * 1664525 + 1013904223;
            p[i] = (unsigned char)(x >> 24);
        }
        CHECK_INT(write(fd, p, bytes), bytes);
        there_and_back(fd, "{\"format\":\"flac\"}", 4, &w);
        CHECK_INT(w.bits, bits);
        CHECK_INT(w.bytes, bytes);
        CHECK(w.bytes == bytes && memcmp(w.data, p, bytes) == 0);
        wav_free(&w);
        free(p);
        (void)close(fd);
    }
}

static void test_tc_work_insane_floats_are_survived(void)
{
    static const float evil[] = {NAN, INFINITY, -INFINITY, 1e30f, -1e30f, 0.5f};
    uint32_t n = 48000 * 2;
    int fd = wav_new(FLOATS, 48000, 2, 32, n * 4);
    float *samples = malloc(n * 4);
    char params[64];

    for (uint32_t i = 0; i < n; i++) {
        samples[i] = evil[i % 6];
    }
    CHECK_INT(write(fd, samples, n * 4), n * 4);
    free(samples);
    for (size_t f = 0; f < FORMATS; f++) {
        file_host_t h;
        CHECK_INT(convert(&h, fd,
                          wk_fmt(params, sizeof(params), "{\"format\":\"%s\"}", formats[f].format)),
                  WK_DONE);
        CHECK(fabs(meta_number(&h, "duration") - 1) < 0.05);
        file_host_free(&h);
    }
    (void)close(fd);
}

static void test_tc_work_second_attempt_makes_the_same_bytes(void)
{
    int fd = wav_tone(44100, 2, 2);
    char params[64];

    for (size_t f = 0; f < FORMATS; f++) {
        file_host_t a, b;
        char *p, *q;

        (void)wk_fmt(params, sizeof(params), "{\"format\":\"%s\"}", formats[f].format);
        CHECK_INT(convert(&a, fd, params), WK_DONE);
        CHECK_INT(convert(&b, fd, params), WK_DONE);
        CHECK(a.nout == 1 && b.nout == 1 && a.out_size[0] == b.out_size[0]);
        p = calloc(1, (size_t)a.out_size[0] + 1);
        q = calloc(1, (size_t)a.out_size[0] + 1);
        CHECK(pread(a.out_fd[0], p, (size_t)a.out_size[0], 0) ==
              pread(b.out_fd[0], q, (size_t)a.out_size[0], 0));
        CHECK(memcmp(p, q, (size_t)a.out_size[0]) == 0);
        free(p);
        free(q);
        file_host_free(&a);
        file_host_free(&b);
    }
    (void)close(fd);
}

static void test_tc_work_m4a_has_its_index_in_front(void)
{
    int fd = wav_tone(44100, 2, 20);
    unsigned char head[4096];
    const unsigned char *moov, *mdat;
    file_host_t h;

    CHECK_INT(convert(&h, fd, "{\"format\":\"aac\"}"), WK_DONE);
    CHECK_INT(pread(h.out_fd[0], head, sizeof(head), 0), sizeof(head));
    moov = memmem(head, sizeof(head), "moov", 4);
    mdat = memmem(head, sizeof(head), "mdat", 4);
    CHECK(moov != NULL && (mdat == NULL || moov < mdat));
    file_host_free(&h);
    (void)close(fd);
}

static void test_tc_work_cut_file_is_truncated_media(void)
{
    int fd = wav_tone(44100, 2, 8), short_fd;
    char params[64];

    for (size_t f = 0; f < FORMATS; f++) {
        file_host_t h;
        CHECK_INT(convert(&h, fd,
                          wk_fmt(params, sizeof(params), "{\"format\":\"%s\"}", formats[f].format)),
                  WK_DONE);
        if (h.nout == 1) {
            short_fd = cut(h.out_fd[0], h.out_size[0] * 6 / 10);
            expect_failure(short_fd, "{}", WK_REJECT, "truncated_media");
            (void)close(short_fd);
        }
        file_host_free(&h);
    }
    (void)close(fd);
}

static void expect_bytes(const char *text, size_t n, const char *code)
{
    int fd = bytes_file(text, n);

    expect_failure(fd, "{}", WK_REJECT, code);
    (void)close(fd);
}

static void test_tc_work_no_media_has_a_cause(void)
{
    static const char hls[] = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n/etc/passwd\n"
                              "#EXT-X-ENDLIST\n";
    static const char concat[] = "ffconcat version 1.0\nfile /etc/passwd\n";
    static const char png[] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\2\0\0\0";
    static const char ftyp[] = "\0\0\0\x18"
                               "ftypisom\0\0\2\0isomiso2";
    char noise[4096];
    uint32_t x = 7;

    for (size_t i = 0; i < sizeof(noise); i++) {
        x = x * 1664525 + 1013904223;
        noise[i] = (char)(x >> 24);
    }
    expect_bytes("", 0, "unreadable_media");
    expect_bytes("x", 1, "unreadable_media");
    expect_bytes(noise, sizeof(noise), "unreadable_media");
    expect_bytes(ftyp, sizeof(ftyp) - 1, "unreadable_media");
    memcpy(noise, ftyp, sizeof(ftyp) - 1);
    expect_bytes(noise, sizeof(noise), "unreadable_media");
    expect_bytes(hls, sizeof(hls) - 1, "unsupported_format");
    expect_bytes(concat, sizeof(concat) - 1, "unsupported_format");
    expect_bytes(png, sizeof(png) - 1, "unsupported_format");
}

int main(void)
{
    wk_log_init("test", MEDIA_LOG_ERROR);
    (void)signal(SIGPIPE, SIG_IGN);
    test_tc_work_every_format_keeps_length_and_tone();
    test_tc_work_default_is_mp3_192();
    test_tc_work_params_are_obeyed();
    test_tc_work_bad_param_is_named();
    test_tc_work_flac_is_lossless();
    test_tc_work_insane_floats_are_survived();
    test_tc_work_second_attempt_makes_the_same_bytes();
    test_tc_work_m4a_has_its_index_in_front();
    test_tc_work_cut_file_is_truncated_media();
    test_tc_work_no_media_has_a_cause();
    return test_report();
}
