/*
 * blame.h - is it the event or the route? conviction by evidence
 *
 * A route is a path of MTConnect. A failed answer accuses somebody (verdict.h); whether it counts
 * against its event is decided by evidence, which is what other machines' events met on the same
 * route.
 *
 * Evidence. The first attempt of an event testifies: it was taken, or it failed. Repeats of a
 * suspect don't, so several poison events are no alibi for one another; nor does 429.
 *
 * Proof that the route is well must be later than the event's first failure: an event of another
 * machine went out after it, at its first attempt, and was taken; and of all such first attempts at
 * most one in BLAME_FAILED_MOST failed. Proof is good for BLAME_PROOF_MS.
 *
 * What another sender has seen testifies as well, but not to everything: that it reaches MTConnect
 * does not mean that we do. So its successes are no proof for a failure that accuses the
 * destination, which may be our network, our key or our proxy; nor for any, until something of ours
 * has been taken on the route, for our address may be wrong.
 *
 * A failure
 *   - that accuses the event counts always: with proof the second such answer is final, without it
 *     the last of `attempts` counted failures;
 *   - that accuses the destination, or nobody knows whom, counts only with proof, and the last of
 *     `attempts` counted ones is final. One without proof is a probe: nothing counts, the event
 *     waits at the head of its lane and goes on trying, however long;
 *   - that accuses nobody (too much at once, see throttle.h) never counts.
 *
 * Deaths in rows. After deaths of BLAME_ROW machines on a route with no proof between, or of
 * BLAME_ROW events of one machine with none of its own taken between, it may be a broken deployment
 * or a name MTConnect does not know. Deaths there then slow down to one in `sacrifice_ms`: the
 * others go on as probes.
 *
 * Pure: no clock, no I/O; times are milliseconds of one monotonic clock. A route's memory is
 * bounded: it remembers its last BLAME_WITNESSES first attempts, and the deaths of at most
 * BLAME_MACHINES machines.
 */
#ifndef MTC_BLAME_H
#define MTC_BLAME_H

#include "verdict.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLAME_PROOF_MS    60000
#define BLAME_FAILED_MOST 10 /* one in so many first attempts may fail on a route that is well */
#define BLAME_ROW         3
#define BLAME_WITNESSES   1024
#define BLAME_MACHINES    256

struct witness {
    uint64_t machine; /* its fingerprint */
    int64_t began_ms, ended_ms;
    bool taken;
    bool foreign; /* another sender saw it */
};

struct machine_deaths {
    uint64_t machine;
    int count; /* in a row */
    int64_t last_ms;
};

struct blame {
    struct witness *witnesses; /* a ring, made with the first */
    size_t count, next;
    bool taken_here; /* something of ours, ever */

    uint64_t row[BLAME_ROW]; /* machines with deaths and no proof between */
    int row_count;
    int64_t last_death_ms;

    struct machine_deaths *machines; /* made with the first */
    int machine_count;
};

struct blame_rules {
    int attempts;         /* counted failures that are the end */
    int64_t sacrifice_ms; /* least time between deaths in a row */
    int64_t unproven_ms;  /* after failing for so long no proof is asked for; 0: it always is */
};

/* What is known of one event; zeroed for a new one. */
struct blame_case {
    bool failed;
    int64_t first_failed_ms; /* seen by this process; valid if it has, as are the next */
    int64_t since_ms;        /* the first of all, whoever saw it */
    enum accused last;       /* whom its last failure accused */
    int counted;             /* failures that counted */
    int accused;             /* of them those that accused the event itself */
    int probes;              /* failures that did not count */
    bool convicted;          /* it would be dead, but for sender.on_dead */
};

enum sentence {
    SENTENCE_PROBE, /* nothing counts; it is to be tried again, after a growing pause */
    SENTENCE_RETRY, /* a failure has been counted */
    SENTENCE_DEAD,  /* it was the last */
};

/* Zeroed is empty. */
void blame_free(struct blame *blame);

/* The first attempt of an event has ended, well or not. */
void blame_hear(struct blame *blame, const struct witness *witness);

/* Is there proof, at this time, against an event of this machine that has failed? */
bool blame_has_proof(const struct blame *blame, const struct blame_case *event, uint64_t machine,
                     int64_t now_ms);

/*
 * An attempt has failed. `acquitted`: somebody who should know says that MTConnect is ill, and
 * nothing counts.
 */
enum sentence blame_on_failure(struct blame *blame, const struct blame_rules *rules,
                               struct blame_case *event, uint64_t machine, enum accused accused,
                               bool acquitted, int64_t now_ms);

/* An event of this machine was taken, at whichever attempt. */
void blame_on_taken(struct blame *blame, uint64_t machine);

#endif
