/*
 * retry.h - when the head of a lane is tried again
 *
 * After a counted failure: the pauses of sender.retry_delays_s (1, 4, 10, 10 s). Of a doubted one
 * (blame.h) nothing counts, and its pauses grow from the first of those to
 * sender.probe_pause_max_ms; it may be woken earlier. Retry-After makes a pause longer, up to its
 * bound, and nothing ends that. Either goes over a connection of its own: the trouble may be the
 * connection's.
 */
#ifndef MTC_RETRY_H
#define MTC_RETRY_H

#include "lane.h"
#include "suite/config.h"
#include "suite/mtconnect.h"
#include "suite/program_metrics.h"

struct retry { /* all borrowed; filled in by the owner */
    const struct config_list *delays;
    int64_t probe_pause_max_ms;
    const struct mtconnect *mtconnect;
    const struct sender_metrics *metrics;
};

/* The attempt of a busy lane's head has failed, and counted; or it did not count. */
void retry_counted(const struct retry *retry, struct lane *lane, const struct http_result *result);
void retry_doubted(const struct retry *retry, struct lane *lane, const struct http_result *result);
/* It did not count, but the next may: its pauses don't grow. */
void retry_soon(const struct retry *retry, struct lane *lane, const struct http_result *result);

/* It got 429 again and again, and waits alone: nobody wakes it; without Retry-After 5 s at most. */
void retry_refused(const struct retry *retry, struct lane *lane, const struct http_result *result);

/* The shortest pause of a doubted head that is not woken. */
int64_t retry_least_ms(const struct retry *retry);

#endif
