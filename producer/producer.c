/* producer.c - one connection to the broker shared by the relay and the ledger; see producer.h */
#include "producer.h"
#include "ledger.h"
#include "relay.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "net/amqp_conn.h"
#include "suite/settings.h"

#include <stdlib.h>

struct producer {
    struct service *service;
    struct producer_metrics metrics;
    struct amqp_conn *conn;
    struct publisher *publisher; /* of the relay's events */
    struct relay *relay;
    struct ledger *ledger;
};

/* --- the connection and the publisher --- */

static void on_up(void *arg)
{
    struct producer *producer = arg;
    presence_on_conn_up(producer->service->presence, producer->conn);
    publisher_declare_and_open(producer->publisher,
                               (int)producer->service->config->topology_partitions);
}

static void on_down(const char *reason, void *arg)
{
    struct producer *producer = arg;
    (void)reason;
    ledger_on_conn_down(producer->ledger);
    publisher_on_conn_down(producer->publisher);
}

static void on_blocked(bool blocked, void *arg)
{
    struct producer *producer = arg;
    if (!blocked)
        relay_wake(producer->relay);
}

static void on_ready(void *arg)
{
    struct producer *producer = arg;
    ledger_start(producer->ledger, producer->conn);
    relay_on_publisher_ready(producer->relay, producer->publisher);
}

static void on_lost(void *arg)
{
    struct producer *producer = arg;
    relay_on_publisher_lost(producer->relay);
}

static void on_confirmed(uint64_t tag, bool multiple, void *arg)
{
    struct producer *producer = arg;
    relay_on_confirmed(producer->relay, tag, multiple);
}

/* --- drain --- */

static void on_conn_closed(void *arg)
{
    struct producer *producer = arg;
    service_drained(producer->service);
}

static void on_relay_drained(void *arg)
{
    struct producer *producer = arg;
    publisher_on_conn_down(producer->publisher);
    /* A batch under way may be committed and not acked: it is told again, which changes nothing. */
    ledger_on_conn_down(producer->ledger);
    amqp_conn_close(producer->conn, on_conn_closed, producer);
}

void producer_drain(void *state)
{
    struct producer *producer = state;
    relay_drain(producer->relay, on_relay_drained, producer);
}

/* --- what the skeleton asks --- */

static void before_render(void *arg)
{
    const struct producer *producer = arg;
    metric_set(producer->metrics.oldest_waiting, age_s(relay_oldest_us(producer->relay)));
}

bool producer_ready(const void *state, const char **why)
{
    const struct producer *producer = state;
    if (!relay_is_connected(producer->relay) || !ledger_is_connected(producer->ledger))
        *why = "no PostgreSQL";
    else if (!publisher_is_ready(producer->publisher))
        *why = "no RabbitMQ";
    else
        return true;
    return false;
}

void producer_stop(void *state)
{
    struct producer *producer = state;
    amqp_conn_free(producer->conn);
    publisher_free(producer->publisher);
    relay_free(producer->relay);
    ledger_free(producer->ledger);
    free(producer);
}

/* False with a message. */
static bool connect_all(struct producer *producer, char *error, size_t error_size)
{
    static const struct amqp_conn_events conn_events = {
        .on_up = on_up, .on_down = on_down, .on_blocked = on_blocked};
    static const struct publisher_events publisher_events = {
        .on_ready = on_ready, .on_lost = on_lost, .on_confirmed = on_confirmed};
    const struct service *service = producer->service;
    struct amqp_conn_settings settings = settings_amqp(service->config, service->connection_name);
    producer->relay = relay_new(service, &producer->metrics, error, error_size);
    if (!producer->relay)
        return false;
    producer->ledger = ledger_new(service, &producer->metrics, error, error_size);
    if (!producer->ledger)
        return false;
    producer->conn = amqp_conn_new(service->loop, service->resolver, &settings, &conn_events,
                                   producer, error, error_size);
    if (!producer->conn)
        return false;
    producer->publisher = publisher_new(producer->conn, "a message", &publisher_events, producer);
    return true;
}

void *producer_start(struct service *service)
{
    char error[256] = "";
    struct producer *producer = xcalloc(1, sizeof *producer);
    producer->service = service;
    producer_metrics_register(&producer->metrics, service->metrics);
    if (!connect_all(producer, error, sizeof error)) {
        log_error("cannot start", LF_S("reason", error));
        producer_stop(producer);
        return NULL;
    }
    metrics_on_render(service->metrics, before_render, producer);
    return producer;
}
