/* pause_watch.c - has an operator paused the senders? see pause_watch.h */
#include "pause_watch.h"
#include "base/timer.h"
#include "base/xalloc.h"
#include "suite/topology.h"

#include <stdlib.h>

#define LOOK_MS 1000

struct pause_watch {
    struct publisher *publisher;
    void (*on_known)(bool paused, void *arg);
    void *arg;
    struct timer *timer;
};

static void on_count(struct amqp_chan *chan, const amqp_method_t *reply, void *arg)
{
    (void)chan;
    struct pause_watch *watch = arg;
    const amqp_queue_declare_ok_t *ok = reply->decoded;
    watch->on_known(ok->message_count > 0, watch->arg);
}

void pause_watch_look(struct pause_watch *watch)
{
    if (!publisher_is_ready(watch->publisher))
        return;
    amqp_queue_declare_t declare = {.queue = amqp_text(TOPOLOGY_CONTROL), .passive = 1};
    amqp_chan_call(publisher_channel(watch->publisher), AMQP_QUEUE_DECLARE_METHOD, &declare,
                   AMQP_QUEUE_DECLARE_OK_METHOD, on_count, watch);
}

static void on_timer(void *arg)
{
    pause_watch_look(arg);
}

struct pause_watch *pause_watch_new(struct loop *loop, struct publisher *publisher,
                                    void (*on_known)(bool paused, void *arg), void *arg)
{
    struct pause_watch *watch = xcalloc(1, sizeof *watch);
    watch->publisher = publisher;
    watch->on_known = on_known;
    watch->arg = arg;
    watch->timer = timer_new(loop, on_timer, watch);
    timer_every(watch->timer, LOOK_MS);
    return watch;
}

void pause_watch_free(struct pause_watch *watch)
{
    if (!watch)
        return;
    timer_free(watch->timer);
    free(watch);
}
