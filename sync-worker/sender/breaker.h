/*
 * breaker.h - is it the destination or the event?
 *
 *   closed      everything goes. A streak is a run of failures with no sign of life between them.
 *   open        nothing goes but one probe at a time, with growing, jittered pauses. Attempts don't
 *               count.
 *   half-open   the probe is under way.
 *
 * It opens
 *   - at once when we are refused (401, 403, 407, 3xx), and
 *   - when a streak reaches `failures` and the destination is unreachable, or several machines
 *     (three, or all there are if those are two) failed in it.
 *
 * One machine alone, whatever it gets short of that, never opens it: that is what a poison event
 * looks like. It closes with the first sign of life, and then lets requests in one by one more (a
 * ramp), so that what has piled up does not knock the destination over again.
 *
 * Source: M. Nygard, "Release It!", 2nd ed., 5.2 "Circuit Breaker".
 */
#ifndef MTC_BREAKER_H
#define MTC_BREAKER_H

#include "verdict.h"
#include "base/backoff.h"

#include <stdbool.h>
#include <stdint.h>

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

#define BREAKER_MACHINES 3

struct breaker {
    enum breaker_state state;
    int failures_to_open; /* set by the owner, as are the pauses */
    struct backoff pauses;
    uint64_t streak;                     /* number of the streak; a sign of life begins another */
    int failures;                        /* in this streak */
    uint64_t machines[BREAKER_MACHINES]; /* fingerprints of those that failed in it */
    int machine_count;
    bool unreachable;    /* somebody found nobody there in it */
    int64_t probe_at_ms; /* open: when the next probe may go */
    int ramp;            /* requests allowed at once; 0: no limit */
    int ramp_full;
};

void breaker_init(struct breaker *breaker, int failures_to_open, int64_t pause_min_ms,
                  int64_t pause_max_ms, int connections);

/*
 * Tells the result of a request. `machine` is any fingerprint of the machine, `machines_waiting`
 * how many have something to send. Returns true if the breaker opened just now.
 */
bool breaker_tell(struct breaker *breaker, enum evidence evidence, uint64_t machine,
                  int machines_waiting, int64_t now_ms);

/*
 * May another request go, `under_way` being out already? In the open state this is true once per
 * probe.
 */
bool breaker_allows(const struct breaker *breaker, int under_way, int64_t now_ms);

/* It goes. */
void breaker_on_start(struct breaker *breaker);

#endif
