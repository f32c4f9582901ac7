/*
 * amqp_chan.h - channels: calls, publishing with confirms, consuming
 *
 * A call is sent at once and its answer comes by callback; calls on a channel are answered in
 * order, so a whole topology is declared in one round trip. A call the broker refuses closes the
 * channel: on_closed then says why.
 */
#ifndef MTC_AMQP_CHAN_H
#define MTC_AMQP_CHAN_H

#include "net/amqp_conn.h"

struct amqp_chan;

struct amqp_incoming { /* a delivered or returned message; all borrowed during the callback */
    uint64_t delivery_tag;
    bool redelivered;
    amqp_bytes_t consumer_tag, exchange, routing_key;
    int reply_code;          /* returned messages */
    amqp_bytes_t reply_text; /* returned messages */
    amqp_basic_properties_t *properties;
    char *
        body; /* malloc'ed, NUL-terminated besides; the callback may keep it by setting this NULL */
    size_t len;
};

struct amqp_chan_events { /* each may be NULL but on_closed */
    void (*on_open)(struct amqp_chan *chan, void *arg);
    /* The broker closed it (code != 0), or amqp_chan_close() is done (code 0). The channel is freed
     * after this. */
    void (*on_closed)(struct amqp_chan *chan, int code, const char *text, void *arg);
    void (*on_delivery)(struct amqp_chan *chan, struct amqp_incoming *incoming, void *arg);
    void (*on_confirm)(struct amqp_chan *chan, uint64_t tag, bool multiple, bool ack, void *arg);
    void (*on_return)(struct amqp_chan *chan, struct amqp_incoming *incoming, void *arg);
    void (*on_cancelled)(struct amqp_chan *chan, void *arg); /* the broker took the queue away */
};

/* NULL if the connection is not up or has no channel number left. */
struct amqp_chan *amqp_chan_open(struct amqp_conn *conn, const struct amqp_chan_events *events,
                                 void *arg);

/* Unacked deliveries go back to the broker in order, oldest first. on_closed(…, 0, …) follows. */
void amqp_chan_close(struct amqp_chan *chan);

typedef void (*amqp_reply)(struct amqp_chan *chan, const amqp_method_t *reply, void *arg);

/* Sends a method that is answered by reply_id; on_reply may be NULL. */
void amqp_chan_call(struct amqp_chan *chan, amqp_method_number_t id, void *decoded,
                    amqp_method_number_t reply_id, amqp_reply on_reply, void *arg);

/* Puts the channel into confirm mode; publishing tags count from 1 after it. */
void amqp_chan_confirm_select(struct amqp_chan *chan);

/*
 * Publishes, mandatory. Returns the tag its confirm will carry, if the channel is in confirm mode,
 * or 0 if the properties do not fit into a frame: then nothing was sent.
 */
uint64_t amqp_chan_publish(struct amqp_chan *chan, const char *exchange, amqp_bytes_t routing_key,
                           amqp_basic_properties_t *properties, const void *body, size_t len);

void amqp_chan_consume(struct amqp_chan *chan, const char *queue, const char *consumer_tag,
                       uint16_t prefetch, int32_t priority, amqp_reply on_reply, void *arg);
/*
 * Takes one message, unacked: on_reply gets AMQP_BASIC_GET_OK_METHOD, and on_delivery the message
 * behind it, or AMQP_BASIC_GET_EMPTY_METHOD.
 */
void amqp_chan_get(struct amqp_chan *chan, const char *queue, amqp_reply on_reply, void *arg);
void amqp_chan_ack(struct amqp_chan *chan, uint64_t delivery_tag, bool multiple);
/* The broker dead-letters it, if the queue has where to. */
void amqp_chan_reject(struct amqp_chan *chan, uint64_t delivery_tag);

/* From now on a delivery whose body is longer comes without it, body NULL and len as announced: it
 * is never whole in memory. 0, which is so at first: every body is kept. */
void amqp_chan_bound_bodies(struct amqp_chan *chan, size_t most);

struct amqp_conn *amqp_chan_conn(const struct amqp_chan *chan);

#endif
