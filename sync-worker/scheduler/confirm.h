/*
 * confirm.h - asks MTConnect about single machines, where a web-hook could not be put in order
 *
 *   confirm_doubt() --CONFIRM_AFTER_MS--> asked --> answered, applied: over
 *                            ^               |
 *                            '-- a pause ----'-- no answer
 *
 * A web-hook without a time of MTConnect's may be late, and so may one that is compared with an
 * answer that had none. It counts, and within seconds its machine is asked for its present state,
 * which then counts: see newest.h. Many web-hooks of a machine are one question a second at most;
 * at most CONFIRM_MAX machines wait for theirs, at most CONFIRM_ROUND are asked together, over at
 * most CONFIRM_CONNECTIONS connections beside those of the pulls. If there are more, all machines
 * are to be pulled instead.
 *
 * Who becomes active asks PostgreSQL which machines were not confirmed by the one before.
 */
#ifndef MTC_CONFIRM_H
#define MTC_CONFIRM_H

#include "newest.h"
#include "suite/election.h"
#include "suite/mtconnect.h"
#include "suite/program_metrics.h"
#include "suite/service.h"

#define CONFIRM_AFTER_MS    1000
#define CONFIRM_MAX         1000
#define CONFIRM_ROUND       64
#define CONFIRM_CONNECTIONS 8

struct confirm;

struct confirm_parts { /* borrowed for its whole life */
    struct election *election;
    struct mtconnect *mtconnect; /* nobody else's */
    struct newest *newest;
    struct scheduler_metrics *metrics;
};

struct confirm_events {
    /* A statement is done, or machines are to be asked: there may be a step to be made. */
    void (*on_step)(void *arg);
    /* More machines are in doubt than are asked one by one. */
    void (*on_too_many)(void *arg);
};

struct confirm *confirm_new(const struct service *service, const struct confirm_parts *parts,
                            const struct confirm_events *events, void *arg);
void confirm_free(struct confirm *confirm); /* NULL is fine */

/* The process is active from now on. */
void confirm_start(struct confirm *confirm);
/* It is active no more, or drains: forgets everything. */
void confirm_stop(struct confirm *confirm);

/* What is known of a machine may not be its present state. */
void confirm_doubt(struct confirm *confirm, int machine_id);

/* Each only while election_is_idle(); true if it made a step: the session may be busy then. */
bool confirm_go_on(struct confirm *confirm); /* with what is under way */
bool confirm_begin(struct confirm *confirm); /* with the machines whose time has come */

#endif
