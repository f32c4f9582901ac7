/*
 * rounds.h - a round of the reconciler's markers, asked for by a person
 *
 * The active relay sends a marker through each partition (producer/reconcile.h). When it has come
 * out, and its answer is applied, PostgreSQL knows which published events are neither there nor in
 * a sender's hands.
 */
#ifndef MTC_ROUNDS_H
#define MTC_ROUNDS_H

#include "ctl.h"

struct rounds {
    int partitions; /* that have had a marker */
    int open;       /* of them, those of which this round's has not come out; all, if none began */
    long long on_their_way; /* markers, at most */
};

/* Asks for a round and waits for its markers, as long as there is hope. False: ctl->error. */
bool rounds_run(struct ctl *ctl, struct rounds *rounds);

/* The events that are missing: a row each, with their id. NULL: ctl->error. */
PGresult *rounds_missing(struct ctl *ctl);

#endif
