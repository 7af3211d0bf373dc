/* Descriptions of packaged sets: of what is accepted, every playlist and the manifest can be
 * written. */
#include "fuzz.h"

#include "media/dash.h"
#include "media/hls.h"

static void check(int rc, media_buf_t *b)
{
    MUST(rc == 0 || rc == MEDIA_E_REJECT || rc == MEDIA_E_TOOBIG);
    MUST(b->len == 0 || strlen(b->p) == b->len);
    media_buf_reset(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    media_cmafset_t *set;
    media_err_t ei = {""};
    media_buf_t b;
    if (media_cmafset_read((media_str_t){(const char *)data, size}, &set, &ei) != 0) {
        MUST(set == NULL && ei.text[0] != '\0');
        return 0;
    }
    media_buf_init(&b, 1 << 20);
    check(media_hls_master(set, &b), &b);
    check(media_dash_manifest(set, &b), &b);
    for (size_t i = 0; i < set->ntracks; i++) {
        const media_track_t *t = &set->tracks[i];
        media_rate_t r = media_cmafset_rate(set, t);
        MUST(r.peak >= r.average && r.average > 0);
        MUST(media_cmafset_track(set, media_str(t->name)) == t);
        check(media_hls_media(set, t, &b), &b);
        check(media_hls_iframes(set, t, &b), &b);
    }
    media_buf_free(&b);
    media_cmafset_free(set);
    return 0;
}
