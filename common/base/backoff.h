/*
 * backoff.h - growing pauses with jitter between attempts to reach a dependency
 *
 * "Full jitter" over the upper half: each pause is drawn from [cap/2, cap], and cap doubles from
 * min to max, so many processes that lost the same broker do not come back in step. Source: M.
 * Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 ("equal jitter").
 */
#ifndef MTC_BACKOFF_H
#define MTC_BACKOFF_H

#include <stdint.h>

struct backoff {
    int64_t min_ms, max_ms; /* set by the owner, 0 < min_ms <= max_ms */
    int64_t cap_ms;         /* 0: fresh */
};

int64_t backoff_next_ms(struct backoff *backoff);
void backoff_reset(struct backoff *backoff);

#endif
