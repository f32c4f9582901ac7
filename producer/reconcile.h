/*
 * reconcile.h - rounds of markers, which find what the broker has lost
 *
 * What is published, and neither in its partition nor in a sender's hands nor told, is lost: the
 * queue was purged or deleted, the broker made anew. Every `period` the active relay begins a
 * round: it notes which published rows have no outcome yet (mtc.note_unsettled), then sends a
 * marker through each partition, on the channel and by the exchange the events go. What comes out
 * of it is the ledger's business (answers.h).
 *
 *   WAITING --due--> ASKED --due--> NOTING --all--> SENDING --number--> WAITING
 *      ^-----------not due-'
 *
 * Right after an alarm no round begins: while it lasted the broker may not have read heartbeats,
 * so a producer that is frozen may still have outcomes in hand.
 *
 * Called by relay.c when nothing more urgent is to be done. A statement that fails ends the
 * session.
 */
#ifndef MTC_RECONCILE_H
#define MTC_RECONCILE_H

#include "suite/election.h"
#include "suite/program_metrics.h"
#include "suite/publisher.h"

#include <stdbool.h>
#include <stdint.h>

struct reconcile;

struct reconcile_settings { /* borrowed */
    struct election *election;
    const struct producer_metrics *metrics;
    int64_t period_s; /* 0: no rounds */
    int partitions;
};

/* on_idle: the session is idle again. */
struct reconcile *reconcile_new(const struct reconcile_settings *settings,
                                void (*on_idle)(void *arg), void *arg);
void reconcile_free(struct reconcile *reconcile); /* NULL is fine */

/* Sends the statement that is due, if one is: then true. Only while election_is_idle(). */
bool reconcile_run(struct reconcile *reconcile, int64_t now);

/* When that is to be asked again, in mono_ms(); INT64_MAX: not for now. */
int64_t reconcile_due_at(const struct reconcile *reconcile);

/* A term has begun: markers go by this publisher to this exchange, both borrowed. Those of before
 * may be lost with what carried them. */
void reconcile_on_open(struct reconcile *reconcile, struct publisher *publisher,
                       const char *exchange);
/* Somebody has asked for a round (mtc.ask_round()). */
void reconcile_on_asked(struct reconcile *reconcile);

/* The channel is lost, or the session: the round under way is given up. */
void reconcile_on_lost(struct reconcile *reconcile);

#endif
