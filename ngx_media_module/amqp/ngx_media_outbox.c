
/*
 * What a statement wrote to the outbox, on its way to RabbitMQ: handed to the
 * publisher at once; what it declines the janitor sends.
 */


#include "ngx_media.h"
#include "ngx_media_request.h"
#include <jansson.h>


void
ngx_media_outbox_publish(ngx_str_t *outbox)
{
    size_t                  i;
    json_t                 *root, *row, *id, *queue, *message;
    ngx_media_amqp_item_t   item;

    if (outbox->len == 0) {
        return;
    }

    root = json_loadb((char *) outbox->data, outbox->len, 0, NULL);

    json_array_foreach(root, i, row) {
        id = json_object_get(row, "id");
        queue = json_object_get(row, "queue");
        message = json_object_get(row, "message");

        if (!json_is_string(id) || !json_is_string(queue)
            || !json_is_string(message))
        {
            continue;
        }

        item.outbox_id = ngx_atoof((u_char *) json_string_value(id),
                                   json_string_length(id));
        item.queue.data = (u_char *) json_string_value(queue);
        item.queue.len = json_string_length(queue);
        item.message.data = (u_char *) json_string_value(message);
        item.message.len = json_string_length(message);

        if (!ngx_media_fault("upload", "publish", NULL)) {
            (void) ngx_media_amqp_publish(&item);
        }
    }

    json_decref(root);
}
