/* retry.c - when the head of a lane is tried again; see retry.h */
#include "retry.h"
#include "partition.h"
#include "base/log.h"

#define REFUSED_MAX_MS 5000

enum failure { COUNTED, DOUBTED, REFUSED };

static void wait_for_retry(const struct retry *retry, struct lane *lane,
                           const struct http_result *result, int64_t ours_ms, enum failure failure)
{
    struct held *held = lane->first;
    int64_t pause = mtconnect_pause_ms(retry->mtconnect, result, ours_ms);
    char what[160];
    mtconnect_describe(result, what, sizeof what);
    log_warn(failure == COUNTED ? "event will be retried"
                                : "event waits; its failures do not count",
             LF_S("event", held->envelope.event_id), LF_S("machine", held->envelope.machine),
             LF_I("attempt", held->blame.counted), LF_I("probe", held->blame.probes),
             LF_S("reason", what), LF_I("retry_ms", pause));
    held->fresh = true;
    partition_end_work(held);
    /* Nobody ends what MTConnect asks for. */
    lane_wait(lane, pause, failure == DOUBTED && pause == ours_ms);
}

void retry_counted(const struct retry *retry, struct lane *lane, const struct http_result *result)
{
    int counted = lane->first->blame.counted;
    int at = counted > retry->delays->count ? retry->delays->count : counted;
    metric_add(retry->metrics->retried, 1);
    wait_for_retry(retry, lane, result, at ? retry->delays->ms[at - 1] : 0, COUNTED);
}

void retry_soon(const struct retry *retry, struct lane *lane, const struct http_result *result)
{
    metric_add(retry->metrics->probes, 1);
    wait_for_retry(retry, lane, result, retry_least_ms(retry), DOUBTED);
}

int64_t retry_least_ms(const struct retry *retry)
{
    int64_t first = retry->delays->count ? retry->delays->ms[0] : 0;
    if (first > retry->probe_pause_max_ms)
        first = retry->probe_pause_max_ms;
    return first > 0 ? first : 1;
}

static void wait_longer(const struct retry *retry, struct lane *lane,
                        const struct http_result *result, int64_t most_ms, enum failure failure)
{
    struct backoff *pauses = &lane->first->pauses;
    pauses->min_ms = retry_least_ms(retry);
    pauses->max_ms = most_ms > pauses->min_ms ? most_ms : pauses->min_ms;
    metric_add(retry->metrics->probes, 1);
    wait_for_retry(retry, lane, result, backoff_next_ms(pauses), failure);
}

void retry_doubted(const struct retry *retry, struct lane *lane, const struct http_result *result)
{
    wait_longer(retry, lane, result, retry->probe_pause_max_ms, DOUBTED);
}

void retry_refused(const struct retry *retry, struct lane *lane, const struct http_result *result)
{
    wait_longer(retry, lane, result, REFUSED_MAX_MS, REFUSED);
}
