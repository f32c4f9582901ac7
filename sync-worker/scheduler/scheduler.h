/*
 * scheduler.h - mtc-scheduler: cycle times from MTConnect into PostgreSQL
 *
 *   scheduler.c     the connections, and what the one PostgreSQL session does next
 *   schedule.c      the pulls: when one is due, what it learns, that it was made
 *   pull.c          one pull: asks machines, and judges what comes back
 *   confirm.c       asks about single machines, where a web-hook may be late
 *   turns.c         who is to be asked, who waits, who has failed
 *   machine_list.c  the machines, and what is remembered of each between pulls
 *   reply.c         what a reply of MTConnect means for the pull
 *   answer.c        what the body of an answer says
 *   intake.c        mtc.cycle-times: what web-hooks brought
 *   newest.c        what was seen of each machine, and in what order that was
 *   batch.c         observations on their way into PostgreSQL
 *   shares.c        what of its memory is for what
 *   cycle_sql.c     the statements
 *
 * One session holds the advisory lock and does all the writing: who loses it can write no more.
 */
#ifndef MTC_SCHEDULER_H
#define MTC_SCHEDULER_H

#include "suite/service.h"

struct scheduler_choices { /* service->choices */
    bool once;             /* one pull, then the end; nothing is taken from the broker */
};

/* The callbacks of service_description; see service.h. */
void *scheduler_start(struct service *service);
bool scheduler_ready(const void *state, const char **why);
void scheduler_drain(void *state);
void scheduler_reload(void *state);
void scheduler_stop(void *state);

#endif
