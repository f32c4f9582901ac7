/*
 * judge.h - an answer has come: what becomes of the event, and of its lane
 *
 *   delivered, dead   the event leaves its lane: on_delivered, on_dead
 *   retry             an attempt is counted; the lane waits, or, if that was the last one, the
 *                     event is dead
 *   refused           the event is put back into the run queue, uncounted
 *   repeat            nothing yet: it is to be sent again at once
 *
 * verdict.h says which answer means what. The breaker (breaker.h) is told each answer; while it is
 * not closed, what would be retried is put back uncounted as well: it is the destination's fault.
 * When it opens, the attempts of the failures that opened it are given back to their events.
 */
#ifndef MTC_JUDGE_H
#define MTC_JUDGE_H

#include "breaker.h"
#include "lane.h"
#include "suite/config.h"
#include "suite/mtconnect.h"
#include "suite/program_metrics.h"

struct judge;

struct judge_settings { /* all borrowed */
    struct lanes *lanes;
    struct breaker *breaker;
    struct mtconnect *mtconnect;
    const struct config_list *retry_delays; /* one more attempt than these is made */
    const struct sender_metrics *metrics;
};

struct judge_events { /* the event is the callee's */
    /* skipped: it was found to have been delivered before. */
    void (*on_delivered)(struct held *held, bool skipped, void *arg);
    /* held->reason says why. */
    void (*on_dead)(struct held *held, void *arg);
    /* It was delivered, but the broker had taken it back meanwhile. */
    void (*on_orphan_delivered)(struct held *held, void *arg);
};

struct judge *judge_new(const struct judge_settings *settings, const struct judge_events *events,
                        void *arg);
void judge_free(struct judge *judge); /* NULL is fine */

/* An answer for a busy lane's head. False: it is to be repeated at once (only if may_repeat). */
bool judge_answer(struct judge *judge, struct lane *lane, const struct http_result *result,
                  bool may_repeat);

/* An answer for a head that is no longer ours. */
void judge_orphan(struct judge *judge, struct lane *lane, const struct http_result *result);

/* The head was delivered before. */
void judge_sent_before(struct judge *judge, struct lane *lane);

/* The head goes to the back of the run queue: other machines get their turn as probes. */
void judge_put_back(struct lane *lane);

#endif
