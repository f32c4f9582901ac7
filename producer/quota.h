/*
 * quota.h - how much may be on its way to the broker, and whose turn it is not
 *
 * On its way is what is published and not confirmed; there are bounds for its rows and its bytes.
 * A partition is
 *
 *   open          its rows go out
 *   stopped       something is on its way to it, and it has confirmed nothing for a while:
 *                 confirm_ms, or a tenth of that if it has taken half of what there is for all.
 *                 Nothing more goes out to it until it confirms something, and what is on its way
 *                 to it does not count for others
 *   on probation  it was stopped when its channel was lost: one row goes out, to see
 *
 * A machine takes at most a quarter of the bytes, or one row if that is more. It is held when it
 * has that, until half of it is confirmed, and while its partition is stopped: none of its rows is
 * published, or later ones would overtake those that must wait. The relay leaves out held machines
 * when it reads.
 *
 * The queue of dead letters, where what could not be formed goes, counts as one partition more.
 *
 * Owned by transit.c. It knows no clock and no network: `now` is milliseconds of the monotonic
 * clock.
 */
#ifndef MTC_QUOTA_H
#define MTC_QUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More machines than this are not kept apart: nothing is read while so many are known. */
#define QUOTA_MACHINES_MAX 10000

struct quota;
struct quota_machine;

struct quota_limits {
    int partitions; /* without that of the dead letters, whose number is this */
    size_t window, bytes;
    int64_t confirm_ms; /* a partition that confirms nothing for so long is stopped */
};

struct quota *quota_new(const struct quota_limits *limits);
void quota_free(struct quota *quota); /* NULL is fine */

struct quota_share { /* what a row takes of it */
    int partition;
    size_t bytes;
    struct quota_machine *machine; /* known once it is taken */
};

/* For a row of a machine whose own partition is `home`. False: the machine is held. */
bool quota_take(struct quota *quota, struct quota_share *share, const char *machine, int home,
                int64_t now);

/* The row is confirmed. True if rows that had to wait may go. */
bool quota_give(struct quota *quota, const struct quota_share *share, int64_t now);

/* The channel is lost: nothing is on its way. What was stopped is on probation. */
void quota_on_channel_lost(struct quota *quota);

/* Somebody else may publish from now on: nothing is on its way, and nobody on probation. */
void quota_clear(struct quota *quota);

/* Stops what has not confirmed in time: then true. waits_for_us: that is no fault of the partitions
 * (the broker has said so, or what they were to get has not left us); their time begins anew. */
bool quota_watch(struct quota *quota, bool waits_for_us, int64_t now);

struct quota_amount {
    size_t rows, bytes;
};

/* On their way to all partitions; to those that are not stopped; what may follow these. */
struct quota_amount quota_taken(const struct quota *quota);
struct quota_amount quota_counted(const struct quota *quota);
struct quota_amount quota_left(const struct quota *quota);

/* Partitions that are stopped, or on probation with a row on its way. */
int quota_stopped(const struct quota *quota);

bool quota_is_crowded(const struct quota *quota); /* QUOTA_MACHINES_MAX are known */

/* The machines that are held, as a PostgreSQL array of texts; the caller frees it. */
char *quota_held(const struct quota *quota);

#endif
