/*
 * publisher.h - a channel on which nothing is lost without a word
 *
 * Every message is mandatory and confirmed. What may go wrong ends the connection, which comes back
 * by itself, rather than leave a doubt: a nack, a message that no queue took (it would be confirmed
 * after its return as if nothing had happened), a channel the broker closed.
 *
 * The owner of the connection tells of its ups and downs. Responsibility for a message passes to
 * the broker with its confirm: then it is on disk at a majority. Source:
 * https://www.rabbitmq.com/docs/confirms
 */
#ifndef MTC_PUBLISHER_H
#define MTC_PUBLISHER_H

#include "net/amqp_chan.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct publisher;

struct publisher_events {        /* each may be NULL */
    void (*on_ready)(void *arg); /* messages can be sent */
    /* They can't any more, and what was not confirmed may or may not be with the broker. */
    void (*on_lost)(void *arg);
    /* For who counts tags itself: this one, or all up to it. */
    void (*on_confirmed)(uint64_t tag, bool multiple, void *arg);
};

/* confirmed: the broker has it. Not confirmed: the channel is lost, and nobody knows. */
typedef void (*publisher_done)(bool confirmed, void *arg);

/* what: what is published, for messages ("a dead letter"); borrowed. */
struct publisher *publisher_new(struct amqp_conn *conn, const char *what,
                                const struct publisher_events *events, void *arg);
/* After its connection has been freed: channels know their publisher. NULL is fine; nothing is
 * called. */
void publisher_free(struct publisher *publisher);

/* The connection is up: declares the topology of this many partitions, then opens the channel. */
void publisher_declare_and_open(struct publisher *publisher, int partitions);
/* The same where the topology has been declared on this connection. */
void publisher_open(struct publisher *publisher);

/*
 * The connection is down, and the channel with it: on_lost, then done(false) for all that wait.
 * Also for a program that drains and wants nothing more of this publisher.
 */
void publisher_on_conn_down(struct publisher *publisher);

bool publisher_is_ready(const struct publisher *publisher);

/* Its channel, for a question besides (how long is a queue?), or NULL while it is not ready. */
struct amqp_chan *publisher_channel(const struct publisher *publisher);

/* The broker takes nothing for the moment (memory or disk alarm): better not to send. */
bool publisher_is_blocked(const struct publisher *publisher);

/* Bytes sent and not yet written to the socket. */
size_t publisher_unsent(const struct publisher *publisher);

/* Gives the connection up, as for a message that was refused. */
void publisher_fail(struct publisher *publisher, const char *reason);

/* Messages whose done has not been called yet. */
int publisher_waiting(const struct publisher *publisher);

/*
 * Sends; to be called only while publisher_is_ready(). Returns the message's tag, counted from 1
 * for each channel, or 0 if the properties do not fit into a frame: then nothing was sent. done is
 * called once; NULL for who counts tags itself. All is copied.
 */
uint64_t publisher_send(struct publisher *publisher, const char *exchange, const char *key,
                        amqp_basic_properties_t *properties, const void *body, size_t len,
                        publisher_done done, void *arg);

#endif
