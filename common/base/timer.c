/* timer.c - something that is to happen later, on the program's loop; see timer.h */
#include "base/timer.h"
#include "base/xalloc.h"

#include <event2/event.h>
#include <stdlib.h>

struct timer {
    struct event *event;
    void (*on_due)(void *arg);
    void *arg;
    int64_t period_ms; /* 0: once */
};

static void start(struct timer *timer, int64_t ms)
{
    if (ms < 0)
        ms = 0;
    struct timeval wait = {.tv_sec = (time_t)(ms / 1000),
                           .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
    if (event_add(timer->event, &wait) != 0)
        out_of_memory(0);
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct timer *timer = arg;
    if (timer->period_ms)
        start(timer, timer->period_ms);
    timer->on_due(timer->arg); /* may be the end of the timer */
}

struct timer *timer_new(struct loop *loop, void (*on_due)(void *arg), void *arg)
{
    struct timer *timer = xcalloc(1, sizeof *timer);
    timer->on_due = on_due;
    timer->arg = arg;
    timer->event = evtimer_new(loop_events(loop), on_event, timer);
    if (!timer->event)
        out_of_memory(0);
    return timer;
}

void timer_free(struct timer *timer)
{
    if (!timer)
        return;
    event_free(timer->event);
    free(timer);
}

void timer_in(struct timer *timer, int64_t ms)
{
    timer->period_ms = 0;
    start(timer, ms);
}

void timer_every(struct timer *timer, int64_t ms)
{
    timer->period_ms = ms;
    start(timer, ms);
}

void timer_soon(struct timer *timer)
{
    event_active(timer->event, EV_TIMEOUT, 0);
}

void timer_cancel(struct timer *timer)
{
    timer->period_ms = 0;
    event_del(timer->event);
}

bool timer_is_started(const struct timer *timer)
{
    return event_pending(timer->event, EV_TIMEOUT, NULL) != 0;
}
