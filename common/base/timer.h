/*
 * timer.h - something that is to happen later, on the program's loop
 *
 * A timer is made once and started again and again; it fires once per start, unless timer_every()
 * started it. Times are milliseconds of the monotonic clock. A callback may start, cancel or free
 * any timer, its own included. Making one never fails: a program without memory for a timer is
 * beyond help.
 */
#ifndef MTC_TIMER_H
#define MTC_TIMER_H

#include "base/loop.h"

#include <stdbool.h>
#include <stdint.h>

struct timer;

/* The caller frees it, before the loop. */
struct timer *timer_new(struct loop *loop, void (*on_due)(void *arg), void *arg);
void timer_free(struct timer *timer); /* NULL is fine */

/* Fires in ms from now; one that was started before is started anew. 0 or less: at the next
 * turn. */
void timer_in(struct timer *timer, int64_t ms);

/* Fires every ms, the first time ms from now, until it is cancelled or started otherwise. */
void timer_every(struct timer *timer, int64_t ms);

/*
 * Fires right after the present callback, ahead of whatever the kernel has to tell; several calls
 * before that make one. For work that must not run inside the caller.
 */
void timer_soon(struct timer *timer);

void timer_cancel(struct timer *timer);

/* Started by timer_in() or timer_every() and not fired since. */
bool timer_is_started(const struct timer *timer);

#endif
