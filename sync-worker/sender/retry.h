/*
 * retry.h - a failed attempt is counted, and the next one follows after a pause
 *
 * The pauses are sender.retry_delays_s (1, 4, 10, 10 s); Retry-After makes one longer, up to its
 * bound. There is one attempt more than there are pauses. An attempt remembers the breaker's streak
 * it fell into, so that it can be given back when the streak turns out to be the destination's
 * fault.
 */
#ifndef MTC_RETRY_H
#define MTC_RETRY_H

#include "breaker.h"
#include "lane.h"
#include "suite/config.h"
#include "suite/mtconnect.h"
#include "suite/program_metrics.h"

struct retry { /* all borrowed; filled in by the owner */
    const struct config_list *delays;
    const struct breaker *breaker;
    const struct mtconnect *mtconnect;
    const struct sender_metrics *metrics;
};

/*
 * The attempt of a busy lane's head has failed. True: its lane waits for the next one. False: that
 * was the last; the head is still the lane's.
 */
bool retry_later(const struct retry *retry, struct lane *lane, const struct http_result *result);

#endif
