/* topology.c - the exchanges and queues of the suite, declared in one place; see topology.h */
#include "suite/topology.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/xalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct topology {
    struct amqp_conn *conn;
    int partitions;
    int next;     /* the queue being looked for: partitions, then the named ones */
    bool missing; /* the broker said so: make it */
    char error[320];
    topology_done done;
    void *arg;
};

static const char *const named_queues[] = {TOPOLOGY_DEAD,     TOPOLOGY_DEATHS,
                                           TOPOLOGY_OUTCOMES, TOPOLOGY_CYCLE_TIMES,
                                           TOPOLOGY_CONTROL,  TOPOLOGY_PAUSE};
#define NAMED ((int)(sizeof named_queues / sizeof named_queues[0]))

static void open_channel(struct topology *topology);
static void look_for_queue(struct topology *topology, struct amqp_chan *chan);

int topology_partition_of(const char *machine, int partitions)
{
    return (int)(hash_text(machine, 0) % (uint64_t)partitions);
}

const char *topology_partition_name(int partition, char out[TOPOLOGY_NAME_BYTES])
{
    snprintf(out, TOPOLOGY_NAME_BYTES, "mtc.events.%d", partition);
    return out;
}

/* Named queues come first: a partition's net must exist before the partition. */
static const char *queue_name(int index, char out[TOPOLOGY_NAME_BYTES])
{
    if (index < NAMED)
        return named_queues[index];
    return topology_partition_name(index - NAMED, out);
}

static amqp_table_entry_t text_argument(const char *key, const char *value)
{
    return (amqp_table_entry_t){
        .key = amqp_text(key),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_text(value)}};
}

static void on_queue(struct amqp_chan *chan, const amqp_method_t *reply, void *arg)
{
    (void)reply;
    struct topology *topology = arg;
    topology->missing = false;
    topology->next++;
    look_for_queue(topology, chan);
}

/*
 * Neither what lies dead nor the copy for the ledger can be dead-lettered to where it is; and what
 * tells a pause is no event.
 */
static bool has_net(const char *name)
{
    return strcmp(name, TOPOLOGY_DEAD) != 0 && strcmp(name, TOPOLOGY_DEATHS) != 0 &&
           strcmp(name, TOPOLOGY_CONTROL) != 0 && strcmp(name, TOPOLOGY_PAUSE) != 0;
}

static void make_queue(struct topology *topology, struct amqp_chan *chan, const char *name)
{
    amqp_table_entry_t arguments[8];
    int count = 0;
    arguments[count++] = text_argument("x-queue-type", "quorum");
    if (topology->next >= NAMED) {
        arguments[count++] = (amqp_table_entry_t){
            .key = amqp_text("x-single-active-consumer"),
            .value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}};
    }
    if (has_net(name)) {
        arguments[count++] = text_argument("x-dead-letter-exchange", TOPOLOGY_DEAD);
        arguments[count++] = text_argument("x-dead-letter-strategy", "at-least-once");
    }
    /* at-least-once demands this, and without a length limit it never rejects anything. */
    if (strcmp(name, TOPOLOGY_CONTROL) != 0)
        arguments[count++] = text_argument("x-overflow", "reject-publish");
    else
        arguments[count++] = (amqp_table_entry_t){
            .key = amqp_text("x-max-length"),
            .value = {.kind = AMQP_FIELD_KIND_I32, .value.i32 = 1}};
    arguments[count++] = (amqp_table_entry_t){
        .key = amqp_text("x-delivery-limit"),
        .value = {.kind = AMQP_FIELD_KIND_I32, .value.i32 = TOPOLOGY_DELIVERY_LIMIT}};
    amqp_queue_declare_t declare = {.queue = amqp_text(name),
                                    .durable = 1,
                                    .arguments = {.num_entries = count, .entries = arguments}};
    log_info("making queue", LF_S("queue", name));
    amqp_chan_call(chan, AMQP_QUEUE_DECLARE_METHOD, &declare, AMQP_QUEUE_DECLARE_OK_METHOD,
                   on_queue, topology);
}

static void on_last_binding(struct amqp_chan *chan, const amqp_method_t *reply, void *arg)
{
    (void)reply;
    (void)arg;
    amqp_chan_close(chan);
}

