/*
 * settle.h - an event's fate is known: tell it, then let go of the event
 *
 * In this order: the sent key goes to Redis, the dead letter to mtc.dead and the outcome (in
 * batches) to mtc.outcomes; when the broker has confirmed all of that and Redis has answered (or
 * can't), the delivery is acked. Whoever dies in between leaves an unacked delivery, and a
 * redelivery that finds its sent key.
 */
#ifndef MTC_SETTLE_H
#define MTC_SETTLE_H

#include "sender.h"

#define SENT_KEY_PREFIX "mtc:sent:"

struct settle;

struct settle *settle_new(struct sender *sender);
void settle_free(struct settle *settle);

/* Each takes the event over. `skipped`: it was found to have been delivered before. */
void settle_delivered(struct settle *settle, struct held *held, bool skipped);
void settle_dead(struct settle *settle, struct held *held); /* held->reason says why */

/* It was delivered, but is no longer ours: only its sent key is written. */
void settle_orphan(struct settle *settle, struct held *held);

/* A message without a usable envelope: goes to mtc.dead as it is, with the reason. */
void settle_unreadable(struct settle *settle, struct partition *partition,
                       const struct amqp_incoming *incoming, const char *reason);

/* From the publishing channel; its loss forgets everything (the broker redelivers). */
void settle_on_confirm(struct settle *settle, uint64_t tag, bool multiple);
void settle_on_channel_down(struct settle *settle);

/* Sends what waits for company now. */
void settle_flush(struct settle *settle);

#endif
