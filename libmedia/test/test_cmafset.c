#include "test.h"

#include "media/cmafset.h"
#include "media/dash.h"
#include "media/hls.h"

static media_cmafset_t *read_vector(void)
{
    media_cmafset_t *set = NULL;
    media_err_t ei = {""};
    size_t len;
    char *text = test_read(VECTORS "/package/set.json", &len);
    CHECK_INT(media_cmafset_read((media_str_t){text, len}, &set, &ei), 0);
    CHECK_STR(ei.text, "");
    free(text);
    if (set == NULL) {
        exit(test_report());
    }
    return set;
}

static void check_golden(const media_buf_t *got, const char *name)
{
    char path[300];
    (void)snprintf(path, sizeof(path), "%s/package/%s", VECTORS, name);
    char *want = test_read(path, NULL);
    CHECK_STR(got->p, want);
    free(want);
}

static void test_cmafset_read_takes_all(void)
{
    media_cmafset_t *set = read_vector();
    const media_track_t *t = media_cmafset_track(set, MEDIA_STR("720p"));
    CHECK_INT(set->ntracks, 6);
    CHECK_STR(set->segments, "../cmaf/");
    CHECK(t == &set->tracks[1]);
    CHECK_INT(t->nsegments, 4);
    CHECK_INT(t->segments[1].iframe_bytes, 41000);
    CHECK_INT(t->fps_den, 1001);
    CHECK(set->tracks[5].is_forced && !set->tracks[4].is_forced);
    CHECK(media_cmafset_track(set, MEDIA_STR("721p")) == NULL);
    CHECK(media_cmafset_default(set, MEDIA_TRACK_AUDIO) == &set->tracks[2]);
    CHECK(media_cmafset_default(set, MEDIA_TRACK_TEXT) == NULL);
    media_cmafset_free(set);
    media_cmafset_free(NULL);
}

static media_cmafset_t *one_track(const char *timescale, const char *segments)
{
    char text[600];
    media_cmafset_t *set = NULL;
    (void)snprintf(text, sizeof(text),
                   "{\"segments\":\"s/\",\"tracks\":[{\"name\":\"v\",\"kind\":\"video\","
                   "\"revision\":7,\"codecs\":\"avc1.4d401e\",\"timescale\":%s,\"width\":2,"
                   "\"height\":2,\"fps\":[1,1],\"segments\":[%s]}]}",
                   timescale, segments);
    CHECK_INT(media_cmafset_read(media_str(text), &set, NULL), 0);
    return set;
}

/* Peak as RFC 8216bis 4.1 has it: over contiguous segments of 0.5 to 1.5 target durations. */
static void test_cmafset_rate_is_measured(void)
{
    /* the last one is too short to count alone, but with its neighbour it does not last too long */
    media_cmafset_t *set = one_track("10", "[40,4000],[40,8000],[40,2000],[10,5000]");
    media_rate_t r = media_cmafset_rate(set, &set->tracks[0]);
    CHECK_INT(media_cmafset_target_s(set, &set->tracks[0]), 4);
    CHECK_INT(r.peak, 16000);
    CHECK_INT(r.average, (19000 * 80 + 129) / 130);
    CHECK_INT(media_track_end(&set->tracks[0]), 130);
    CHECK(!media_track_has_iframes(&set->tracks[0]));
    media_cmafset_free(set);

    set = one_track("10", "[40,1000],[40,7000],[10,5000]");
    CHECK_INT(media_cmafset_rate(set, &set->tracks[0]).peak, 12000 * 8 / 5);
    media_cmafset_free(set);

    /* shorter than half a second altogether */
    set = one_track("90000", "[9000,1000]");
    CHECK_INT(media_cmafset_target_s(set, &set->tracks[0]), 1);
    CHECK_INT(media_cmafset_rate(set, &set->tracks[0]).peak, 80000);
    media_cmafset_free(set);

    /* the largest numbers that are read */
    set = one_track("4294967295", "[9007199254740992,4294967296]");
    CHECK_INT(media_cmafset_rate(set, &set->tracks[0]).peak, 16384);
    media_cmafset_free(set);
    set = one_track("4294967295", "[1,4294967296]");
    CHECK(media_cmafset_rate(set, &set->tracks[0]).peak == INT64_MAX);
    media_cmafset_free(set);
}

static void test_hls_master_equals_the_vector(void)
{
    media_cmafset_t *set = read_vector();
    media_buf_t b;
    media_buf_init(&b, 1 << 20);
    CHECK_INT(media_hls_master(set, &b), 0);
    check_golden(&b, "master.m3u8");
    media_buf_free(&b);
    media_buf_init(&b, 100);
    CHECK_INT(media_hls_master(set, &b), MEDIA_E_TOOBIG);
    media_buf_free(&b);
    media_cmafset_free(set);
}

