/* retry.c - a failed attempt is counted, and the next one follows after a pause; see retry.h */
#include "retry.h"
#include "partition.h"
#include "base/log.h"

static void count(const struct retry *retry, struct held *held)
{
    held->attempts++;
    if (held->streak != retry->breaker->streak) {
        held->streak = retry->breaker->streak;
        held->streak_attempts = 0;
    }
    held->streak_attempts++;
}

bool retry_later(const struct retry *retry, struct lane *lane, const struct http_result *result)
{
    struct held *held = lane->first;
    char what[160];
    count(retry, held);
    if (held->attempts > retry->delays->count)
        return false;
    mtconnect_describe(result, what, sizeof what);
    int64_t pause = mtconnect_pause_ms(retry->mtconnect, result,
                                       retry->delays->ms[held->attempts - 1]);
    metric_add(retry->metrics->retried, 1);
    log_warn("event will be retried", LF_S("event", held->envelope.event_id),
             LF_S("machine", held->envelope.machine), LF_I("attempt", held->attempts),
             LF_S("reason", what), LF_I("retry_ms", pause));
    partition_end_work(held);
    lane_wait(lane, pause);
    return true;
}