/* alternate: who gets what the exchange has no binding for, or NULL. */
static void declare_exchange(struct amqp_chan *chan, const char *name, const char *type,
                             const char *alternate)
{
    amqp_table_entry_t argument = text_argument("alternate-exchange", alternate ? alternate : "");
    amqp_exchange_declare_t declare = {
        .exchange = amqp_text(name),
        .type = amqp_text(type),
        .durable = 1,
        .arguments = {.num_entries = alternate ? 1 : 0, .entries = &argument}};
    amqp_chan_call(chan, AMQP_EXCHANGE_DECLARE_METHOD, &declare, AMQP_EXCHANGE_DECLARE_OK_METHOD,
                   NULL, NULL);
}

static void bind_queue(struct amqp_chan *chan, const char *queue, const char *exchange,
                       const char *key, amqp_reply on_reply)
{
    amqp_queue_bind_t bind = {
        .queue = amqp_text(queue), .exchange = amqp_text(exchange), .routing_key = amqp_text(key)};
    amqp_chan_call(chan, AMQP_QUEUE_BIND_METHOD, &bind, AMQP_QUEUE_BIND_OK_METHOD, on_reply, NULL);
}

static void bind_all(struct topology *topology, struct amqp_chan *chan)
{
    char name[TOPOLOGY_NAME_BYTES];
    declare_exchange(chan, TOPOLOGY_UNPAUSED, "direct", NULL);
    declare_exchange(chan, TOPOLOGY_CONTROL, "fanout", TOPOLOGY_UNPAUSED);
    declare_exchange(chan, TOPOLOGY_DEAD, "fanout", NULL);
    bind_queue(chan, TOPOLOGY_DEAD, TOPOLOGY_DEAD, "", NULL);
    bind_queue(chan, TOPOLOGY_DEATHS, TOPOLOGY_DEAD, "", NULL);
    declare_exchange(chan, TOPOLOGY_PARTITIONS, "direct", NULL);
    for (int p = 0; p < topology->partitions; p++) {
        const char *queue = topology_partition_name(p, name);
        bind_queue(chan, queue, TOPOLOGY_PARTITIONS, queue,
                   p == topology->partitions - 1 ? on_last_binding : NULL);
    }
}

static void look_for_queue(struct topology *topology, struct amqp_chan *chan)
{
    if (topology->next == NAMED + topology->partitions) {
        bind_all(topology, chan);
        return;
    }
    char room[TOPOLOGY_NAME_BYTES];
    const char *name = queue_name(topology->next, room);
    if (topology->missing) {
        make_queue(topology, chan, name);
        return;
    }
    amqp_queue_declare_t declare = {.queue = amqp_text(name), .passive = 1};
    amqp_chan_call(chan, AMQP_QUEUE_DECLARE_METHOD, &declare, AMQP_QUEUE_DECLARE_OK_METHOD,
                   on_queue, topology);
}

static void on_chan_open(struct amqp_chan *chan, void *arg)
{
    look_for_queue(arg, chan);
}

static void finish(struct topology *topology, const char *error)
{
    topology_done done = topology->done;
    void *arg = topology->arg;
    char text[sizeof topology->error];
    snprintf(text, sizeof text, "%s", error ? error : "");
    free(topology);
    done(error ? text : NULL, arg);
}

static void on_chan_closed(struct amqp_chan *chan, int code, const char *text, void *arg)
{
    (void)chan;
    struct topology *topology = arg;
    if (code == 0) {
        finish(topology, NULL);
    } else if (code == AMQP_NOT_FOUND && !topology->missing &&
               topology->next < NAMED + topology->partitions) {
        topology->missing = true;
        open_channel(topology);
    } else {
        snprintf(topology->error, sizeof topology->error, "RabbitMQ refuses the topology: %d %s",
                 code, text);
        finish(topology, topology->error);
    }
}

static void open_channel(struct topology *topology)
{
    static const struct amqp_chan_events events = {.on_open = on_chan_open,
                                                   .on_closed = on_chan_closed};
    if (!amqp_chan_open(topology->conn, &events, topology))
        amqp_conn_fail(topology->conn, "no channel to declare the topology on");
}

struct topology *topology_declare(struct amqp_conn *conn, int partitions, topology_done done,
                                  void *arg)
{
    struct topology *topology = xcalloc(1, sizeof *topology);
    topology->conn = conn;
    topology->partitions = partitions;
    topology->done = done;
    topology->arg = arg;
    open_channel(topology);
    return topology;
}

void topology_forget(struct topology *topology)
{
    free(topology);
}
