/*
 * pause_watch.c - has an operator paused the senders?; see pause_watch.h
 *
 * Diagnostics: a broker that does not answer for ten seconds is a warning, once until it does. A
 * message of ours that comes back as unroutable, or a channel that is closed, ends the connection:
 * the topology is declared anew then.
 */
#include "pause_watch.h"
#include "pause_memory.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "base/log.h"
#include "base/timer.h"
#include "base/xalloc.h"
#include "suite/topology.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ASK_MS   1000
#define LONG_MS  10000 /* without an answer: worth a warning */
#define PREFETCH 10

struct pause_watch {
    const char *worker;
    void (*on_known)(bool paused, void *arg);
    void *arg;
    struct timer *timer;
    struct amqp_conn *conn; /* chan is there only while this is up */
    struct amqp_chan *chan; /* NULL: not started */
    bool open;              /* and has its queue */
    char queue[200];        /* ours */
    bool asked;             /* the fence has not come yet */
    bool came_back;         /* the question has */
    struct pause_memory *memory;
    bool sure; /* on this connection "not paused" is no longer doubted */
    bool known, warned;
    int64_t asked_ms;
};

/* Questions and answers are of the moment: nothing of them is kept. */
static void publish(struct pause_watch *watch, const char *exchange)
{
    amqp_basic_properties_t properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG,
                                          .delivery_mode = 1};
    amqp_chan_publish(watch->chan, exchange, amqp_text(watch->queue), &properties, "", 0);
}

static void warn_if_long(struct pause_watch *watch)
{
    if (watch->warned || mono_ms() - watch->asked_ms < LONG_MS)
        return;
    watch->warned = true;
    log_warn(watch->known ? "RabbitMQ does not say whether senders are paused; as it said last"
                          : "RabbitMQ does not say whether senders are paused; none is taken yet");
}

static void ask(struct pause_watch *watch)
{
    if (watch->asked) {
        warn_if_long(watch);
        return;
    }
    if (amqp_conn_is_blocked(watch->conn))
        return;
    watch->asked = true;
    watch->came_back = false;
    watch->asked_ms = mono_ms();
    publish(watch, TOPOLOGY_CONTROL);
    publish(watch, "");
}

static void on_timer(void *arg)
{
    struct pause_watch *watch = arg;
    if (watch->open && amqp_conn_is_up(watch->conn))
        ask(watch);
}

/* --- what the broker tells --- */

static void tell(bool paused, void *arg)
{
    struct pause_watch *watch = arg;
    watch->asked = false;
    watch->warned = false;
    watch->known = true;
    watch->sure = true;
    watch->on_known(paused, watch->arg);
}

/* One channel, one queue: what was sent first comes first. */
static void on_delivery(struct amqp_chan *chan, struct amqp_incoming *incoming, void *arg)
{
    struct pause_watch *watch = arg;
    if (chan != watch->chan)
        return;
    amqp_chan_ack(chan, incoming->delivery_tag, false);
    if (incoming->exchange.len > 0) {
        watch->came_back = true;
        return;
    }
    if (!watch->asked)
        return; /* somebody else's message */
    if (watch->came_back && !watch->sure)
        pause_memory_ask(watch->memory, watch->conn); /* this broker may have been killed */
    else
        tell(!watch->came_back, watch);
}

static void on_return(struct amqp_chan *chan, struct amqp_incoming *incoming, void *arg)
{
    struct pause_watch *watch = arg;
    char text[160];
    if (chan != watch->chan)
        return;
    snprintf(text, sizeof text, "the question whether senders are paused was returned: %d %.*s",
             incoming->reply_code,
             (int)(incoming->reply_text.len < 80 ? incoming->reply_text.len : 80),
             (const char *)incoming->reply_text.bytes);
    amqp_conn_fail(watch->conn, text);
}

static void on_closed(struct amqp_chan *chan, int code, const char *text, void *arg)
{
    struct pause_watch *watch = arg;
    (void)code; /* never 0: it is not closed but with its connection */
    if (chan != watch->chan)
        return;
    watch->chan = NULL;
    watch->open = false;
    amqp_conn_fail(watch->conn, text);
}

static void on_cancelled(struct amqp_chan *chan, void *arg)
{
    struct pause_watch *watch = arg;
    (void)chan;
    amqp_conn_fail(watch->conn, "somebody deleted the queue of answers about a pause");
}

/* --- the queue --- */

static void on_open(struct amqp_chan *chan, void *arg)
{
    struct pause_watch *watch = arg;
    snprintf(watch->queue, sizeof watch->queue, TOPOLOGY_CONTROL ".%.128s.%08" PRIx32,
             watch->worker, (uint32_t)entropy_u64());
    amqp_bytes_t queue = amqp_text(watch->queue);
    amqp_queue_declare_t declare = {.queue = queue, .exclusive = 1};
    amqp_queue_bind_t bind = {
        .queue = queue, .exchange = amqp_text(TOPOLOGY_UNPAUSED), .routing_key = queue};
    amqp_chan_call(chan, AMQP_QUEUE_DECLARE_METHOD, &declare, AMQP_QUEUE_DECLARE_OK_METHOD, NULL,
                   NULL);
    amqp_chan_call(chan, AMQP_QUEUE_BIND_METHOD, &bind, AMQP_QUEUE_BIND_OK_METHOD, NULL, NULL);
    amqp_chan_consume(chan, watch->queue, watch->worker, PREFETCH, 0, NULL, NULL);
    watch->open = true;
    ask(watch);
}

void pause_watch_start(struct pause_watch *watch, struct amqp_conn *conn)
{
    static const struct amqp_chan_events events = {.on_open = on_open,
                                                   .on_closed = on_closed,
                                                   .on_delivery = on_delivery,
                                                   .on_return = on_return,
                                                   .on_cancelled = on_cancelled};
    watch->conn = conn;
    watch->open = watch->asked = watch->known = watch->sure = false;
    watch->chan = amqp_chan_open(conn, &events, watch);
    if (!watch->chan)
        amqp_conn_fail(conn, "no channel left");
}

void pause_watch_on_conn_down(struct pause_watch *watch)
{
    watch->chan = NULL;
    watch->open = watch->known = false;
    pause_memory_on_conn_down(watch->memory);
}

bool pause_watch_is_known(const struct pause_watch *watch)
{
    return watch->known;
}

struct pause_watch *pause_watch_new(struct loop *loop, const char *worker,
                                    void (*on_known)(bool paused, void *arg), void *arg)
{
    struct pause_watch *watch = xcalloc(1, sizeof *watch);
    watch->worker = worker;
    watch->on_known = on_known;
    watch->arg = arg;
    watch->memory = pause_memory_new(tell, watch);
    watch->timer = timer_new(loop, on_timer, watch);
    timer_every(watch->timer, ASK_MS);
    return watch;
}

void pause_watch_free(struct pause_watch *watch)
{
    if (!watch)
        return;
    timer_free(watch->timer);
    pause_memory_free(watch->memory);
    free(watch);
}