static void test_hls_media_equals_the_vectors(void)
{
    static const char *const names[] = {"720p", "audio-de", "sub-de"};
    media_cmafset_t *set = read_vector();
    media_buf_t b;
    char file[64];
    media_buf_init(&b, 1 << 20);
    for (size_t i = 0; i < 3; i++) {
        media_buf_reset(&b);
        CHECK_INT(media_hls_media(set, media_cmafset_track(set, media_str(names[i])), &b), 0);
        (void)snprintf(file, sizeof(file), "%s" MEDIA_HLS_EXT, names[i]);
        check_golden(&b, file);
    }
    media_buf_reset(&b);
    CHECK_INT(media_hls_iframes(set, &set->tracks[1], &b), 0);
    check_golden(&b, "720p" MEDIA_HLS_IFRAMES_EXT);
    CHECK_INT(media_hls_iframes(set, &set->tracks[2], &b), MEDIA_E_REJECT);
    media_buf_free(&b);
    media_cmafset_free(set);
}

/* 1001/24000 is no whole number of microseconds: the printed durations still sum up exactly. */
static void test_hls_extinf_does_not_drift(void)
{
    char segments[400] = "";
    for (size_t n = 0, i = 0; i < 30; i++) {
        n += (size_t)snprintf(segments + n, sizeof(segments) - n, "%s[97,1]", i > 0 ? "," : "");
    }
    media_cmafset_t *set = one_track("24000", segments);
    media_buf_t b;
    long long sum = 0;
    media_buf_init(&b, 1 << 16);
    CHECK_INT(media_hls_media(set, &set->tracks[0], &b), 0);
    for (const char *p = b.p; (p = strstr(p, "#EXTINF:")) != NULL;) {
        char *end;
        sum += strtoll(p + 8, &end, 10) * 1000000;
        sum += strtoll(end + 1, &end, 10);
        p = end;
    }
    CHECK_INT(sum, 30 * 97 * INT64_C(1000000) / 24000);
    media_buf_free(&b);
    media_cmafset_free(set);
}

static void test_dash_manifest_equals_the_vector(void)
{
    media_cmafset_t *set = read_vector();
    media_buf_t b;
    media_buf_init(&b, 1 << 20);
    CHECK_INT(media_dash_manifest(set, &b), 0);
    check_golden(&b, "manifest.mpd");
    /* a rung cut elsewhere: every representation has its own timeline */
    set->tracks[1].segments[0].duration--;
    media_buf_reset(&b);
    CHECK_INT(media_dash_manifest(set, &b), 0);
    check_golden(&b, "apart.mpd");
    media_buf_free(&b);
    media_cmafset_free(set);
}

static void test_package_of_audio_alone(void)
{
    static const char text[] =
        "{\"segments\":\"\",\"tracks\":[{\"name\":\"a\",\"kind\":\"audio\",\"revision\":0,"
        "\"codecs\":\"mp4a.40.2\",\"timescale\":8000,\"channels\":1,\"rate\":8000,"
        "\"segments\":[[8000,1000]]}]}";
    media_cmafset_t *set = NULL;
    media_buf_t b;
    media_buf_init(&b, 1 << 16);
    CHECK_INT(media_cmafset_read(MEDIA_STR(text), &set, NULL), 0);
    CHECK_INT(media_hls_master(set, &b), 0);
    CHECK_STR(b.p, "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n"
                   "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"a\",DEFAULT=YES,"
                   "AUTOSELECT=YES,CHANNELS=\"1\",URI=\"a.m3u8\"\n"
                   "#EXT-X-STREAM-INF:BANDWIDTH=8000,AVERAGE-BANDWIDTH=8000,CODECS=\"mp4a.40.2\","
                   "AUDIO=\"audio\",CLOSED-CAPTIONS=NONE\na.m3u8\n");
    set->tracks[0].kind = MEDIA_TRACK_TEXT;
    CHECK_INT(media_hls_master(set, &b), MEDIA_E_REJECT);
    CHECK_INT(media_dash_manifest(set, &b), MEDIA_E_REJECT);
    media_buf_free(&b);
    media_cmafset_free(set);
}

