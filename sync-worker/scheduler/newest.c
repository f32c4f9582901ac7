/* newest.c - what this process has seen of each machine; see newest.h */
#include "newest.h"
#include "base/xalloc.h"

#include <stdlib.h>
#include <uthash.h>

struct newest_entry {
    int machine_id;
    int64_t observed_us; /* the newest of MTConnect's times; 0: none was told */
    int64_t arrived_us;  /* of the web-hooks without a time, the newest; 0: there was none */
    bool dated;          /* what was seen last had a time of MTConnect's */
    unsigned hooks;
    uint64_t answered; /* number of the last question that was */
    UT_hash_handle hh;
};

static struct newest_entry *find(const struct newest *newest, int machine_id)
{
    struct newest_entry *entry;
    HASH_FIND_INT(newest->table, &machine_id, entry);
    return entry;
}

static struct newest_entry *find_or_make(struct newest *newest, int machine_id)
{
    struct newest_entry *entry = find(newest, machine_id);
    if (!entry) {
        entry = xcalloc(1, sizeof *entry);
        entry->machine_id = machine_id;
        HASH_ADD_INT(newest->table, machine_id, entry);
    }
    return entry;
}

static void note_time(struct newest_entry *entry, int64_t observed_us)
{
    entry->dated = observed_us != 0;
    if (observed_us > entry->observed_us)
        entry->observed_us = observed_us;
}

/* --- web-hooks --- */

enum hook_rank newest_rank_hook(const struct newest *newest, const struct hook_times *hook)
{
    const struct newest_entry *entry = find(newest, hook->machine_id);
    if (!entry)
        return HOOK_UNCLEAR;
    if (!hook->observed_us) {
        if (hook->arrived_us == entry->arrived_us)
            return HOOK_OLDER;
        return hook->arrived_us < entry->arrived_us ? HOOK_OVERTAKEN : HOOK_UNCLEAR;
    }
    if (hook->observed_us <= entry->observed_us)
        return HOOK_OLDER;
    return entry->dated ? HOOK_NEWER : HOOK_UNCLEAR;
}

void newest_note_hook(struct newest *newest, const struct hook_times *hook)
{
    struct newest_entry *entry = find_or_make(newest, hook->machine_id);
    entry->hooks++;
    note_time(entry, hook->observed_us);
    if (!hook->observed_us && hook->arrived_us > entry->arrived_us)
        entry->arrived_us = hook->arrived_us;
}

/* --- pulls --- */

struct question newest_ask(struct newest *newest, int machine_id)
{
    const struct newest_entry *entry = find(newest, machine_id);
    return (struct question){.number = ++newest->questions, .hooks = entry ? entry->hooks : 0};
}

enum answer_rank newest_rank_answer(const struct newest *newest, int machine_id,
                                    const struct question *question, int64_t observed_us)
{
    const struct newest_entry *entry = find(newest, machine_id);
    if (!entry)
        return ANSWER_COUNTS;
    if (question->number < entry->answered)
        return ANSWER_OLDER;
    if (observed_us && entry->dated)
        return observed_us < entry->observed_us ? ANSWER_OLDER : ANSWER_COUNTS;
    return entry->hooks == question->hooks ? ANSWER_COUNTS : ANSWER_OVERTAKEN;
}

void newest_note_answer(struct newest *newest, int machine_id, const struct question *question,
                        int64_t observed_us)
{
    struct newest_entry *entry = find_or_make(newest, machine_id);
    entry->answered = question->number;
    note_time(entry, observed_us);
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
