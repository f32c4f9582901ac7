/* backoff.c - growing pauses with jitter; see backoff.h */
#include "base/backoff.h"
#include "base/entropy.h"

int64_t backoff_next_ms(struct backoff *backoff)
{
    int64_t cap = backoff->cap_ms ? backoff->cap_ms * 2 : backoff->min_ms;
    if (cap > backoff->max_ms)
        cap = backoff->max_ms;
    backoff->cap_ms = cap;
    return cap / 2 + entropy_up_to((uint32_t)(cap - cap / 2));
}

void backoff_reset(struct backoff *backoff)
{
    backoff->cap_ms = 0;
}
