/*
 * lane.h - the lines of events, one a machine
 *
 * Only the head of a lane is worked on; what is behind it waits for it, whatever it is waiting for.
 * Lanes of different machines know nothing of each other. A lane exists while it holds something.
 */
#ifndef MTC_LANE_H
#define MTC_LANE_H

#include "held.h"
#include "base/timer.h"

#include <uthash.h>

enum lane_state {
    LANE_READY,   /* in the run queue of its head's route */
    LANE_BUSY,    /* a look-up or a request is under way for its head */
    LANE_WAITING, /* its retry timer runs */
    LANE_STOPPED, /* an operator's word is waited for */
    LANE_STILL,   /* everything is being handed back: nothing is started */
};

struct lanes;

struct lane {
    char *machine;
    uint64_t fingerprint;
    enum lane_state state;
    struct held *first, **last;
    struct lanes *lanes;
    struct route *route; /* its head's */
    bool aside;          /* its last events have no bodies: see aside.h */
    bool doubted;        /* WAITING: without proof; see lanes_wake() */
    struct timer *retry; /* made when first needed */
    struct lane *run_next;
    UT_hash_handle hh;
};

struct lanes {
    struct loop *loop;
    struct lane *table;
    int count, held_count;
    void (*on_ready)(void *worker);
    void *worker; /* who works on the heads */
};

void lanes_init(struct lanes *lanes, struct loop *loop);
void lanes_free(struct lanes *lanes); /* frees the events too */

/* Who works on the heads; on_ready: a lane has become ready by itself, its retry being due. */
void lanes_set_worker(struct lanes *lanes, void (*on_ready)(void *worker), void *worker);

/* Puts an event, whose route is set, behind the others of its machine; without its body, if these
 * have none. */
void lanes_push(struct lanes *lanes, struct held *held);

static inline bool lanes_has_ready(const struct route *route)
{
    return route->run_first != NULL;
}

/*
 * When the outbox row of the oldest event in a lane was made, microseconds of UTC; 0: there is none
 * that says so. Looks at each lane's head.
 */
int64_t lanes_oldest_us(const struct lanes *lanes);

/* Takes the next ready lane off a route's run queue (it is then BUSY), or NULL. */
struct lane *lanes_take(struct route *route);

/* A busy lane is ready again, behind the others or before them. */
void lane_ready(struct lane *lane, bool first);
/* A busy lane waits; doubted: lanes_wake() may end that before its time. */
void lane_wait(struct lane *lane, int64_t ms, bool doubted);
void lane_stop(struct lane *lane);
void lane_still(struct lane *lane);

/*
 * Takes the head off a busy lane and gives it to the caller; what follows it becomes ready. The
 * lane may be gone after this.
 */
struct held *lane_pop(struct lane *lane);

/*
 * Of the lanes that wait, doubted, with a head that goes by this route (NULL: any), those for which
 * `wanted` says so (NULL: all) wait no more.
 */
void lanes_wake(struct lanes *lanes, const struct route *route,
                bool (*wanted)(const struct lane *lane, void *arg), void *arg);

/* The machine's lane, or NULL. */
struct lane *lanes_find(const struct lanes *lanes, const char *machine);

/* A lane is made busy whatever it waits for; false if it is, or if it is still. */
bool lane_seize(struct lane *lane);

/*
 * Frees every event of `partition` (NULL: of all) that is not worked on right now. A busy head
 * stays until its request ends: its channel's generation has changed, so it will not be acked.
 */
void lanes_drop(struct lanes *lanes, const struct partition *partition);

#endif
