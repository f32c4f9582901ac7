/*
 * repeats.h - which rows may have been published before
 *
 * A row that was published and not marked is read and published again. The sender then has to look
 * for its sent key, so such rows are called repeats:
 *
 *   - what was unconfirmed when a channel was lost, row by row
 *   - after a takeover, the oldest rows: a predecessor may have published as many as its window
 *     holds, and PostgreSQL may have lost the marks of the 600 ms an asynchronous commit can take
 *
 * Owned by transit.c, and pure.
 */
#ifndef MTC_REPEATS_H
#define MTC_REPEATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Rows read after a takeover that are called repeats. */
#define REPEATS_AFTER_TAKEOVER 20000

struct repeats { /* zeroed: empty */
    int64_t *rows;
    size_t count, room;
    bool sorted;
    int64_t until; /* rows up to this id, ... */
    int left;      /* ... and no more than these */
};

void repeats_add(struct repeats *repeats, int64_t row);

/* `newest` is the highest id given away so far: later rows can't have been published by anybody. */
void repeats_after_takeover(struct repeats *repeats, int64_t newest);

/* Asked once for each row that is read, in id order. */
bool repeats_has(struct repeats *repeats, int64_t row);

void repeats_clear(struct repeats *repeats);
void repeats_free(struct repeats *repeats);

#endif
