/* sniff.c and its probes: made-up beginnings of every format, look-alikes, and the files of the
 * shared media folder (vectors/sniff_media.tsv) where that is present. Whatever is sniffed is also
 * cut at every length: a verdict on a beginning must be the verdict on the whole. */
#include "media/sniff.h"

#include "test.h"

#define UNKNOWN "application/octet-stream"

/* How many beginnings are judged otherwise than the whole, or again undecided after a verdict. */
static int wrong_prefixes(const char *p, size_t n, const media_sniff_t *whole)
{
    media_sniff_t s;
    int settled = 0, wrong = 0;

    for (size_t k = 0; k <= n; k++) {
        int rc = media_sniff((media_str_t){p, k}, 0, &s);

        wrong += rc == MEDIA_E_AGAIN ? settled
                                     : rc != 0 || s.content_type != whole->content_type ||
                                           s.family != whole->family;
        settled |= rc == 0;
    }
    return wrong;
}

static void check_sniff(const char *p, size_t n, const char *want)
{
    char *own = malloc(n != 0 ? n : 1); /* so that ASAN sees a read past the end */
    media_sniff_t s;

    memcpy(own, p, n);
    CHECK_INT(media_sniff((media_str_t){own, n}, 1, &s), 0);
    CHECK_STR(s.content_type, want);
    CHECK_INT(s.family == MEDIA_FAMILY_UNKNOWN, strcmp(want, UNKNOWN) == 0);
    CHECK_INT(wrong_prefixes(own, n, &s), 0);
    free(own);
}

#define SNIFF(bytes, want) check_sniff(bytes, sizeof(bytes) - 1, want)

static void test_sniff_signatures_are_known(void)
{
    SNIFF("\xff\xd8\xff\xe0..", "image/jpeg");
    SNIFF("\x89PNG\r\n\x1a\n....", "image/png");
    SNIFF("GIF87a..", "image/gif");
    SNIFF("GIF89a..", "image/gif");
    SNIFF("II*\0\x08\0\0\0", "image/tiff");
    SNIFF("MM\0*\0\0\0\x08", "image/tiff");
    SNIFF("II+\0\x08\0\0\0....", "image/tiff");
    SNIFF("BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0..", "image/bmp");
    SNIFF("RIFF\1\2\3\4WEBPVP8 ", "image/webp");
    SNIFF("RIFF\1\2\3\4WAVEfmt ", "audio/wav");
    SNIFF("RIFX\1\2\3\4WAVEfmt ", "audio/wav");
    SNIFF("\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14", "image/jp2");
    SNIFF("\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14", "image/jxl");
    SNIFF("RF64\xff\xff\xff\xffWAVEds64", "audio/wav");
    SNIFF("RIFF\1\2\3\4AVI LIST", "video/x-msvideo");
    SNIFF("FORM\1\2\3\4AIFFCOMM", "audio/aiff");
    SNIFF("FORM\1\2\3\4AIFCFVER", "audio/aiff");
    SNIFF("fLaC\0\0\0\x22", "audio/flac");
    SNIFF("#!AMR\n..", "audio/amr");
    SNIFF("#!AMR-WB\n..", "audio/amr-wb");
    SNIFF("FLV\1\5\0\0\0\x09", "video/x-flv");
    SNIFF("\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c..", "video/x-ms-asf");
    SNIFF("\0\0\1\xba\x44", "video/mpeg");
    SNIFF("\0\0\1\xb3\x14", "video/mpeg");
}

