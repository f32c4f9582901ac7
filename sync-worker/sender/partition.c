/* partition.c - this sender's consumers, one a partition; see partition.h */
#include "partition.h"
#include "base/clock.h"
#include "held.h"
#include "base/log.h"
#include "rendezvous.h"
#include "sender.h"
#include "settle.h"

#include <string.h>

static void on_delivery(struct amqp_chan *chan, struct amqp_incoming *incoming, void *arg)
{
    (void)chan;
    struct partition *partition = arg;
    struct sender *sender = partition->sender;
    struct envelope envelope;
    char room[ENVELOPE_ROOM];
    const char *problem;
    if (!envelope_read(incoming->properties, &envelope, room, &problem)) {
        settle_unreadable(sender->settle, partition, incoming, problem);
        return;
    }
    struct held *held = held_new(&envelope, incoming->body, incoming->len);
    incoming->body = NULL;
    held->partition = partition;
    held->generation = partition->generation;
    held->tag = incoming->delivery_tag;
    held->since_ms = mono_ms();
    held->check = incoming->redelivered || envelope.repeat;
    metric_add(sender->metrics.received, 1);
    metric_add(sender->metrics.redelivered, incoming->redelivered);
    lanes_push(&sender->lanes, held);
    sender_run_soon(sender);
}

static void lose_channel(struct partition *partition)
{
    partition->chan = NULL;
    partition->generation++;
    partition->working = 0;
    lanes_drop(&partition->sender->lanes, partition);
}

static void on_closed(struct amqp_chan *chan, int code, const char *text, void *arg)
{
    struct partition *partition = arg;
    lose_channel(partition);
    (void)code; /* never 0: we don't close channels */
    log_error("the broker closed a partition's channel", LF_S("queue", partition->name),
              LF_S("reason", text));
    amqp_conn_fail(amqp_chan_conn(chan), text);
}

static void on_cancelled(struct amqp_chan *chan, void *arg)
{
    struct partition *partition = arg;
    log_error("the broker cancelled a consumer (queue deleted or moved)",
              LF_S("queue", partition->name));
    amqp_conn_fail(amqp_chan_conn(chan), "consumer cancelled");
}

void partition_start(struct partition *partition)
{
    static const struct amqp_chan_events events = {
        .on_closed = on_closed, .on_delivery = on_delivery, .on_cancelled = on_cancelled};
    struct sender *sender = partition->sender;
    partition->chan = amqp_chan_open(sender->conn, &events, partition);
    if (!partition->chan) {
        amqp_conn_fail(sender->conn, "no channel left");
        return;
    }
    amqp_chan_consume(partition->chan, partition->name, sender->service->connection_name,
                      (uint16_t)sender->service->config->sender_prefetch,
                      rendezvous_weight(sender->service->worker_name, partition->index), NULL,
                      NULL);
}

void partition_on_conn_down(struct partition *partition)
{
    lose_channel(partition);
}

bool held_is_ours(const struct held *held)
{
    return held->partition->generation == held->generation;
}

void partition_begin_work(struct held *held)
{
    if (held_is_ours(held))
        held->partition->working++;
}

void partition_end_work(struct held *held)
{
    if (!held_is_ours(held))
        return;
    held->partition->working--;
    sender_on_work_done(held->partition->sender);
}

/*
 * Responsibility ends here: MTConnect has the event, or mtc.dead has, and mtc.outcomes says so, all
 * confirmed. Died we one line earlier, the broker would deliver the event again, marked, and its
 * sent key would be found.
 */
void partition_ack(struct held *held)
{
    if (!held_is_ours(held))
        return;
    amqp_chan_ack(held->partition->chan, held->tag, false);
    partition_end_work(held);
}
