/*
 * attempt.h - sending the heads of the lanes
 *
 *   ready lane -> was the head sent before? --yes--------------> judge_sent_before()
 *                     |no
 *                     '--> request --> answer -----------------> judge_answer()
 *                                        | the connection had died before
 *                                        '--> at once, uncounted, on a new one
 *
 * How many requests are out at once is up to the connections, the throttle and the breaker of each
 * route; the routes take turns. An event is worked on
 * (partition.h) from its look-up on, until it is put back, waits for a retry, or is acked.
 */
#ifndef MTC_ATTEMPT_H
#define MTC_ATTEMPT_H

#include "hand_back.h"
#include "judge.h"
#include "lane.h"
#include "route.h"
#include "sent_key.h"
#include "suspect.h"
#include "throttle.h"
#include "suite/mtconnect.h"
#include "suite/program_metrics.h"

struct attempts;

struct attempts_settings { /* all borrowed */
    struct loop *loop;
    struct lanes *lanes; /* attempts_new() makes itself their worker */
    struct routes *routes;
    const struct throttle *throttle;
    struct mtconnect *mtconnect;
    struct sent_keys *sent_keys;
    struct redis_conn *redis; /* NULL: to do without */
    struct judge *judge;
    struct hand_back *hand_back; /* what may still be started */
    const struct sender_metrics *metrics;
};

struct attempts *attempts_new(const struct attempts_settings *settings);
/* After the clients (HTTP, Redis), whose answers come here. NULL is fine. */
void attempts_free(struct attempts *attempts);

/*
 * Starts as many ready lanes as connections, throttle and breakers allow, after the present
 * callback. To be called when a lane may have become ready; answers and due retries call it
 * themselves.
 */
void attempts_run_soon(struct attempts *attempts);

/* While paused nothing is started. */
void attempts_pause(struct attempts *attempts, bool paused);
bool attempts_are_paused(const struct attempts *attempts);

#endif
