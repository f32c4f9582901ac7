/*
 * route.h - the routes: paths of MTConnect, each with what is known of it alone
 *
 * One route in trouble is no reason to hold what goes by another: each has its breaker (breaker.h),
 * its evidence (blame.h) and its run queue, the lanes whose heads are ready to go by it.
 *
 * At most ROUTES_MAX paths are kept apart. What nobody holds events for is forgotten when room is
 * needed; where there is none, further paths share one route.
 */
#ifndef MTC_ROUTE_H
#define MTC_ROUTE_H

#include "blame.h"
#include "breaker.h"

#define ROUTES_MAX     64
#define ROUTE_UNSAID   16
#define ROUTE_ID_BYTES 48

struct lane;

struct route {
    const char *path; /* the first one's, if several share it */
    struct breaker breaker;
    struct blame blame;
    struct lane *run_first, **run_last; /* lane.c's */
    int heads;                          /* machines whose next event goes by it; lane.c's */
    int under_way;                      /* requests; attempt.c's */
    int held;                           /* events that point here */
    int doubted;                        /* heads that wait for proof; lane.c's */

    struct witness unsaid[ROUTE_UNSAID]; /* evidence.c's: what other senders don't know yet, ... */
    int unsaid_count;
    bool is_read;                 /* ... who is being asked what others know, ... */
    char read_to[ROUTE_ID_BYTES]; /* ... and up to where they were heard */
    struct route *next;
};

struct routes_settings {
    int failures_to_open; /* see breaker.h, as the pauses */
    int64_t pause_min_ms, pause_max_ms;
    int connections;
};

struct routes {
    struct routes_settings settings;
    struct route *list; /* so few that looking through them is as good as a table */
    int count;
    struct route *others; /* shared by what has no room; NULL: not needed yet */
};

void routes_init(struct routes *routes, const struct routes_settings *settings);
void routes_free(struct routes *routes); /* after all events */

/* The route of a path, for an event that points to it until route_let_go(). */
struct route *routes_find(struct routes *routes, const char *path);
/* The same without that; NULL if it is not known. */
struct route *routes_peek(const struct routes *routes, const char *path);
void route_let_go(struct route *route);

/* How many routes have a breaker that is not closed. */
int routes_count_open(const struct routes *routes);

/* How many machines' next events wait without proof. */
int routes_count_doubted(const struct routes *routes);

/* The first, and the one after it, the shared one being the last; NULL: no more. */
struct route *routes_first(const struct routes *routes);
struct route *routes_next(const struct routes *routes, const struct route *route);

#endif
