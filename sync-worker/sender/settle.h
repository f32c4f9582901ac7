/*
 * settle.h - an event's fate is known: tell it, then let go of the event
 *
 * In this order:
 *   - the sent key goes to Redis,
 *   - the dead letter to mtc.dead,
 *   - the outcome (in batches) to mtc.outcomes.
 *
 * When the broker has confirmed all of that and Redis has answered (or can't), the event is
 * settled, and its delivery may be acked. Whoever dies in between leaves an unacked delivery, and a
 * redelivery that finds its sent key.
 *
 * Where the publisher is lost, events are settled all the same, untold: its owner sees to it that
 * none of them is ours to ack any more, before it says settle_on_publisher_lost().
 */
#ifndef MTC_SETTLE_H
#define MTC_SETTLE_H

#include "held.h"
#include "sent_key.h"
#include "base/loop.h"
#include "suite/program_metrics.h"
#include "suite/publisher.h"

struct settle;

struct settle_settings { /* borrowed */
    struct loop *loop;
    struct publisher *publisher;
    struct sent_keys *sent_keys;
    const struct sender_metrics *metrics;
    int batch_max;    /* most outcomes in one message */
    int64_t delay_ms; /* how long the first of a batch waits for company */
};

/* on_settled: all has been told; the event is the callee's, to be acked and freed. */
struct settle *settle_new(const struct settle_settings *settings,
                          void (*on_settled)(struct held *held, void *arg), void *arg);
/* The publisher is lost, and no answer of Redis will come any more. NULL is fine. */
void settle_free(struct settle *settle);

/* Each takes the event over. `skipped`: it was found to have been delivered before. */
void settle_delivered(struct settle *settle, struct held *held, bool skipped);
void settle_dead(struct settle *settle, struct held *held); /* held->reason says why */

/* It was delivered, but is no longer ours: only its sent key is written. */
void settle_orphan(struct settle *settle, struct held *held);

/*
 * A message without a usable envelope: goes to mtc.dead as it is, with the reason. If it says which
 * row of the outbox it is, the ledger hears of it.
 */
void settle_unreadable(struct settle *settle, struct held *held,
                       const amqp_basic_properties_t *properties, const char *reason);

/* What waits for company waits no more: it is forgotten (the broker redelivers). */
void settle_on_publisher_lost(struct settle *settle);

/* Sends what waits for company now. */
void settle_flush(struct settle *settle);

#endif
