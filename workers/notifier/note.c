/* Reading a notification's params, see note.h. */
#include "note.h"

#include <string.h>

#include "media/json.h"
#include "media/objkey.h"
#include "mime.h"

/* A string member; "" when absent or null. jansson's strings end in NUL. */
static int text_read(const json_t *obj, const char *name, size_t max, const char **out,
                     media_err_t *ei)
{
    media_str_t s;
    int rc = media_json_str(obj, name, max, &s, ei);

    *out = rc == 0 ? s.p : "";
    return rc == MEDIA_E_GONE ? 0 : rc;
}

static int text_need(const json_t *obj, const char *name, size_t max, const char **out,
                     media_err_t *ei)
{
    int rc = text_read(obj, name, max, out, ei);

    if (rc == 0 && (*out)[0] == '\0') {
        return media_err_set(ei, MEDIA_E_REJECT, "the notification has no \"%s\"", name);
    }
    return rc;
}

static int output_read(const json_t *params, note_t *out, media_err_t *ei)
{
    const json_t *output = json_object_get(params, "output");
    const json_t *duration = json_object_get(output, "duration");
    int rc;

    out->output = "";
    out->content_type = "";
    out->size = -1;
    out->duration = -1;
    if (!json_is_object(output)) {
        return 0;
    }
    rc = text_need(output, "name", MEDIA_OUTPUT_NAME_MAX, &out->output, ei);
    if (rc == 0 && !media_output_name_valid(media_str(out->output))) {
        rc = media_err_set(ei, MEDIA_E_REJECT, "the notification names no valid output");
    }
    if (rc == 0) {
        rc = text_read(output, "content_type", 128, &out->content_type, ei);
    }
    if (rc == 0) {
        rc = media_json_int(output, "size", 0, INT64_MAX, &out->size, ei);
        rc = rc == MEDIA_E_GONE ? 0 : rc;
    }
    if (json_is_number(duration)) {
        out->duration = json_number_value(duration);
    }
    return rc;
}

static int error_read(const json_t *params, note_t *out, media_err_t *ei)
{
    const json_t *error = json_object_get(params, "error");
    int rc;

    out->code = "";
    out->detail = "";
    if (!json_is_object(error)) {
        return 0;
    }
    rc = text_read(error, "code", 100, &out->code, ei);
    return rc != 0 ? rc : text_read(error, "detail", 4096, &out->detail, ei);
}

static int event_read(const json_t *params, note_t *out, media_err_t *ei)
{
    const char *event;
    int rc = text_need(params, "event", 64, &event, ei);

    if (rc != 0) {
        return rc;
    }
    if (strcmp(event, "media.ready") == 0) {
        out->event = NOTE_READY;
    } else if (strcmp(event, "media.failed") == 0) {
        out->event = NOTE_FAILED;
    } else {
        return media_err_set(ei, MEDIA_E_REJECT, "no mail is written for \"%.60s\"", event);
    }
    return 0;
}

int note_read(const json_t *params, note_t *out, media_err_t *ei)
{
    int rc = event_read(params, out, ei);

    if (rc == 0) {
        rc = text_need(params, "to", 254, &out->to, ei);
    }
    if (rc == 0 && !mime_address_valid(out->to)) {
        rc = media_err_set(ei, MEDIA_E_REJECT, "no mail can be sent to this address");
    }
    if (rc == 0) {
        rc = text_need(params, "media_id", MEDIA_UUID_LEN, &out->media_id, ei);
    }
    if (rc == 0 && !media_uuid_valid(media_str(out->media_id))) {
        rc = media_err_set(ei, MEDIA_E_REJECT, "the notification's media id is no id");
    }
    if (rc == 0) {
        rc = text_need(params, "name", 1024, &out->name, ei);
    }
    if (rc == 0) {
        rc = text_read(params, "title", 4096, &out->title, ei);
    }
    if (rc == 0) {
        rc = text_read(params, "pipeline", 64, &out->pipeline, ei);
    }
    if (rc == 0) {
        rc = media_json_int(params, "epoch", 0, INT64_MAX, &out->epoch, ei);
    }
    if (rc == 0) {
        rc = media_json_int(params, "at", 0, INT64_MAX / 2, &out->at_s, ei);
    }
    if (rc == MEDIA_E_GONE) {
        rc = media_err_set(ei, MEDIA_E_REJECT, "the notification has no epoch or time");
    }
    if (rc == 0) {
        rc = output_read(params, out, ei);
    }
    return rc != 0 ? rc : error_read(params, out, ei);
}