static void test_sniff_brands_decide(void)
{
    SNIFF("\0\0\0\x18"
          "ftypisom\0\0\2\0isommp41",
          "video/mp4");
    SNIFF("\0\0\0\x18"
          "ftypM4A \0\0\2\0M4A mp42",
          "audio/mp4");
    SNIFF("\0\0\0\x14"
          "ftypM4B \0\0\2\0M4B ",
          "audio/mp4");
    SNIFF("\0\0\0\x14"
          "ftypqt  \0\0\2\0qt  ",
          "video/quicktime");
    SNIFF("\0\0\0\x14"
          "ftyp3gp4\0\0\2\0"
          "3gp4",
          "video/3gpp");
    SNIFF("\0\0\0\x14"
          "ftyp3g2a\0\0\2\0"
          "3g2a",
          "video/3gpp2");
    SNIFF("\0\0\0\x18"
          "ftypheic\0\0\0\0mif1heic",
          "image/heic");
    SNIFF("\0\0\0\x18"
          "ftypmif1\0\0\0\0mif1heic",
          "image/heic");
    SNIFF("\0\0\0\x18"
          "ftypmif1\0\0\0\0mif1avif",
          "image/avif");
    SNIFF("\0\0\0\x14"
          "ftypmif1\0\0\0\0mif1heic",
          "image/heif"); /* heic is not in the box */
    SNIFF("\0\0\0\x18"
          "ftypmif1\0\0\0\0mif1",
          "image/heif"); /* cut */
    SNIFF("\0\0\0\x1c"
          "ftypavif\0\0\0\0avifmif1miaf",
          "image/avif");
    SNIFF("\0\0\0\x08"
          "ftyp",
          UNKNOWN);
    SNIFF("\0\0\0\x04"
          "ftypisom",
          UNKNOWN);
    SNIFF("\0\0\0\x18"
          "stypmsdh\0\0\0\0msdhmsix",
          "video/mp4");
}

static void test_sniff_movies_without_brands(void)
{
    SNIFF("\0\0\1\0moov\0\0\0\x6cmvhd\0\0\0\0", "video/quicktime");
    SNIFF("\0\0\1\0moov, said the cow", UNKNOWN);
    SNIFF("\0\1\0\0mdat\1\2\3\4", "video/quicktime");
    SNIFF("\0\0\0\1mdat\0\0\0\0\1\2\3\4", "video/quicktime");
    SNIFF("\0\0\0\x08wide\0\1\0\0mdat....", "video/quicktime");
    SNIFF("\0\0\0\x0c"
          "free....\0\0\0\x14"
          "ftypisom\0\0\0\0isom",
          "video/mp4");
    SNIFF("\0\0\0\x10moof\0\0\0\x08", "video/mp4");
    SNIFF("The free beer is over there, where nobody looks for it.", UNKNOWN);
    SNIFF("\0\0\0\0free\0\0\0\0", UNKNOWN);
}

static void test_sniff_matroska_is_told_from_webm(void)
{
    SNIFF("\x1a\x45\xdf\xa3\x8b\x42\x86\x81\1\x42\x82\x84webm", "video/webm");
    SNIFF("\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x0b\x42\x82\x88matroska", "video/x-matroska");
    SNIFF("\x1a\x45\xdf\xa3\x89\x42\x82\x86webm\0\0", "video/webm");
    SNIFF("\x1a\x45\xdf\xa3\x87\x42\x82\x84wobm", UNKNOWN);
    SNIFF("\x1a\x45\xdf\xa3\x84\x42\x86\x81\1", UNKNOWN);
    SNIFF("\x1a\x45\xdf\xa3\x87\x42\x82\xffwebm", UNKNOWN);
    SNIFF("\x1a\x45\xdf\xa3\0\0\0\0\0\0\0\0\0", UNKNOWN);
    SNIFF("\x1a\x45\xdf\xa3\x87\x42\x82\x84we", UNKNOWN);
}

/* One page that begins a stream, its only packet being `magic`. */
static size_t ogg_page(char *dst, int flags, const char *magic, size_t n)
{
    memset(dst, 0, 28);
    memcpy(dst, "OggS", 4);
    dst[5] = (char)flags;
    dst[26] = 1;
    dst[27] = (char)n;
    memcpy(dst + 28, magic, n);
    return 28 + n;
}

static void test_sniff_ogg_with_video_is_video(void)
{
    char b[512];
    size_t n = ogg_page(b, 2, "\x01vorbis....", 11);

    check_sniff(b, n, "audio/ogg");
    n += ogg_page(b + n, 0, "\x03vorbis", 7);
    check_sniff(b, n, "audio/ogg");
    n = ogg_page(b, 2, "fishead\0", 8);
    n += ogg_page(b + n, 2, "OpusHead", 8);
    n += ogg_page(b + n, 2, "\x80theora", 7);
    n += ogg_page(b + n, 0, "fisbone", 7);
    check_sniff(b, n, "video/ogg");
    n = ogg_page(b, 2,
                 "\x7f"
                 "FLAC",
                 5);
    check_sniff(b, n, "audio/ogg");
    n = ogg_page(b, 2, "whatever", 8);
    n += ogg_page(b + n, 0, "whatever", 8);
    check_sniff(b, n, UNKNOWN);
}

