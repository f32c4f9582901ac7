/*
 * relay.h - the outbox, read in order and published with confirms
 *
 * At most one relay is active per database (suite/election.h); the others stand by. The active one
 * reads rows, publishes them, and marks those the broker has confirmed. It decides what comes next;
 * when to read is pace.h's business, and what else the outbox needs housekeeping.h's.
 *
 * Responsibility for an event passes from PostgreSQL to RabbitMQ at the publisher confirm: only
 * then is its row marked, and a row that is not marked is read and published again, by whoever is
 * active then. What may have been published before carries the header `repeat` (repeats.h), so that
 * the sender looks for its sent key first.
 *
 * What a relay that was replaced still has on its way is refused by the broker (fence.h).
 *
 * Called by producer.c. A database that fails costs the session, which comes back by itself.
 */
#ifndef MTC_RELAY_H
#define MTC_RELAY_H

#include "suite/program_metrics.h"
#include "suite/publisher.h"
#include "suite/service.h"

struct relay;

/* Both are borrowed. NULL with a message if the connection string can't be parsed. */
struct relay *relay_new(const struct service *service, const struct producer_metrics *metrics,
                        char *error, size_t error_size);
void relay_free(struct relay *relay); /* NULL is fine */

/* Events can be published; nobody else may use this publisher, whose tags count rows. */
void relay_on_publisher_ready(struct relay *relay, struct publisher *publisher);
void relay_on_publisher_lost(struct relay *relay);
void relay_on_confirmed(struct relay *relay, uint64_t tag, bool multiple);
/* The broker may take publishing again. */
void relay_wake(struct relay *relay);

/* Reads nothing more. on_drained: all that was published is confirmed and marked, or can't be. */
void relay_drain(struct relay *relay, void (*on_drained)(void *arg), void *arg);

/* When the oldest event was made that is not published, microseconds of UTC; 0: there is none, or
 * this process is not active. */
int64_t relay_oldest_us(const struct relay *relay);

bool relay_is_connected(const struct relay *relay);

#endif
