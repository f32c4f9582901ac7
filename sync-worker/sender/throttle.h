/*
 * throttle.h - how much MTConnect takes at once, found out by its 429s
 *
 * A 429 accuses no event: it says that all of us together ask too much. Retry-After then binds
 * everything that is to be sent, and the most requests at once are halved; each success raises them
 * by one in so many, so by about one a round trip, until all connections may be used again.
 *
 * Requests that went out before a cut are not taken for news after it: one burst that is refused is
 * one cut.
 *
 * A 429 may also be one machine's own, where MTConnect counts by machine: an event that gets it
 * THROTTLE_OWN times in a row waits alone from then on, as long as it was told to.
 *
 * Pure: no clock, no I/O. Source: additive increase, multiplicative decrease, Chiu and Jain,
 * "Analysis of the Increase and Decrease Algorithms for Congestion Avoidance in Computer Networks",
 * 1989; 429 and Retry-After: RFC 6585, section 4.
 */
#ifndef MTC_THROTTLE_H
#define MTC_THROTTLE_H

#include "base/backoff.h"

#include <stdbool.h>
#include <stdint.h>

#define THROTTLE_OWN 3

struct throttle {
    int most;       /* connections */
    double limit;   /* requests at once, 1 .. most */
    int64_t cut_ms; /* when it was cut last */
    int64_t hold_until_ms;
    struct backoff pauses; /* where MTConnect names none */
};

void throttle_init(struct throttle *throttle, int connections);

/* May another request go, `under_way` being out already? */
bool throttle_allows(const struct throttle *throttle, int under_way, int64_t now_ms);

/* Until when nothing at all may go; 0: it may. */
int64_t throttle_holds_until(const struct throttle *throttle, int64_t now_ms);

void throttle_on_taken(struct throttle *throttle);

/*
 * A request that went out at `began_ms` got 429, its event for the `times`th time in a row;
 * retry_after_ms: 0 if no time was named.
 */
void throttle_on_refused(struct throttle *throttle, int times, int64_t retry_after_ms,
                         int64_t began_ms, int64_t now_ms);

#endif
