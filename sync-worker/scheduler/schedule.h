/*
 * schedule.h - the pulls, one after the other: when one is due, what it learns, that it was made
 *
 *   asking when the next is due --> waiting --> listing machines --> pulling --> recorded
 *      ^                              ^                                |            |
 *      |                              '------- in vain: nobody --------'            |
 *      '---------------------------------------- answered --------------------------'
 *
 * PostgreSQL remembers the last pull, so that a change of the active process makes none too many.
 * While a pull is under way what it has learnt is applied in parts, so that little is lost with it;
 * the last part and the record of the pull are one transaction. A pull to which nobody answered is
 * not recorded: it is still due, and made again after scheduler.again_s.
 *
 * The owner of the session says when a step can be made; it has other things to do as well.
 */
#ifndef MTC_SCHEDULE_H
#define MTC_SCHEDULE_H

#include "pull.h"
#include "suite/election.h"
#include "suite/program_metrics.h"
#include "suite/service.h"

struct schedule;

struct schedule_parts { /* borrowed for the schedule's whole life */
    struct election *election;
    struct mtconnect *mtconnect;
    struct pull *pull;
    struct scheduler_metrics *metrics;
};

struct schedule_events {
    /* A statement is done, or a pull is due: there may be a step to be made. */
    void (*on_step)(void *arg);
    /* A pull is over; recorded: PostgreSQL knows, since somebody answered. Besides, as on_step. */
    void (*on_pulled)(bool recorded, void *arg);
};

/* at_once: the first pull is due whenever the last was. */
struct schedule *schedule_new(const struct service *service, const struct schedule_parts *parts,
                              bool at_once, const struct schedule_events *events, void *arg);
void schedule_free(struct schedule *schedule); /* NULL is fine */

/* A pull is wanted ahead of its time: within again_s of the start of the last one. */
void schedule_hurry(struct schedule *schedule);

/* The process is active from now on. */
void schedule_start(struct schedule *schedule);
/* It is active no more, or drains: the pull under way is dropped, and is still due. */
void schedule_stop(struct schedule *schedule);

/* Each only while election_is_idle(); true if it made a step: the session may be busy then. */
bool schedule_go_on(struct schedule *schedule); /* with what is under way */
bool schedule_begin(struct schedule *schedule); /* a pull, if one is due */

#endif
