/*
 * breaker.h - shall a route be asked at all?
 *
 *   closed      everything goes. A streak is a run of failures with no sign of life between them.
 *   open        nothing goes but one probe at a time, with growing, jittered pauses.
 *   half-open   the probe is under way.
 *
 * It opens when as many failures of a streak as `failures` accuse the destination, or as many of
 * whatever kind come from several machines (three, or all there are if those are two). One machine
 * alone, whatever else it gets, never opens it: that is what a poison event looks like. It closes
 * with the first sign of life, and then lets requests in one by one more (a ramp), so that what has
 * piled up does not knock the destination over again.
 *
 * It spares the destination and says that there is an outage; it convicts nobody (blame.h).
 *
 * Source: M. Nygard, "Release It!", 2nd ed., 5.2 "Circuit Breaker".
 */
#ifndef MTC_BREAKER_H
#define MTC_BREAKER_H

#include "base/backoff.h"

#include <stdbool.h>
#include <stdint.h>

/* What an answer says of the destination. */
enum breaker_sign {
    SIGN_OF_LIFE,    /* it did its work, whatever it thought of the event */
    SIGN_OF_TROUBLE, /* it, or this event, is in trouble */
    SIGN_OF_ABSENCE, /* nobody was there, or nobody who wants us */
};

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

#define BREAKER_MACHINES 3

struct breaker {
    enum breaker_state state;
    int failures_to_open; /* set by the owner, as are the pauses */
    struct backoff pauses;
    int failures;                        /* in this streak */
    uint64_t machines[BREAKER_MACHINES]; /* fingerprints of those that failed in it */
    int machine_count;
    int absences;        /* of them SIGN_OF_ABSENCE */
    int64_t probe_at_ms; /* open: when the next probe may go */
    int ramp;            /* requests allowed at once; 0: no limit */
    int ramp_full;
};

void breaker_init(struct breaker *breaker, int failures_to_open, int64_t pause_min_ms,
                  int64_t pause_max_ms, int connections);

/*
 * Tells the result of a request. `machine` is any fingerprint of the machine, `machines_waiting`
 * how many have something to send by this route. Returns true if the breaker opened just now.
 */
bool breaker_tell(struct breaker *breaker, enum breaker_sign sign, uint64_t machine,
                  int machines_waiting, int64_t now_ms);

/*
 * May another request go, `under_way` being out already? In the open state this is true once per
 * probe.
 */
bool breaker_allows(const struct breaker *breaker, int under_way, int64_t now_ms);

/* It goes. */
void breaker_on_start(struct breaker *breaker);

#endif