/* `frames` frames of `size` bytes, each beginning with `head`. */
static void check_frames(const char *head, size_t n, size_t size, int frames, const char *want)
{
    char *b = calloc((size_t)frames, size);

    for (int i = 0; i < frames; i++) {
        memcpy(b + (size_t)i * size, head, n);
    }
    check_sniff(b, (size_t)frames * size, want);
    free(b);
}

static void test_sniff_audio_needs_two_frames(void)
{
    check_frames("\xff\xfb\x90\x00", 4, 417, 3, "audio/mpeg"); /* MPEG-1 III 128k 44.1 */
    check_frames("\xff\xfb\x92\x00", 4, 418, 3, "audio/mpeg"); /* padded */
    check_frames("\xff\xf3\x84\x00", 4, 192, 3, "audio/mpeg"); /* MPEG-2 III 64k 24 */
    check_frames("\xff\xfd\xa4\x00", 4, 576, 3, "audio/mpeg"); /* MPEG-1 II 192k 48 */
    check_frames("\xff\xff\xc4\x00", 4, 384, 3, "audio/mpeg"); /* MPEG-1 I 384k 48 */
    check_frames("\xff\xfb\x90\x00", 4, 417, 1, "audio/mpeg"); /* the file's only frame */
    check_frames("\xff\xfb\x90\x00", 4, 416, 3, UNKNOWN);      /* the second is not there */
    check_frames("\xff\xfb\xf0\x00", 4, 417, 3, UNKNOWN);      /* impossible bit rate */
    check_frames("\xff\xfb\x9c\x00", 4, 417, 3, UNKNOWN);      /* impossible sampling rate */
    check_frames("\xff\xf1\x50\x80\x10\x1f\xfc", 7, 128, 3, "audio/aac");
    check_frames("\xff\xf1\x50\x80\x10\x1f\xfc", 7, 129, 3, UNKNOWN);
    check_frames("\xff\xf1\x7c\x80\x10\x1f\xfc", 7, 128, 3, UNKNOWN);
    check_frames("\x0b\x77\0\0\x1e\x40", 6, 1792, 2, "audio/ac3"); /* 448k 48 */
    check_frames("\x0b\x77\0\0\x50\x40", 6, 418, 2, UNKNOWN);
    check_frames("\x0b\x77\x01\xff\x3f\x86", 6, 1024, 2, "audio/eac3");
}

static void test_sniff_id3_shows_what_follows(void)
{
    char b[64] = "ID3\x04\0\0\0\0\0\x0a";

    memcpy(b + 20, "fLaC", 4);
    check_sniff(b, 30, "audio/flac");
    memcpy(b + 20, "\xff\xf1\x50\x80", 4);
    check_sniff(b, 30, "audio/aac");
    memcpy(b + 20, "\xff\xfb\x90\0", 4);
    check_sniff(b, 30, "audio/mpeg");
    memcpy(b + 20, "\x0b\x77..", 4);
    check_sniff(b, 30, "audio/ac3");
    b[5] = 0x10; /* a footer: ten bytes more */
    memcpy(b + 30, "fLaC", 4);
    check_sniff(b, 40, "audio/flac");
    SNIFF("ID3\3\0\0\x7f\x7f\x7f\x7fTIT2", "audio/mpeg");
    SNIFF("ID3\3\0\0\x80\0\0\0TIT2", UNKNOWN);
}

static void check_ts(size_t first, size_t step, size_t packets, const char *want)
{
    char b[2048] = {0};

    for (size_t i = 0; i < packets; i++) {
        b[first + i * step] = 0x47;
    }
    check_sniff(b, first + packets * step, want);
}

static void test_sniff_transport_streams(void)
{
    check_ts(0, 188, 6, "video/mp2t");
    check_ts(4, 192, 6, "video/mp2t");
    check_ts(0, 204, 6, "video/mp2t");
    check_ts(0, 188, 2, "video/mp2t");
    check_ts(0, 187, 6, UNKNOWN);
    check_ts(0, 188, 1, UNKNOWN);
}

