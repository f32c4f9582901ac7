/*
 * newest.h - the newest observation of each machine that this process has seen
 *
 * PostgreSQL keeps when a value was first seen, since seeing it again writes nothing. A late
 * web-hook could therefore be newer than the row and yet older than what has been seen since; only
 * here is that known. After a change of the active scheduler it is not, until the next pull.
 */
#ifndef MTC_NEWEST_H
#define MTC_NEWEST_H

#include <stdbool.h>
#include <stdint.h>

struct newest_entry;

struct newest {
    struct newest_entry *table;
};

/* True if a later one of this machine has been seen. */
bool newest_is_stale(const struct newest *newest, int machine_id, int64_t observed_us);
void newest_note(struct newest *newest, int machine_id, int64_t observed_us);
void newest_clear(struct newest *newest);

#endif
