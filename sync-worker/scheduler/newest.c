/* newest.c - the newest observation of each machine that this process has seen; see newest.h */
#include "newest.h"
#include "base/xalloc.h"

#include <stdlib.h>
#include <uthash.h>

struct newest_entry {
    int machine_id;
    int64_t observed_us;
    UT_hash_handle hh;
};

static struct newest_entry *find(const struct newest *newest, int machine_id)
{
    struct newest_entry *entry;
    HASH_FIND_INT(newest->table, &machine_id, entry);
    return entry;
}

bool newest_is_stale(const struct newest *newest, int machine_id, int64_t observed_us)
{
    const struct newest_entry *entry = find(newest, machine_id);
    return entry && observed_us < entry->observed_us;
}

void newest_note(struct newest *newest, int machine_id, int64_t observed_us)
{
    struct newest_entry *entry = find(newest, machine_id);
    if (!entry) {
        entry = xcalloc(1, sizeof *entry);
        entry->machine_id = machine_id;
        HASH_ADD_INT(newest->table, machine_id, entry);
    }
    if (observed_us > entry->observed_us)
        entry->observed_us = observed_us;
}

void newest_clear(struct newest *newest)
{
    struct newest_entry *entry = newest->table, *next;
    HASH_CLEAR(hh, newest->table); /* lets go of them all; their list is still whole */
    for (; entry; entry = next) {
        next = entry->hh.next;
        free(entry);
    }
}
