/*
 * newest.h - what this process has seen of each machine, and in what order that was
 *
 * Two observations of a machine are put in order by one clock, or not at all:
 *
 *   both have a time of MTConnect's  by these times; ours have no say
 *   two web-hooks without one        by the first arrival of their keys, which is our clock's
 *   two answers                      by their questions
 *   an answer and a web-hook, else   by arrival: an answer is the present state, so it is newer
 *                                    than what came before the question
 *   two web-hooks, else              not at all
 *
 * A web-hook that can't be compared with what is known may be late. It is taken, and MTConnect is
 * asked about the machine afterwards; see confirm.h. PostgreSQL keeps when a value was first seen,
 * since seeing it again writes nothing; so what is newer than the row may still be older than what
 * was seen since. Only here is that known, and of a machine that this process has seen nothing of
 * yet, it is not.
 */
#ifndef MTC_NEWEST_H
#define MTC_NEWEST_H

#include <stdbool.h>
#include <stdint.h>

struct newest_entry;

struct newest { /* zeroed is empty */
    struct newest_entry *table;
    uint64_t questions; /* how many there were */
};

/* --- web-hooks --- */

struct hook_times {
    int machine_id;
    int64_t observed_us; /* by MTConnect's clock; 0: it does not say */
    int64_t arrived_us;  /* by ours: when its key came first */
};

enum hook_rank {
    HOOK_NEWER,     /* than all that was seen: by MTConnect's times */
    HOOK_UNCLEAR,   /* it is to be taken, and confirmed */
    HOOK_OVERTAKEN, /* by a web-hook whose key came later: not to be taken; to be confirmed all the
                       same, as receivers have clocks of their own */
    HOOK_OLDER,     /* by MTConnect's times, or the same again: it says nothing */
};

enum hook_rank newest_rank_hook(const struct newest *newest, const struct hook_times *hook);
void newest_note_hook(struct newest *newest, const struct hook_times *hook);

/* --- pulls --- */

struct question { /* about a machine */
    uint64_t number;
    unsigned hooks; /* that were seen of it until then */
};

struct question newest_ask(struct newest *newest, int machine_id);

enum answer_rank {
    ANSWER_COUNTS,
    ANSWER_OVERTAKEN, /* by a web-hook that came since the question, and can't be compared with it:
                         it is not to be taken, and asked for again */
    ANSWER_OLDER,     /* by MTConnect's times, or than the answer to a later question */
};

/* observed_us: by MTConnect's clock, or 0. As long as it was not told to PostgreSQL, an answer that
 * was noted may become one that does not count. */
enum answer_rank newest_rank_answer(const struct newest *newest, int machine_id,
                                    const struct question *question, int64_t observed_us);
void newest_note_answer(struct newest *newest, int machine_id, const struct question *question,
                        int64_t observed_us);

void newest_clear(struct newest *newest);

#endif
