/*
 * scheduler.h - election, the pull that is due, and what web-hooks brought
 *
 *   scheduler.c  connections, election, what the one PostgreSQL session does next
 *   pull.c       one pull: asking all machines
 *   intake.c     mtc.cycle-times: what web-hooks brought
 *   answer.c, batch.c, newest.c: what their names say
 *
 * One session holds the advisory lock and does all the writing: who loses it can write no more.
 */
#ifndef MTC_SCHEDULER_H
#define MTC_SCHEDULER_H

#include "newest.h"
#include "suite/service.h"

enum failure { FAILURE_UNKNOWN, FAILURE_CONTRACT, FAILURE_NO_ANSWER, FAILURE_STATUS, FAILURES };

struct scheduler_metrics {
    struct metric *failures[FAILURES]; /* machines not pulled, by reason */
    struct metric *active, *runs_done, *runs_failed, *run_seconds, *last_run, *machines, *failing;
    struct metric *values, *unchanged, *nothing, *failed;
    struct metric *changed, *same, *older, *hooks, *dead;
};

struct scheduler_choices { /* service->choices */
    bool once;             /* one pull, then the end */
};

/* The callbacks of service_description; see service.h. */
void *scheduler_start(struct service *service);
bool scheduler_ready(const void *state, const char **why);
void scheduler_drain(void *state);
void scheduler_reload(void *state);
void scheduler_stop(void *state);

#endif
