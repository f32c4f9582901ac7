/*
 * envelope.h - an event on the broker
 *
 * The message body is the HTTP body, byte for byte; everything the suite itself needs stands beside
 * it:
 *
 *   message_id        event id (UUID): the idempotency key
 *   type              event type, e.g. setup.started
 *   timestamp         when it occurred, seconds
 *   header machine    MTConnect's name of the machine: routing key, lane
 *   header kind       setup, event, ...: what the outbox calls it
 *   header path       where it goes: the adapter's decision, e.g. /api/ext/setup
 *   header seq        outbox row (absent if the message did not come from an outbox)
 *   header created_us when the row was written, microseconds of UTC
 *   header repeat     true: may have been published before; look for its sent key
 *   header again     true: sent again on purpose, whatever was delivered before
 *   header requeues  how often an operator has put it back; absent: never
 *   header traceparent  W3C Trace Context, if there is one
 */
#ifndef MTC_ENVELOPE_H
#define MTC_ENVELOPE_H

#include "net/amqp_codec.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct envelope { /* strings are borrowed; NULL where absent */
    const char *event_id, *machine, *kind, *type, *path, *traceparent;
    int64_t occurred_s;
    int64_t seq; /* 0: none */
    int64_t created_us;
    int64_t requeues;
    bool repeat, again;
};

#define ENVELOPE_HEADERS 16

/* Message properties made from an envelope; `headers` may be extended by the caller up to
 * ENVELOPE_HEADERS. */
struct envelope_properties {
    amqp_basic_properties_t properties;
    amqp_table_entry_t headers[ENVELOPE_HEADERS];
};
void envelope_write(const struct envelope *envelope, struct envelope_properties *out);
void envelope_add_text(struct envelope_properties *out, const char *key, const char *value);
void envelope_add_int(struct envelope_properties *out, const char *key, int64_t value);

/*
 * The other way. The strings are copied, NUL-terminated, into `room` (ENVELOPE_ROOM bytes are
 * enough for every envelope that is accepted). On failure false, with what is wrong in *error (a
 * string constant): the event then can't be sent. What could be read is filled in all the same.
 */
#define ENVELOPE_ROOM 2048
bool envelope_read(const amqp_basic_properties_t *properties, struct envelope *out,
                   char room[ENVELOPE_ROOM], const char **error);

#endif
