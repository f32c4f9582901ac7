/* producer.c - one connection to the broker shared by the relay and the ledger; see producer.h */
#include "producer.h"
#include "net/amqp_chan.h"
#include "base/clock.h"
#include "ledger.h"
#include "base/log.h"
#include "relay.h"
#include "suite/settings.h"
#include "suite/topology.h"
#include "base/xalloc.h"

#include <stdio.h>
#include <stdlib.h>

struct producer {
    struct service *service;
    struct amqp_conn *conn;
    struct amqp_chan *publishing;
    struct topology *topology;
    struct relay *relay;
    struct ledger *ledger;
};

static void on_publishing_closed(struct amqp_chan *chan, int code, const char *text, void *arg)
{
    (void)code;
    struct producer *producer = arg;
    producer->publishing = NULL;
    relay_set_channel(producer->relay, NULL);
    amqp_conn_fail(amqp_chan_conn(chan), text);
}

/* Here responsibility for events passes to the broker: an ack says they are on disk at a
 * majority. */
static void on_confirm(struct amqp_chan *chan, uint64_t tag, bool multiple, bool ack, void *arg)
{
    struct producer *producer = arg;
    if (ack)
        relay_on_confirm(producer->relay, tag, multiple);
    else /* what followed may have been taken: begin again at the oldest that is not confirmed */
        amqp_conn_fail(amqp_chan_conn(chan), "the broker refused a message");
}

/*
 * A message no queue took comes back, and is confirmed after that as if nothing had happened: the
 * connection is given up before the confirm is looked at, and the topology is declared anew.
 */
static void on_return(struct amqp_chan *chan, struct amqp_incoming *incoming, void *arg)
{
    (void)arg;
    char text[128];
    snprintf(text, sizeof text, "a message was returned: %d %.*s", incoming->reply_code,
             (int)(incoming->reply_text.len < 80 ? incoming->reply_text.len : 80),
             (const char *)incoming->reply_text.bytes);
    amqp_conn_fail(amqp_chan_conn(chan), text);
}

static void on_declared(const char *error, void *arg)
{
    static const struct amqp_chan_events events = {
        .on_closed = on_publishing_closed, .on_confirm = on_confirm, .on_return = on_return};
    struct producer *producer = arg;
    producer->topology = NULL;
    if (error) {
        amqp_conn_fail(producer->conn, error);
        return;
    }
    producer->publishing = amqp_chan_open(producer->conn, &events, producer);
    if (!producer->publishing) {
        amqp_conn_fail(producer->conn, "no channel left");
        return;
    }
    amqp_chan_confirm_select(producer->publishing);
    ledger_start(producer->ledger, producer->conn);
    relay_set_channel(producer->relay, producer->publishing);
}

static void on_up(void *arg)
{
    struct producer *producer = arg;
    producer->topology = topology_declare(
        producer->conn, (int)producer->service->config->topology_partitions, on_declared, producer);
}

static void on_down(const char *reason, void *arg)
{
    (void)reason;
    struct producer *producer = arg;
    topology_forget(producer->topology);
    producer->topology = NULL;
    ledger_on_conn_down(producer->ledger);
    if (producer->publishing) {
        producer->publishing = NULL;
        relay_set_channel(producer->relay, NULL);
    }
}

static void on_blocked(bool blocked, void *arg)
{
    struct producer *producer = arg;
    if (!blocked)
        relay_wake(producer->relay);
}

bool producer_ready(const void *state, const char **why)
{
    const struct producer *producer = state;
    if (!relay_is_connected(producer->relay) || !ledger_is_connected(producer->ledger))
        *why = "no PostgreSQL";
    else if (!producer->publishing)
        *why = "no RabbitMQ";
    else
        return true;
    return false;
}

static void on_conn_closed(void *arg)
{
    struct producer *producer = arg;
    service_drained(producer->service);
}

static void on_relay_drained(void *arg)
{
    struct producer *producer = arg;
    producer->publishing = NULL;
    /* A batch under way may be committed and not acked: it is told again, which changes nothing. */
    ledger_on_conn_down(producer->ledger);
    amqp_conn_close(producer->conn, on_conn_closed, producer);
}

void producer_drain(void *state)
{
    struct producer *producer = state;
    relay_drain(producer->relay, on_relay_drained, producer);
}

void producer_stop(void *state)
{
    struct producer *producer = state;
    topology_forget(producer->topology);
    amqp_conn_free(producer->conn);
    relay_free(producer->relay);
    ledger_free(producer->ledger);
    free(producer);
}

void *producer_start(struct service *service)
{
    static const struct amqp_conn_events events = {
        .on_up = on_up, .on_down = on_down, .on_blocked = on_blocked};
    char error[256] = "";
    struct producer *producer = xcalloc(1, sizeof *producer);
    producer->service = service;
    struct amqp_conn_settings settings = settings_amqp(service->config, service->connection_name);
    producer->relay = relay_new(service, error, sizeof error);
    producer->ledger = producer->relay ? ledger_new(service, error, sizeof error) : NULL;
    producer->conn = producer->ledger ? amqp_conn_new(service->loop, service->resolver, &settings,
                                                      &events, producer, error, sizeof error)
                                      : NULL;
    if (!producer->conn) {
        log_error("cannot start", LF_S("reason", error));
        producer_stop(producer);
        return NULL;
    }
    return producer;
}
