/*
 * held.h - an event the sender holds for the broker
 *
 * Its partition receives it (partition.h); it waits in its machine's lane (lane.h), leaves it when
 * its fate is known (attempt.h), and is then settled (settle.h): its outcome told, its delivery
 * acked. Whoever has it at the moment owns it.
 */
#ifndef MTC_HELD_H
#define MTC_HELD_H

#include "route.h"
#include "suite/envelope.h"

#include <stdbool.h>
#include <stdint.h>

struct allowance;
struct partition;
struct settle;

struct held {
    struct envelope envelope; /* strings stand behind this struct */
    char *body;               /* owned */
    size_t len;
    size_t size;                 /* of all of it in memory, about; ... */
    struct allowance *allowance; /* ... who counts that; NULL: nobody */

    struct partition *partition; /* partition.c's */
    const char *queue;           /* the partition's; borrowed */
    uint64_t generation;         /* of the partition's channel; see partition_owns() */
    uint64_t tag;
    int64_t since_ms;
    bool aside;  /* its body was let go of; see aside.h */
    bool check;  /* may have been sent before: look for its sent key first */
    int looking; /* answers of Redis that are waited for, ... */
    bool found;  /* ... and it was delivered before */

    struct route *route;     /* where it is to go; NULL: nowhere, it is unreadable */
    struct blame_case blame; /* what is known against it */
    struct backoff pauses;   /* of its probes */
    int64_t began_ms;        /* of the request under way; */
    bool fresh;              /* ... it goes over a connection of its own, */
    bool repeated;           /* ... and is an uncounted repeat */
    int refusals;            /* 429s in a row */
    int64_t failed_ms;       /* when it failed last */
    int attempts;            /* counted ones, when its fate is known */
    long last_status;        /* 0: no answer */
    char *reason;            /* owned; why it is dead */
    char *answer;            /* owned; the last answer in words, ... */
    char *response;          /* owned; ... and its first bytes */

    struct settle *settle; /* settle.c's */
    int unsettled;         /* what settle.c still waits for */
    struct held *next;     /* in the lane, then in the batch of outcomes */

    struct held *roll_next, **roll_at; /* in its partition's roll; roll_at NULL: in none */
};

/* allowance: see allowance.h. */
struct held *held_new(const struct envelope *envelope, char *body, size_t len,
                      struct allowance *allowance);
void held_free(struct held *held); /* leaves the roll */

/* Puts it on a roll of all that are held, whoever has them; *roll is NULL for an empty one. */
void held_enrol(struct held *held, struct held **roll);

/* Lets go of the body, unless that has been done. */
void held_put_aside(struct held *held);

/*
 * Under which name it is remembered as delivered: its id; for one that is sent again on purpose its
 * id and outbox row, or the first delivery would be taken for this one.
 */
#define HELD_NAME 192
const char *held_name(const struct held *held, char out[HELD_NAME]);

#endif
