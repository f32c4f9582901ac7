/* publisher.c - web-hooks onto mtc.cycle-times, with confirms; see publisher.h */
#include "publisher.h"
#include "net/amqp_chan.h"
#include "suite/envelope.h"
#include "suite/settings.h"
#include "suite/topology.h"
#include "base/xalloc.h"

#include <stdio.h>
#include <stdlib.h>

struct flight {
    uint64_t tag;
    publisher_done done;
    void *arg;
    struct flight *next;
};

struct publisher {
    struct service *service;
    struct amqp_conn *conn;
    struct amqp_chan *chan;
    struct topology *topology;
    struct flight *first, **last; /* in the order of their tags */
    int64_t count;
};

/* Those up to tag (all of them if multiple), in order. The callbacks may publish again. */
static void confirm(struct publisher *publisher, uint64_t tag, bool multiple)
{
    struct flight **at = &publisher->first, *confirmed = NULL, **end = &confirmed;
    while (*at && (*at)->tag <= tag) {
        struct flight *flight = *at;
        if (!multiple && flight->tag != tag) {
            at = &flight->next;
            continue;
        }
        *at = flight->next;
        if (!*at)
            publisher->last = at;
        publisher->count--;
        flight->next = NULL;
        *end = flight;
        end = &flight->next;
    }
    while (confirmed) {
        struct flight *flight = confirmed;
        confirmed = flight->next;
        flight->done(true, flight->arg);
        free(flight);
    }
}

static void lose_all(struct publisher *publisher)
{
    struct flight *flight = publisher->first;
    publisher->first = NULL;
    publisher->last = &publisher->first;
    publisher->count = 0;
    publisher->chan = NULL;
    while (flight) {
        struct flight *next = flight->next;
        flight->done(false, flight->arg);
        free(flight);
        flight = next;
    }
}

static void on_confirm(struct amqp_chan *chan, uint64_t tag, bool multiple, bool ack, void *arg)
{
    if (ack)
        confirm(arg, tag, multiple);
    else
        amqp_conn_fail(amqp_chan_conn(chan), "the broker refused a message");
}

/* A returned message is confirmed after that all the same: the connection is given up before. */
static void on_return(struct amqp_chan *chan, struct amqp_incoming *incoming, void *arg)
{
    (void)incoming;
    (void)arg;
    amqp_conn_fail(amqp_chan_conn(chan), "mtc.cycle-times is missing");
}

static void on_closed(struct amqp_chan *chan, int code, const char *text, void *arg)
{
    (void)code;
    lose_all(arg);
    amqp_conn_fail(amqp_chan_conn(chan), text);
}

static void on_declared(const char *error, void *arg)
{
    static const struct amqp_chan_events events = {
        .on_closed = on_closed, .on_confirm = on_confirm, .on_return = on_return};
    struct publisher *publisher = arg;
    publisher->topology = NULL;
    if (error) {
        amqp_conn_fail(publisher->conn, error);
        return;
    }
    publisher->chan = amqp_chan_open(publisher->conn, &events, publisher);
    if (!publisher->chan) {
        amqp_conn_fail(publisher->conn, "no channel left");
        return;
    }
    amqp_chan_confirm_select(publisher->chan);
}

static void on_up(void *arg)
{
    struct publisher *publisher = arg;
    publisher->topology = topology_declare(publisher->conn,
                                           (int)publisher->service->config->topology_partitions,
                                           on_declared, publisher);
}

static void on_down(const char *reason, void *arg)
{
    (void)reason;
    struct publisher *publisher = arg;
    topology_forget(publisher->topology);
    publisher->topology = NULL;
    lose_all(publisher);
}

bool publisher_is_ready(const struct publisher *publisher)
{
    return publisher->chan && !amqp_conn_is_blocked(publisher->conn);
}

bool publisher_send(struct publisher *publisher, const char *key, const char *traceparent,
                    const char *text, size_t len, publisher_done done, void *arg)
{
    if (!publisher_is_ready(publisher) ||
        publisher->count >= publisher->service->config->receiver_pending_max)
        return false;
    struct envelope envelope = {.event_id = key, .kind = "cycle-time", .traceparent = traceparent};
    struct envelope_properties message;
    envelope_write(&envelope, &message);
    uint64_t tag = amqp_chan_publish(publisher->chan, "", amqp_text(TOPOLOGY_CYCLE_TIMES),
                                     &message.properties, text, len);
    if (!tag)
        return false;
    struct flight *flight = xmalloc(sizeof *flight);
    *flight = (struct flight){.tag = tag, .done = done, .arg = arg};
    *publisher->last = flight;
    publisher->last = &flight->next;
    publisher->count++;
    return true;
}

void publisher_close(struct publisher *publisher, void (*done)(void *arg), void *arg)
{
    amqp_conn_close(publisher->conn, done, arg);
}

struct publisher *publisher_new(struct service *service, char *error, size_t error_size)
{
    static const struct amqp_conn_events events = {.on_up = on_up, .on_down = on_down};
    struct publisher *publisher = xcalloc(1, sizeof *publisher);
    struct amqp_conn_settings settings = settings_amqp(service->config, service->connection_name);
    publisher->service = service;
    publisher->last = &publisher->first;
    publisher->conn = amqp_conn_new(service->loop, service->resolver, &settings, &events, publisher,
                                    error, error_size);
    if (!publisher->conn) {
        publisher_free(publisher);
        return NULL;
    }
    return publisher;
}

void publisher_free(struct publisher *publisher)
{
    if (!publisher)
        return;
    topology_forget(publisher->topology);
    amqp_conn_free(publisher->conn);
    while (publisher->first) {
        struct flight *flight = publisher->first;
        publisher->first = flight->next;
        free(flight);
    }
    free(publisher);
}
