/* throttle.c - how much MTConnect takes at once, found out by its 429s; see throttle.h */
#include "throttle.h"

#define PAUSE_MIN_MS 100
#define PAUSE_MAX_MS 5000

void throttle_init(struct throttle *throttle, int connections)
{
    *throttle = (struct throttle){.most = connections,
                                  .limit = connections,
                                  .cut_ms = INT64_MIN,
                                  .pauses = {.min_ms = PAUSE_MIN_MS, .max_ms = PAUSE_MAX_MS}};
}

bool throttle_allows(const struct throttle *throttle, int under_way, int64_t now_ms)
{
    return now_ms >= throttle->hold_until_ms && under_way < (int)throttle->limit;
}

int64_t throttle_holds_until(const struct throttle *throttle, int64_t now_ms)
{
    return throttle->hold_until_ms > now_ms ? throttle->hold_until_ms : 0;
}

void throttle_on_taken(struct throttle *throttle)
{
    backoff_reset(&throttle->pauses);
    throttle->limit += 1 / throttle->limit;
    if (throttle->limit > throttle->most)
        throttle->limit = throttle->most;
}

void throttle_on_refused(struct throttle *throttle, int times, int64_t retry_after_ms,
                         int64_t began_ms, int64_t now_ms)
{
    bool is_news = began_ms > throttle->cut_ms;
    if (is_news) {
        throttle->cut_ms = now_ms;
        throttle->limit = throttle->limit > 2 ? throttle->limit / 2 : 1;
    }
    if (times >= THROTTLE_OWN)
        return;
    if (retry_after_ms == 0 && is_news)
        retry_after_ms = backoff_next_ms(&throttle->pauses);
    if (now_ms + retry_after_ms > throttle->hold_until_ms)
        throttle->hold_until_ms = now_ms + retry_after_ms;
}
