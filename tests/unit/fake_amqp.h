/*
 * fake_amqp.h - a broker that does what a test tells it, behind the interface of net/amqp_conn.h
 * and net/amqp_chan.h
 *
 * Linked in the place of common/net: what stands on that layer is tested without a socket, and each
 * answer of the broker comes when the test says so.
 */
#ifndef FAKE_AMQP_H
#define FAKE_AMQP_H

#include "net/amqp_chan.h"

#define FAKE_MAX 64

struct fake_message {
    uint64_t tag;
    char exchange[64], key[64], reason[128], body[128];
    bool repeat; /* the header is there */
};

/* One connection, its channels in the order they were opened. */
struct amqp_conn *fake_conn_new(void);
void fake_conn_free(struct amqp_conn *conn);
const char *fake_conn_failed(const struct amqp_conn *conn); /* the reason given, or "" */
void fake_conn_block(struct amqp_conn *conn, bool blocked);
int fake_conn_channels(const struct amqp_conn *conn); /* opened so far */
struct amqp_chan *fake_conn_channel(struct amqp_conn *conn, int n);

/* What was done on a channel. */
int fake_published(const struct amqp_chan *chan, const struct fake_message **messages);
int fake_acked(const struct amqp_chan *chan, const uint64_t **tags);
int fake_rejected(const struct amqp_chan *chan, const uint64_t **tags);
const char *fake_consumed(const struct amqp_chan *chan); /* the queue, or "" */
/* Calls about exchanges, in their order: "delete a, declare b, bind b to c, ". */
const char *fake_exchange_calls(const struct amqp_chan *chan);
bool fake_is_closing(const struct amqp_chan *chan);

/* What the broker does. */
void fake_answer(struct amqp_conn *conn); /* good answers to all calls, until there are none */
void fake_confirm(struct amqp_chan *chan, uint64_t tag, bool multiple, bool ack);
void fake_deliver(struct amqp_chan *chan, uint64_t tag, const char *body);
void fake_deliver_with(struct amqp_chan *chan, uint64_t tag, amqp_basic_properties_t *properties,
                       const char *body);
/* One past amqp_chan_bound_bodies(): it comes without its body. */
void fake_deliver_large(struct amqp_chan *chan, uint64_t tag, size_t len);
void fake_cancel(struct amqp_chan *chan);
void fake_return(struct amqp_chan *chan, int code, const char *text);
void fake_close(struct amqp_chan *chan, int code, const char *text);

#endif