/* Each is the vector's text with one thing replaced. */
static void test_cmafset_read_refuses(void)
{
    static const char *const swaps[][3] = {
        {"\"../cmaf/\"", "\"a b\"", "segments"},
        {"\"../cmaf/\"", "\"x\\\"\"", "segments"},
        {"\"360p\"", "\"720p\"", "unique"},
        {"\"360p\"", "\"master\"", "unique"},
        {"\"360p\"", "\"\"", "name"},
        {"\"360p\"", "\"A\"", "lower"},
        {"\"360p\"", "\"a.b\"", "name"},
        {"\"video\"", "\"movie\"", "kind"},
        {"\"avc1.4d401e\"", "\"avc1\\\",X\"", "codecs"},
        {"\"avc1.4d401e\"", "null", "codecs"},
        {"\"timescale\":24000", "\"timescale\":0", "timescale"},
        {"\"timescale\":24000", "\"timescale\":4294967296", "timescale"},
        {"\"start\":0", "\"start\":-1", "start"},
        {"[24000,1001]", "[24000]", "fps"},
        {"[24000,1001]", "[24000,0]", "fps"},
        {"\"width\":640", "\"width\":0", "width"},
        {"[96096,150000,32,9000]", "[0,150000,32,9000]", "segment 1"},
        {"[96096,250000,32,11000]", "[96096,0,0,0]", "segment 2"},
        {"[96096,250000,32,11000]", "[96096,250000,32]", "segment 2"},
        {"[96096,250000,32,11000]", "[96096,250000,249999,2]", "segment 2"},
        {"[96096,250000,32,11000]", "[96096,2.5]", "segment 2"},
        {"[96096,250000,32,11000]", "{}", "segment 2"},
        {"[191488,64000]", "[191488,64000,0,1]", "segment 1"},
        {"[96096,250000,32,11000]", "[9007199254740992,1],[1,1]", "segment"},
        {"[[13000,2400]]", "[[13000,2400],[1,1]]", "2 items"},
        {"[[13000,2400]]", "[]", "0 items"},
        {"\"channels\":2", "\"channels\":0", "channels"},
        {"\"de\"", "\"d\\\"e\"", "language"},
        {"\"default\":true", "\"default\":1", "default"},
        {"\"forced\":true", "\"forced\":true,\"codecs\":\"x\"", "codecs"},
        {"\"revision\":2", "\"revision\":-1", "revision"},
        {"\"revision\":2", "\"revision\":2,\"x\":1", "\"x\""},
    };
    char *text = test_read(VECTORS "/package/set.json", NULL);
    for (size_t i = 0; i < sizeof(swaps) / sizeof(swaps[0]); i++) {
        char bad[8000];
        media_cmafset_t *set = NULL;
        media_err_t ei = {""};
        char *at = strstr(text, swaps[i][0]);
        CHECK(at != NULL);
        if (at != NULL) {
            (void)snprintf(bad, sizeof(bad), "%.*s%s%s", (int)(at - text), text, swaps[i][1],
                           at + strlen(swaps[i][0]));
            CHECK_INT(media_cmafset_read(media_str(bad), &set, &ei), MEDIA_E_REJECT);
            CHECK(set == NULL);
            if (strstr(ei.text, swaps[i][2]) == NULL) {
                printf("# %s -> %s: %s\n", swaps[i][0], swaps[i][1], ei.text);
            }
            CHECK(strstr(ei.text, swaps[i][2]) != NULL);
        }
    }
    free(text);
}

static void test_cmafset_read_has_caps(void)
{
    static const char head[] = "{\"segments\":\"\",\"tracks\":[";
    static const char track[] = "{\"name\":\"t%d\",\"kind\":\"audio\",\"revision\":0,\"codecs\":"
                                "\"x\",\"timescale\":1,\"channels\":1,\"rate\":1,\"segments\":[";
    media_cmafset_t *set = NULL;
    media_err_t ei = {""};
    media_buf_t b;
    media_buf_init(&b, 16 << 20);
    media_buf_cstr(&b, head);
    for (int i = 0; i <= MEDIA_CMAFSET_TRACKS_MAX; i++) {
        media_buf_cstr(&b, i > 0 ? "," : "");
        media_buf_fmt(&b, track, i);
        media_buf_cstr(&b, "[1,1]]}");
    }
    media_buf_cstr(&b, "]}");
    CHECK_INT(media_cmafset_read(media_buf_view(&b), &set, &ei), MEDIA_E_TOOBIG);
    CHECK(strstr(ei.text, "tracks") != NULL);

    media_buf_reset(&b);
    media_buf_cstr(&b, head);
    media_buf_fmt(&b, track, 0);
    for (int i = 0; i <= MEDIA_CMAFSET_SEGMENTS_MAX; i++) {
        media_buf_cstr(&b, i > 0 ? ",[1,1]" : "[1,1]");
    }
    media_buf_cstr(&b, "]}]}");
    CHECK_INT(media_cmafset_read(media_buf_view(&b), &set, &ei), MEDIA_E_TOOBIG);
    CHECK(strstr(ei.text, "segments") != NULL);

    while (b.len <= MEDIA_CMAFSET_JSON_MAX) {
        media_buf_cstr(&b, "                                                                ");
    }
    CHECK_INT(media_cmafset_read(media_buf_view(&b), &set, &ei), MEDIA_E_TOOBIG);
    CHECK(set == NULL);
    media_buf_free(&b);
}

int main(void)
{
    test_cmafset_read_takes_all();
    test_cmafset_rate_is_measured();
    test_hls_master_equals_the_vector();
    test_hls_media_equals_the_vectors();
    test_hls_extinf_does_not_drift();
    test_dash_manifest_equals_the_vector();
    test_package_of_audio_alone();
    test_cmafset_read_refuses();
    test_cmafset_read_has_caps();
    return test_report();
}
