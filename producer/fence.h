/*
 * fence.h - what an earlier relay still has on its way is refused by the broker
 *
 * A relay that was stopped, and replaced, may have events on their way in its own memory, in its
 * kernel and in the network; so has a channel that was given up. Nobody can call them back, and
 * they could arrive after their successor's. So every channel the active relay publishes on has a
 * term, and every term an exchange of its own, mtc.relay.<term>, bound to mtc.partitions. A new
 * term first deletes the exchanges of those before it: what comes for them later is answered with
 * 404 and its channel closed.
 *
 *   NONE --channel, session--> ASKED --number--> FENCING --broker--> FENCED --recorded--> OPEN
 *
 * The number comes from the session that holds the lock (mtc.begin_term()), so who has lost the
 * lock can't begin a term. Nothing is read before the term is open: the rows a relay has at hand
 * were read in its term, and its exchange exists no more once another has begun.
 *
 * Called by relay.c. Source: RabbitMQ, "AMQP 0-9-1 errata": a basic.publish to an exchange that
 * does not exist closes the channel; exchange.bind is https://www.rabbitmq.com/docs/e2e
 */
#ifndef MTC_FENCE_H
#define MTC_FENCE_H

#include "suite/election.h"
#include "suite/publisher.h"

#include <stdbool.h>

struct fence;

/* on_open: the publisher may be used, and publishes events to this exchange (borrowed). */
struct fence_events {
    void (*on_open)(struct publisher *publisher, const char *exchange, void *arg);
    void (*on_idle)(void *arg); /* the session is idle again, or fence_run() has work */
};

struct fence *fence_new(struct election *election, const struct fence_events *events, void *arg);
void fence_free(struct fence *fence); /* NULL is fine */

/* Sends the statement that is next, if one is: then true. Only while election_is_idle(). */
bool fence_run(struct fence *fence);

void fence_on_publisher_ready(struct fence *fence, struct publisher *publisher);
void fence_on_publisher_lost(struct fence *fence);

/* The session is lost, and the term with it; the publisher may still be there. */
void fence_on_session_lost(struct fence *fence);

#endif
