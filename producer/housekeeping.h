/*
 * housekeeping.h - what the active relay does for the outbox besides relaying: tick and sweep
 *
 *   mtc.tick()   every 5 s: what the database wants to have done regularly; it also says how old
 *                the oldest event is that still waits
 *   mtc.sweep()  after each tick, in bites, from the old end of the ledger to the young one: what
 *                is older than the retention is deleted; 250 ms lie between bites
 *
 * Called by the relay when nothing more urgent is to be done. A statement that fails ends the
 * session, but for the tick, whose failure is logged: it is the adapter's code, and must not stop
 * the relay.
 */
#ifndef MTC_HOUSEKEEPING_H
#define MTC_HOUSEKEEPING_H

#include "suite/election.h"

#include <stdbool.h>
#include <stdint.h>

struct housekeeping;

struct housekeeping_events {
    /* There may be rows. oldest_us: when the oldest unpublished one was made; 0: there is none. */
    void (*on_ticked)(int64_t oldest_us, void *arg);
    void (*on_swept)(void *arg);
};

struct housekeeping *housekeeping_new(struct election *election, int64_t retention_s,
                                      const struct housekeeping_events *events, void *arg);
void housekeeping_free(struct housekeeping *housekeeping); /* NULL is fine */

/*
 * Sends the statement that is due, if one is: then true, and an event follows unless the session
 * is lost. To be called only while election_is_idle(). awake: what emit knows of the relay runs out
 * and is told again with the tick.
 */
bool housekeeping_run(struct housekeeping *housekeeping, bool awake, int64_t now);

/* When the next bite is due; INT64_MAX: not before the next tick. */
int64_t housekeeping_sweep_at(const struct housekeeping *housekeeping);

#endif