static void test_sniff_text_is_unknown(void)
{
    SNIFF("", UNKNOWN);
    SNIFF("\xff", UNKNOWN);
    SNIFF("B", UNKNOWN);
    SNIFF("BM is a fine car, and here is why I say so", UNKNOWN);
    SNIFF("Good morning", UNKNOWN);
    SNIFF("<svg xmlns=\"http://www.w3.org/2000/svg\"/>", UNKNOWN);
    SNIFF("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", UNKNOWN);
    SNIFF("ffconcat version 1.0\nfile /etc/passwd\n", UNKNOWN);
    SNIFF("RIFF\1\2\3\4RMIDdata", UNKNOWN);
    SNIFF("PK\3\4", UNKNOWN);
}

/* `junk` zero bytes, then `count` frames of `size` bytes that begin with that header. */
static void check_late(size_t junk, const char *header, size_t n, size_t size, size_t count,
                       const char *want)
{
    static char b[MEDIA_SNIFF_LEN];
    size_t end = junk + size * count;

    memset(b, 0, sizeof(b));
    for (size_t i = 0; i < count; i++) {
        memcpy(b + junk + i * size, header, n);
    }
    check_sniff(b, end, want);
}

static void test_sniff_streams_behind_padding(void)
{
    static char b[MEDIA_SNIFF_LEN];

    check_late(1, "\xff\xfb\x90\x00", 4, 417, 4, "audio/mpeg");
    check_late(1000, "\xff\xfb\x90\x00", 4, 417, 4, "audio/mpeg");
    check_late(2500, "\xff\xfb\x90\x00", 4, 417, 3, "audio/mpeg");
    check_late(1000, "\xff\xfb\x90\x00", 4, 417, 2, UNKNOWN);
    check_late(1000, "\xff\xfb\x90\x00", 4, 416, 4, UNKNOWN);
    check_late(1000, "\xff\xf1\x50\x80\x10\x1f\xfc", 7, 128, 4, "audio/aac");
    check_late(1000, "\xff\xf1\x50\x80\x10\x1f\xfc", 7, 128, 2, UNKNOWN);
    check_late(100, "\x47", 1, 188, 9, "video/mp2t");
    check_late(191, "\x47", 1, 192, 9, "video/mp2t");
    check_late(100, "\x47", 1, 188, 7, UNKNOWN);
    check_late(200, "\x47", 1, 188, 9, UNKNOWN); /* a packet sooner there was none */
    /* a cut frame in front, with a header in it that leads nowhere */
    memset(b, 0x5a, sizeof(b));
    memcpy(b, "\xde\xad\xbe\xef\xff\xfb\x90\x00", 8);
    for (size_t i = 0; i < 5; i++) {
        memcpy(b + 300 + i * 417, "\xff\xfb\x90\x00", 4);
    }
    check_sniff(b, sizeof(b), "audio/mpeg");
    /* text is no stream, whatever follows */
    memcpy(b, "<html>\r\n", 8);
    check_sniff(b, sizeof(b), UNKNOWN);
}

static void test_sniff_text_is_settled_early(void)
{
    media_sniff_t s;

    CHECK_INT(media_sniff(MEDIA_STR("The free beer"), 0, &s), 0);
    CHECK_INT(media_sniff(MEDIA_STR("<!doctype"), 0, &s), 0);
    CHECK_INT(media_sniff(MEDIA_STR("GIF"), 0, &s), MEDIA_E_AGAIN);
}

