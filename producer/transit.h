/*
 * transit.h - rows on their way from the outbox to the broker: read, published, confirmed, marked
 *
 * One statement does it all: mtc.relay_step() marks what was confirmed and reads what comes next,
 * and what it brings is published in its order, but for the rows of machines that are held
 * (quota.h), which are read again later. Rows on their way are in a list (flights.h); those that
 * may have been published before are known (repeats.h).
 *
 * Owned by the relay, which decides when the next step is due, and how many rows it may bring.
 */
#ifndef MTC_TRANSIT_H
#define MTC_TRANSIT_H

#include "suite/config.h"
#include "suite/election.h"
#include "suite/program_metrics.h"
#include "suite/publisher.h"

#include <stdbool.h>
#include <stdint.h>

struct transit;

/* on_stepped: the step is done. found: rows were published; more: there are more to be read. */
typedef void (*transit_on_stepped)(bool found, bool more, void *arg);

/* All is borrowed. */
struct transit *transit_new(struct election *election, const struct config *config,
                            const struct producer_metrics *metrics, transit_on_stepped on_stepped,
                            void *arg);
void transit_free(struct transit *transit); /* NULL is fine */

/* Most rows worth reading now; 0: nowhere to publish them, or no room. */
int transit_rows_wanted(const struct transit *transit);

/* When confirmed rows should be marked, in mono_ms(); INT64_MAX: there are none. */
int64_t transit_mark_at(const struct transit *transit);

/* Marks what is confirmed, and reads up to max_rows; to be called only while election_is_idle(). */
void transit_step(struct transit *transit, int max_rows);

/*
 * When the oldest row was made that is neither confirmed nor marked, microseconds of UTC; 0: there
 * is none. Rows that were not read yet are known by what the tick has told last (0: none).
 */
int64_t transit_oldest_us(const struct transit *transit);
void transit_on_oldest_told(struct transit *transit, int64_t created_us);

/* Nothing waits for a confirm or a mark, but for a confirm of a stopped partition. */
bool transit_is_done(const struct transit *transit);

/* Rows up to `newest` may have been published by a predecessor. */
void transit_take_over(struct transit *transit, int64_t newest);

/* The session is lost, and the right to publish with it: whoever is active next reads what is not
 * marked, as repeats. */
void transit_forget(struct transit *transit);

/* Rows may be published with this, to this exchange; both are borrowed. */
void transit_on_publisher_ready(struct transit *transit, struct publisher *publisher,
                                const char *exchange);
/* Unconfirmed rows will be read again. Confirmed ones stay to be marked. */
void transit_on_publisher_lost(struct transit *transit);
/* True if rows that had to wait may go. */
bool transit_on_confirmed(struct transit *transit, uint64_t tag, bool multiple);

/* To be called every second or so: stops partitions that confirm nothing, and gives the connection
 * up if nothing at all is confirmed. True if there is room for others now. */
bool transit_watch(struct transit *transit, int64_t now);

#endif
