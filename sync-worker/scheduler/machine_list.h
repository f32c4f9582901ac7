/*
 * machine_list.h - the machines that are pulled, and what is remembered of each between pulls
 *
 * Each pull lists the active machines anew. A machine that was there before keeps the entity tag of
 * its last good answer, so that an unchanged one costs a 304 (RFC 9110, section 8.8.3). One that is
 * listed no more is forgotten, and so is what was known under another name.
 */
#ifndef MTC_MACHINE_LIST_H
#define MTC_MACHINE_LIST_H

#include "answer.h"

#include <uthash.h>

struct machine_name { /* as it is listed */
    int id;
    const char *name; /* MTConnect's */
};

struct machine {
    int id;
    char *name;
    char *etag;           /* of the last good answer; NULL: there is none to go back to */
    struct answer answer; /* the last good one, which a 304 repeats; only with an etag */
    bool listed;
    UT_hash_handle hh;
};

struct machine_list { /* zeroed is empty */
    struct machine *table;
};

/* Listing: begin, add for each machine, end. What add returns is valid until the next begin. */
void machine_list_begin(struct machine_list *list);
struct machine *machine_list_add(struct machine_list *list, const struct machine_name *listed);
void machine_list_end(struct machine_list *list);

void machine_list_clear(struct machine_list *list);

/* etag: "" if the answer has none. */
void machine_remember(struct machine *machine, const struct answer *answer, const char *etag);
void machine_forget(struct machine *machine);

#endif
