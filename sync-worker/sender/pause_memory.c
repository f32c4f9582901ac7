/*
 * pause_memory.c - a pause that the broker has forgotten is set again; see pause_memory.h
 *
 * Diagnostics: a pause that was forgotten is a warning.
 */
#include "pause_memory.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "net/amqp_chan.h"
#include "suite/topology.h"

#include <stdlib.h>

struct pause_memory {
    void (*on_told)(bool paused, void *arg);
    void *arg;
    struct amqp_chan *chan; /* NULL: nothing is asked */
};

static void tell(struct pause_memory *memory, bool paused)
{
    amqp_chan_close(memory->chan); /* the broker takes the message back */
    memory->chan = NULL;
    memory->on_told(paused, memory->arg);
}

static void on_bound(struct amqp_chan *chan, const amqp_method_t *reply, void *arg)
{
    (void)reply;
    struct pause_memory *memory = arg;
    if (chan != memory->chan)
        return;
    log_warn("RabbitMQ had forgotten that senders are paused; it has been told again");
    tell(memory, true);
}

static void on_looked(struct amqp_chan *chan, const amqp_method_t *reply, void *arg)
{
    struct pause_memory *memory = arg;
    amqp_queue_bind_t bind = {.queue = amqp_text(TOPOLOGY_CONTROL),
                              .exchange = amqp_text(TOPOLOGY_CONTROL)};
    if (chan != memory->chan)
        return;
    if (reply->id == AMQP_BASIC_GET_OK_METHOD)
        amqp_chan_call(chan, AMQP_QUEUE_BIND_METHOD, &bind, AMQP_QUEUE_BIND_OK_METHOD, on_bound,
                       memory);
    else
        tell(memory, false);
}

static void on_open(struct amqp_chan *chan, void *arg)
{
    amqp_chan_get(chan, TOPOLOGY_PAUSE, on_looked, arg);
}

static void on_closed(struct amqp_chan *chan, int code, const char *text, void *arg)
{
    (void)code; /* 0: by us, and then it is ours no more */
    struct pause_memory *memory = arg;
    if (chan != memory->chan)
        return;
    memory->chan = NULL;
    amqp_conn_fail(amqp_chan_conn(chan), text);
}

void pause_memory_ask(struct pause_memory *memory, struct amqp_conn *conn)
{
    static const struct amqp_chan_events events = {.on_open = on_open, .on_closed = on_closed};
    memory->chan = amqp_chan_open(conn, &events, memory);
    if (!memory->chan)
        amqp_conn_fail(conn, "no channel left");
}

void pause_memory_on_conn_down(struct pause_memory *memory)
{
    memory->chan = NULL;
}

struct pause_memory *pause_memory_new(void (*on_told)(bool paused, void *arg), void *arg)
{
    struct pause_memory *memory = xcalloc(1, sizeof *memory);
    memory->on_told = on_told;
    memory->arg = arg;
    return memory;
}

void pause_memory_free(struct pause_memory *memory)
{
    free(memory);
}
