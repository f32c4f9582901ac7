#include "unit.h"
#include "journey.h"
#include "base/xalloc.h"

#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

static struct journey travel(struct evbuffer *buffer)
{
    struct journey journey = {.peer = amqp_new_connection()};
    size_t size = evbuffer_get_length(buffer);
    char *bytes = xmalloc(size + 1), *body = xmalloc(size + 1);
    evbuffer_remove(buffer, bytes, size);
    amqp_bytes_t left = {.bytes = bytes, .len = size};
    while (left.len) {
        amqp_frame_t frame = {.frame_type = 0};
        size_t piece = left.len > 7 ? 7 : left.len; /* in small pieces, as a network might */
        int used = amqp_handle_input(journey.peer,
                                     (amqp_bytes_t){.bytes = left.bytes, .len = piece}, &frame);
        assert_true(used > 0);
        left.bytes = (char *)left.bytes + used;
        left.len -= (size_t)used;
        journey.frames += frame.frame_type != 0;
        if (frame.frame_type == AMQP_FRAME_HEADER)
            journey.properties = frame.payload.properties.decoded;
        if (frame.frame_type == AMQP_FRAME_BODY) {
            memcpy(body + journey.len, frame.payload.body_fragment.bytes,
                   frame.payload.body_fragment.len);
            journey.len += frame.payload.body_fragment.len;
        }
    }
    free(bytes);
    journey.body = body;
    return journey;
}

void journey_end(struct journey *journey)
{
    free(journey->body);
    amqp_destroy_connection(journey->peer);
}

struct journey journey_make(amqp_basic_properties_t *properties, const void *body, size_t len)
{
    struct evbuffer *buffer = evbuffer_new();
    amqp_basic_publish_t publish = {.exchange = amqp_text("mtc.events"),
                                    .routing_key = amqp_text("SR-26")};
    assert_true(amqp_put_publish(buffer, 1, 4096, &publish, properties, body, len));
    struct journey journey = travel(buffer);
    evbuffer_free(buffer);
    return journey;
}
