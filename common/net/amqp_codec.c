/* amqp_codec.c - AMQP 0-9-1 frames into an output buffer; see amqp_codec.h */
#include "net/amqp_codec.h"

#include <event2/buffer.h>
#include <string.h>

#define FRAME_HEAD 7
#define FRAME_END  0xCE

static void put_u16(unsigned char *at, uint16_t value)
{
    at[0] = (unsigned char)(value >> 8);
    at[1] = (unsigned char)value;
}

static void put_u32(unsigned char *at, uint32_t value)
{
    put_u16(at, (uint16_t)(value >> 16));
    put_u16(at + 2, (uint16_t)value);
}

static void put_frame_head(unsigned char *at, unsigned char type, uint16_t channel, size_t payload)
{
    at[0] = type;
    put_u16(at + 1, channel);
    put_u32(at + 3, (uint32_t)payload);
}

void amqp_put_protocol_header(struct evbuffer *out)
{
    evbuffer_add(out, "AMQP\0\0\x09\x01", 8);
}

void amqp_put_heartbeat(struct evbuffer *out)
{
    unsigned char frame[FRAME_HEAD + 1];
    put_frame_head(frame, AMQP_FRAME_HEARTBEAT, 0, 0);
    frame[FRAME_HEAD] = FRAME_END;
    evbuffer_add(out, frame, sizeof frame);
}

/* A method frame at `at`; its size, or 0 if it does not fit. */
static size_t encode_method(unsigned char *at, size_t room, uint16_t channel,
                            amqp_method_number_t id, void *decoded)
{
    if (room < FRAME_HEAD + 5)
        return 0;
    amqp_bytes_t arguments = {.bytes = at + FRAME_HEAD + 4, .len = room - FRAME_HEAD - 5};
    int len = amqp_encode_method(id, decoded, arguments);
    if (len < 0)
        return 0;
    put_frame_head(at, AMQP_FRAME_METHOD, channel, (size_t)len + 4);
    put_u32(at + FRAME_HEAD, id);
    at[FRAME_HEAD + 4 + len] = FRAME_END;
    return FRAME_HEAD + 5 + (size_t)len;
}

static size_t encode_header(unsigned char *at, size_t room, uint16_t channel,
                            amqp_basic_properties_t *properties, size_t body_len)
{
    if (room < FRAME_HEAD + 13)
        return 0;
    amqp_bytes_t encoded = {.bytes = at + FRAME_HEAD + 12, .len = room - FRAME_HEAD - 13};
    int len = amqp_encode_properties(AMQP_BASIC_CLASS, properties, encoded);
    if (len < 0)
        return 0;
    put_frame_head(at, AMQP_FRAME_HEADER, channel, (size_t)len + 12);
    put_u16(at + FRAME_HEAD, AMQP_BASIC_CLASS);
    put_u16(at + FRAME_HEAD + 2, 0);
    put_u32(at + FRAME_HEAD + 4, (uint32_t)((uint64_t)body_len >> 32));
    put_u32(at + FRAME_HEAD + 8, (uint32_t)body_len);
    at[FRAME_HEAD + 12 + len] = FRAME_END;
    return FRAME_HEAD + 13 + (size_t)len;
}

bool amqp_put_method(struct evbuffer *out, uint16_t channel, amqp_method_number_t id, void *decoded)
{
    unsigned char frame[8192];
    size_t len = encode_method(frame, sizeof frame, channel, id, decoded);
    if (len == 0)
        return false;
    evbuffer_add(out, frame, len);
    return true;
}

static void put_body(struct evbuffer *out, uint16_t channel, uint32_t frame_max,
                     const unsigned char *body, size_t len)
{
    size_t most = frame_max - FRAME_HEAD - 1;
    while (len > 0) {
        size_t part = len < most ? len : most;
        unsigned char head[FRAME_HEAD], end = FRAME_END;
        put_frame_head(head, AMQP_FRAME_BODY, channel, part);
        evbuffer_add(out, head, sizeof head);
        evbuffer_add(out, body, part);
        evbuffer_add(out, &end, 1);
        body += part;
        len -= part;
    }
}

bool amqp_put_publish(struct evbuffer *out, uint16_t channel, uint32_t frame_max,
                      amqp_basic_publish_t *publish, amqp_basic_properties_t *properties,
                      const void *body, size_t len)
{
    static unsigned char frames
        [AMQP_FRAME_BYTES]; /* single-threaded by design; too large for comfort on the stack */
    size_t room = frame_max < sizeof frames ? frame_max : sizeof frames;
    size_t method = encode_method(frames, room, channel, AMQP_BASIC_PUBLISH_METHOD, publish);
    size_t header = method ? encode_header(frames + method, room - method, channel, properties, len)
                           : 0;
    if (header == 0)
        return false;
    evbuffer_add(out, frames, method + header);
    put_body(out, channel, frame_max, body, len);
    return true;
}

bool amqp_bytes_equal_text(amqp_bytes_t bytes, const char *text)
{
    return bytes.len == strlen(text) && memcmp(bytes.bytes, text, bytes.len) == 0;
}

const amqp_field_value_t *amqp_header_get(const amqp_basic_properties_t *properties,
                                          const char *name)
{
    if (!(properties->_flags & AMQP_BASIC_HEADERS_FLAG))
        return NULL;
    for (int i = 0; i < properties->headers.num_entries; i++) {
        if (amqp_bytes_equal_text(properties->headers.entries[i].key, name))
            return &properties->headers.entries[i].value;
    }
    return NULL;
}

bool amqp_field_int(const amqp_field_value_t *value, int64_t *out)
{
    switch (value->kind) {
    case AMQP_FIELD_KIND_I8:
        *out = (int64_t)value->value.i8;
        /* the sign is wanted */ // NOLINT(bugprone-signed-char-misuse)
        return true;
    case AMQP_FIELD_KIND_U8:
        *out = value->value.u8;
        return true;
    case AMQP_FIELD_KIND_I16:
        *out = value->value.i16;
        return true;
    case AMQP_FIELD_KIND_U16:
        *out = value->value.u16;
        return true;
    case AMQP_FIELD_KIND_I32:
        *out = value->value.i32;
        return true;
    case AMQP_FIELD_KIND_U32:
        *out = value->value.u32;
        return true;
    case AMQP_FIELD_KIND_I64:
        *out = value->value.i64;
        return true;
    default:
        return false;
    }
}
