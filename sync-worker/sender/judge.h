/*
 * judge.h - an answer has come: what becomes of the event, and of its lane
 *
 *   delivered, dead   the event leaves its lane: on_delivered, on_dead
 *   counted           its lane waits for the next attempt
 *   doubted           nothing counts; its lane waits, longer each time, until there is proof that
 *                     its route is well, or until it is taken
 *   put back          nothing counts; its lane is ready again: while the breaker of its route is
 *                     open other machines get their turn as probes, and after 429 everybody waits
 *   repeat            nothing yet: it is to be sent again at once
 *
 * verdict.h says what an answer means, blame.h what counts. Each answer is told to the route's
 * breaker and, if it is the event's first, to the route's evidence; when that becomes proof, heads
 * that are doubted are tried at once.
 */
#ifndef MTC_JUDGE_H
#define MTC_JUDGE_H

#include "evidence.h"
#include "lane.h"
#include "referee.h"
#include "retry.h"
#include "throttle.h"

struct judge;

struct judge_settings { /* all borrowed */
    struct loop *loop;
    struct lanes *lanes;
    struct throttle *throttle;
    struct mtconnect *mtconnect;
    struct evidence *evidence;
    struct referee *referee; /* NULL: there is none */
    struct retry retry;
    struct blame_rules rules;
    bool stop_on_dead; /* a machine whose event would be dead stops until judge_let_go() */
    const struct sender_metrics *metrics;
};

struct judge_events { /* the event is the callee's */
    /* skipped: it was found to have been delivered before. */
    void (*on_delivered)(struct held *held, bool skipped, void *arg);
    /* held->reason says why. */
    void (*on_dead)(struct held *held, void *arg);
    /* It was delivered, but the broker had taken it back meanwhile. */
    void (*on_orphan_delivered)(struct held *held, void *arg);
    /* A failure has been put to its account; it is still its lane's. */
    void (*on_failure)(const struct held *held, void *arg);
    /* A lane has become ready. */
    void (*on_ready)(void *arg);
};

struct judge *judge_new(const struct judge_settings *settings, const struct judge_events *events,
                        void *arg);
void judge_free(struct judge *judge); /* NULL is fine */

/* An answer for a busy lane's head. False: it is to be repeated at once (only if may_repeat). */
bool judge_answer(struct judge *judge, struct lane *lane, const struct http_result *result,
                  bool may_repeat);

/* sender.on_dead is stop: what was convicted before stays where it is, untried. */
bool judge_stops(const struct judge *judge);

/* An answer for a head that is no longer ours. */
void judge_orphan(struct judge *judge, struct lane *lane, const struct http_result *result);

/* There is news of other senders' first attempts. */
void judge_on_news(struct judge *judge);

/* The head was delivered before. */
void judge_sent_before(struct judge *judge, struct lane *lane);

/* The head of a busy lane goes to the back of the run queue: others get their turn. */
void judge_put_back(struct lane *lane);

/*
 * An operator lets go of the head of a lane: it is dead, and what follows it goes on. NULL, or why
 * not.
 */
const char *judge_let_go(struct judge *judge, struct lane *lane);

#endif
