/* pause_watch.c - has an operator paused the senders?; see pause_watch.h */
#include "pause_watch.h"
#include "base/clock.h"
#include "sender.h"
#include "suite/topology.h"
#include "base/xalloc.h"

#include <stdlib.h>

#define LOOK_MS 1000

struct pause {
    struct sender *sender;
    struct timer *timer;
};

static void on_count(struct amqp_chan *chan, const amqp_method_t *reply, void *arg)
{
    (void)chan;
    struct sender *sender = ((struct pause *)arg)->sender;
    const amqp_queue_declare_ok_t *ok = reply->decoded;
    sender_on_pause_known(sender, ok->message_count > 0);
}

void pause_look(struct pause *pause)
{
    if (!pause->sender->publishing)
        return;
    amqp_queue_declare_t declare = {.queue = amqp_text(TOPOLOGY_CONTROL), .passive = 1};
    amqp_chan_call(pause->sender->publishing, AMQP_QUEUE_DECLARE_METHOD, &declare,
                   AMQP_QUEUE_DECLARE_OK_METHOD, on_count, pause);
}

static void on_timer(void *arg)
{
    pause_look(arg);
}

struct pause *pause_new(struct sender *sender)
{
    struct pause *pause = xcalloc(1, sizeof *pause);
    pause->sender = sender;
    pause->timer = timer_new(sender->service->loop, on_timer, pause);
    timer_every(pause->timer, LOOK_MS);
    return pause;
}

void pause_free(struct pause *pause)
{
    if (!pause)
        return;
    timer_free(pause->timer);
    free(pause);
}
