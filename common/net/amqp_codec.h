/*
 * amqp_codec.h - AMQP 0-9-1 frames into an output buffer
 *
 * librabbitmq's own I/O blocks: in connects, in every RPC, in every write to a broker that stopped
 * reading. So only its encoder and decoder are used; the bytes travel through libevent. Source:
 * AMQP 0-9-1 specification, section 4.2.
 */
#ifndef MTC_AMQP_CODEC_H
#define MTC_AMQP_CODEC_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/framing.h>
#else
#include <amqp.h>
#include <amqp_framing.h>
#endif

struct evbuffer;

/* What we ask for in connection.tune; also the largest set of message headers that fits. */
#define AMQP_FRAME_BYTES 65536

/* The eight bytes that open a connection. */
void amqp_put_protocol_header(struct evbuffer *out);
void amqp_put_heartbeat(struct evbuffer *out);

/* False: the method (or the header) does not fit into a frame; nothing was added. */
bool amqp_put_method(struct evbuffer *out, uint16_t channel, amqp_method_number_t id,
                     void *decoded);

/* basic.publish, its header and its body in frames of at most frame_max bytes. */
bool amqp_put_publish(struct evbuffer *out, uint16_t channel, uint32_t frame_max,
                      amqp_basic_publish_t *publish, amqp_basic_properties_t *properties,
                      const void *body, size_t len);

static inline amqp_bytes_t amqp_text(const char *text)
{
    union { /* the library's type is not const, and nobody writes through it */
        const char *text;
        void *bytes;
    } same = {.text = text};
    return (amqp_bytes_t){.len = strlen(text), .bytes = same.bytes};
}

bool amqp_bytes_equal_text(amqp_bytes_t bytes, const char *text);

/* Value of a header, or NULL. */
const amqp_field_value_t *amqp_header_get(const amqp_basic_properties_t *properties,
                                          const char *name);

/* Value of any integer type; false for another type. */
bool amqp_field_int(const amqp_field_value_t *value, int64_t *out);

#endif
