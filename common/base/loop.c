/* loop.c - the one event loop of a program; see loop.h */
#include "base/loop.h"
#include "base/xalloc.h"

#include <event2/event.h>
#include <stdlib.h>

struct loop {
    struct event_base *events;
};

struct loop *loop_new(void)
{
    struct loop *loop = xcalloc(1, sizeof *loop);
    loop->events = event_base_new();
    if (!loop->events)
        out_of_memory(0);
    return loop;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    event_base_free(loop->events);
    free(loop);
}

void loop_run(struct loop *loop)
{
    event_base_dispatch(loop->events);
}

void loop_stop(struct loop *loop)
{
    event_base_loopexit(loop->events, NULL);
}

void loop_break(struct loop *loop)
{
    event_base_loopbreak(loop->events);
}

struct event_base *loop_events(struct loop *loop)
{
    return loop->events;
}
