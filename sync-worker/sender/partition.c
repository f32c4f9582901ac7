/* partition.c - this sender's consumers, one a partition; see partition.h */
#include "partition.h"
#include "rendezvous.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "suite/topology.h"

#include <stdlib.h>

struct partition {
    struct partitions *all;
    int index;
    char name[TOPOLOGY_NAME_BYTES];
    struct amqp_chan *chan; /* NULL: not consuming */
    uint64_t generation;
    struct held *roll; /* all that came in and is not freed, whoever has it */
    int working;       /* events looked up, requested or being settled */
};

struct partitions {
    struct partitions_settings settings;
    struct partitions_events events;
    void *arg;
    bool consuming; /* on this connection */
    struct partition each[];
};

struct partitions *partitions_new(const struct partitions_settings *settings,
                                  const struct partitions_events *events, void *arg)
{
    size_t count = (size_t)settings->count;
    struct partitions *all = xcalloc(1, sizeof *all + count * sizeof all->each[0]);
    all->settings = *settings;
    all->events = *events;
    all->arg = arg;
    for (int p = 0; p < settings->count; p++) {
        all->each[p].all = all;
        all->each[p].index = p;
        topology_partition_name(p, all->each[p].name);
    }
    return all;
}

void partitions_free(struct partitions *partitions)
{
    free(partitions);
}

/* --- what comes in --- */

static struct held *hold(struct partition *partition, const struct envelope *envelope,
                         struct amqp_incoming *incoming)
{
    struct held *held = held_new(envelope, incoming->body, incoming->len,
                                 partition->all->settings.allowance);
    incoming->body = NULL;
    held->partition = partition;
    held->queue = partition->name;
    held->generation = partition->generation;
    held->tag = incoming->delivery_tag;
    held_enrol(held, &partition->roll);
    return held;
}

static void on_marker(struct partition *partition, const struct marker *marker,
                      struct amqp_incoming *incoming)
{
    static const struct envelope none = {.event_id = "", .machine = ""};
    struct partitions *all = partition->all;
    struct held *held = hold(partition, &none, incoming);
    partition_begin_work(held);
    all->events.on_marker(held, marker, all->arg);
}

/* When the broker sent it, at the earliest: it may have stood unread. */
static int64_t since_ms(const struct amqp_chan *chan)
{
    int64_t behind_since_ms = amqp_conn_behind_since_ms(amqp_chan_conn(chan));
    return behind_since_ms ? behind_since_ms : mono_ms();
}

static void on_delivery(struct amqp_chan *chan, struct amqp_incoming *incoming, void *arg)
{
    struct partition *partition = arg;
    struct partitions *all = partition->all;
    struct envelope envelope;
    char room[ENVELOPE_ROOM];
    const char *problem;
    struct marker marker;
    if (marker_read(incoming->properties, &marker)) {
        on_marker(partition, &marker, incoming);
        return;
    }
    if (!envelope_read(incoming->properties, &envelope, room, &problem)) {
        envelope.event_id = envelope.event_id ? envelope.event_id : "";
        envelope.machine = envelope.machine ? envelope.machine : "";
        struct held *held = hold(partition, &envelope, incoming);
        partition_begin_work(held);
        all->events.on_unreadable(held, incoming->properties, problem, all->arg);
        return;
    }
    struct held *held = hold(partition, &envelope, incoming);
    held->since_ms = since_ms(chan);
    held->check = incoming->redelivered || envelope.repeat;
    metric_add(all->settings.metrics->received, 1);
    metric_add(all->settings.metrics->redelivered, incoming->redelivered);
    all->events.on_event(held, all->arg);
}

/* --- channels up and down --- */

static void lose_channel(struct partition *partition)
{
    partition->chan = NULL;
    partition->generation++;
    partition->working = 0;
    partition->all->events.on_channel_lost(partition, partition->all->arg);
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

static void consume(struct partition *partition, struct amqp_conn *conn)
{
    static const struct amqp_chan_events events = {
        .on_closed = on_closed, .on_delivery = on_delivery, .on_cancelled = on_cancelled};
    const struct partitions_settings *settings = &partition->all->settings;
    partition->chan = amqp_chan_open(conn, &events, partition);
    if (!partition->chan) {
        amqp_conn_fail(conn, "no channel left");
        return;
    }
    amqp_chan_consume(partition->chan, partition->name, settings->consumer_tag, settings->prefetch,
                      rendezvous_weight(settings->worker_name, partition->index), NULL, NULL);
}

void partitions_consume(struct partitions *partitions, struct amqp_conn *conn)
{
    if (partitions->consuming)
        return;
    partitions->consuming = true;
    for (int p = 0; p < partitions->settings.count; p++)
        consume(&partitions->each[p], conn);
}

bool partitions_are_consuming(const struct partitions *partitions)
{
    return partitions->consuming;
}

void partitions_on_conn_down(struct partitions *partitions)
{
    partitions->consuming = false;
    for (int p = 0; p < partitions->settings.count; p++)
        lose_channel(&partitions->each[p]);
}

void partitions_disown(struct partitions *partitions)
{
    for (int p = 0; p < partitions->settings.count; p++)
        partitions->each[p].generation++;
}

/* --- work and acks --- */

bool partitions_are_idle(const struct partitions *partitions)
{
    for (int p = 0; p < partitions->settings.count; p++) {
        if (partitions->each[p].working)
            return false;
    }
    return true;
}

bool partition_owns(const struct held *held)
{
    return held->partition->generation == held->generation;
}

void partition_begin_work(struct held *held)
{
    if (partition_owns(held))
        held->partition->working++;
}

void partition_end_work(struct held *held)
{
    const struct partitions *all = held->partition->all;
    if (!partition_owns(held))
        return;
    held->partition->working--;
    all->events.on_work_done(all->arg);
}

int64_t *partition_rows(const struct partition *partition, size_t *count)
{
    size_t room = 0;
    for (const struct held *held = partition->roll; held; held = held->roll_next)
        room++;
    int64_t *rows = xcalloc(room + 1, sizeof *rows);
    *count = 0;
    for (const struct held *held = partition->roll; held; held = held->roll_next) {
        if (partition_owns(held) && held->envelope.seq)
            rows[(*count)++] = held->envelope.seq;
    }
    return rows;
}

/*
 * Responsibility ends here: MTConnect has the event, or mtc.dead has, and mtc.outcomes says so, all
 * confirmed. If we died one line earlier, the broker would deliver the event again, marked, and its
 * sent key would be found.
 */
void partition_ack(struct held *held)
{
    if (!partition_owns(held))
        return;
    amqp_chan_ack(held->partition->chan, held->tag, false);
    partition_end_work(held);
}