static void test_sniff_lies_cross_families(void)
{
    static const media_sniff_t video = {"video/mp4", MEDIA_FAMILY_VIDEO};
    static const media_sniff_t image = {"image/png", MEDIA_FAMILY_IMAGE};
    static const media_sniff_t mp3 = {"audio/mpeg", MEDIA_FAMILY_AUDIO};
    static const media_sniff_t m4a = {"audio/mp4", MEDIA_FAMILY_AUDIO};
    static const media_sniff_t unknown = {UNKNOWN, MEDIA_FAMILY_UNKNOWN};

    CHECK(media_sniff_lies(MEDIA_STR("image/png"), &video));
    CHECK(media_sniff_lies(MEDIA_STR("IMAGE/JPEG; q=1"), &video));
    CHECK(media_sniff_lies(MEDIA_STR("video/mp4"), &image));
    CHECK(media_sniff_lies(MEDIA_STR(" audio/mpeg"), &image));
    CHECK(media_sniff_lies(MEDIA_STR("audio/mpeg"), &video));
    CHECK(media_sniff_lies(MEDIA_STR("Audio/WAV; codecs=1"), &video));
    CHECK(media_sniff_lies(MEDIA_STR("video/mp4"), &mp3));
    CHECK(media_sniff_lies(MEDIA_STR("text/plain; charset=utf-8"), &video));
    CHECK(media_sniff_lies(MEDIA_STR("text/html"), &mp3));
    CHECK(media_sniff_lies(MEDIA_STR("font/woff2"), &image));
    CHECK(!media_sniff_lies(MEDIA_STR("audio/wav"), &mp3));
    CHECK(!media_sniff_lies(MEDIA_STR("audio/x-m4a"), &video));
    CHECK(!media_sniff_lies(MEDIA_STR("audio/aac"), &video));
    CHECK(!media_sniff_lies(MEDIA_STR("video/mp4"), &m4a));
    CHECK(!media_sniff_lies(MEDIA_STR("audio/mpeg"), &m4a));
    CHECK(!media_sniff_lies(MEDIA_STR("text/plain"), &unknown));
    CHECK(!media_sniff_lies(MEDIA_STR("text/texmacs"), &video));
    CHECK(!media_sniff_lies(MEDIA_STR("application/pdf"), &video));
    CHECK(!media_sniff_lies(MEDIA_STR("image/jpeg"), &image));
    CHECK(!media_sniff_lies(MEDIA_STR("audio/mp4"), &video));
    CHECK(!media_sniff_lies(MEDIA_STR("video/x-matroska"), &video));
    CHECK(!media_sniff_lies(MEDIA_STR("application/octet-stream"), &video));
    CHECK(!media_sniff_lies(MEDIA_STR("text/vnd.trolltech.linguist"), &video));
    CHECK(!media_sniff_lies(MEDIA_STR("image"), &video));
    CHECK(!media_sniff_lies(MEDIA_STR(""), &video));
    CHECK(!media_sniff_lies(MEDIA_STR_NULL, &image));
    CHECK(!media_sniff_lies(MEDIA_STR("image/png"), &unknown));
}

static void check_file(const char *dir, const char *name, const char *want)
{
    char path[1024], b[MEDIA_SNIFF_LEN];
    media_sniff_t s;
    FILE *f;
    size_t n;
    int last;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "rb");
    CHECK(f != NULL);
    if (f == NULL) {
        printf("cannot read %s\n", path);
        return;
    }
    n = fread(b, 1, sizeof(b), f);
    last = fgetc(f) == EOF;
    fclose(f);
    CHECK_INT(media_sniff((media_str_t){b, n}, last, &s), 0);
    if (strcmp(s.content_type, want) != 0) {
        printf("file %s\n", name);
    }
    CHECK_STR(s.content_type, want);
    CHECK_INT(wrong_prefixes(b, n, &s), 0);
}

static void test_sniff_media_folder_is_known(void)
{
    const char *dir = getenv("MEDIA_TEST_MEDIA");
    char *text, *line, *next, *tab, probe[1024];
    FILE *f;

    dir = dir != NULL ? dir : VECTORS "/../../../../shared/media";
    snprintf(probe, sizeof(probe), "%s/MANIFEST.tsv", dir);
    f = fopen(probe, "rb");
    if (f == NULL) {
        printf("skipped: no media folder at %s (set MEDIA_TEST_MEDIA)\n", dir);
        return;
    }
    fclose(f);
    text = test_read(VECTORS "/sniff_media.tsv", NULL);
    for (line = text; line != NULL && *line != '\0'; line = next) {
        next = strchr(line, '\n');
        if (next != NULL) {
            *next++ = '\0';
        }
        tab = strchr(line, '\t');
        if (line[0] != '#' && tab != NULL) {
            *tab = '\0';
            check_file(dir, line, tab + 1);
        }
    }
    free(text);
}

int main(void)
{
    test_sniff_signatures_are_known();
    test_sniff_brands_decide();
    test_sniff_movies_without_brands();
    test_sniff_matroska_is_told_from_webm();
    test_sniff_ogg_with_video_is_video();
    test_sniff_audio_needs_two_frames();
    test_sniff_id3_shows_what_follows();
    test_sniff_transport_streams();
    test_sniff_streams_behind_padding();
    test_sniff_text_is_unknown();
    test_sniff_text_is_settled_early();
    test_sniff_lies_cross_families();
    test_sniff_media_folder_is_known();
    return test_report();
}
