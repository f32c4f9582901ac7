/*
 * pace.h - when the relay reads: asleep and awake
 *
 *   asleep  rows come seldom: emit sends a NOTIFY with each, which wakes the relay, and a slow
 *           poll covers what no NOTIFY announced
 *   awake   rows come thick: emit has been told to be quiet (mtc.relay_awake), and the relay reads
 *           every few milliseconds by itself
 *
 * Reads that found rows are counted over a second; their number decides. An emit that had seen
 * "awake" and commits after the relay fell asleep announces nothing: right after falling asleep a
 * few reads therefore follow each other soon.
 *
 * Pure: it knows no database and no clock. Its owner, the relay, says what happened and when
 * (`now`, milliseconds of the monotonic clock), and does what follows from it.
 */
#ifndef MTC_PACE_H
#define MTC_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct pace {         /* zeroed: asleep */
    bool awake;       /* what mtc.relay says */
    bool read_wanted; /* there may be rows nobody has read */
    int64_t last_read_ms, count_from_ms;
    int reads_with_rows; /* since count_from_ms */
    int soon_reads;      /* what is left of the reads after falling asleep */
};

/* This process reads from now on: asleep, and there may be rows. */
void pace_start(struct pace *pace, int64_t now);

/* There may be rows: a NOTIFY came, or what hindered reading is over. */
void pace_want_read(struct pace *pace);

/* When the next read is due that nobody asked for; asleep_poll_ms is the pause while asleep. */
int64_t pace_poll_at(const struct pace *pace, int64_t asleep_poll_ms);

/* That time has come. */
void pace_on_poll_due(struct pace *pace);

void pace_on_read_sent(struct pace *pace, int64_t now);

/* A statement is done. found: it brought rows; more: there are more to be read. */
void pace_on_read_done(struct pace *pace, bool found, bool more);

/*
 * True if the relay has fallen asleep or woken just now: its owner tells emit (pace->awake), and
 * calls pace_on_told() when that is committed.
 */
bool pace_switch(struct pace *pace, int64_t now);
void pace_on_told(struct pace *pace);

#endif
