/* backoff.c - growing pauses with jitter; see backoff.h */
#include "base/backoff.h"

#include <event2/util.h>

int64_t backoff_next_ms(struct backoff *backoff)
{
    int64_t cap = backoff->cap_ms ? backoff->cap_ms * 2 : backoff->min_ms;
    if (cap > backoff->max_ms)
        cap = backoff->max_ms;
    backoff->cap_ms = cap;
    uint32_t random;
    evutil_secure_rng_get_bytes(&random, sizeof random);
    return cap / 2 + (int64_t)(random % (uint32_t)(cap - cap / 2 + 1));
}

void backoff_reset(struct backoff *backoff)
{
    backoff->cap_ms = 0;
}
