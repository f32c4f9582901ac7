/*
 * receiver.c - mtc-receiver: web-hooks from MTConnect onto the broker; see receiver.h
 *
 * Diagnostics: with web-hooks on, a missing secret or an address that can't be listened on refuses
 * to start; servers that are down are waited for.
 */
#include "receiver.h"
#include "hooks.h"
#include "registration.h"
#include "secrets.h"
#include "base/budget.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "net/http_server.h"
#include "suite/settings.h"

#include <stdlib.h>

#define HEADERS_MAX      16384                /* bytes */
#define CONNECTION_BYTES (HEADERS_MAX + 1024) /* that an open one takes, silent or not */

struct receiver {
    struct service *service;
    struct http_server *server;
    struct budget *budget; /* of what is under way */
    struct hooks *hooks;
    struct amqp_conn *broker;
    struct publisher *publisher;
    struct redis_conn *redis; /* NULL: done without */
    struct machines *machines;
    struct registration *registration; /* NULL: nothing to register */
    struct signature_secret secrets[SIGNATURE_SECRETS];
    struct receiver_metrics metrics;
    bool draining;
};

/* --- the broker --- */

static void on_broker_up(void *arg)
{
    const struct receiver *receiver = arg;
    presence_on_conn_up(receiver->service->presence, receiver->broker);
    publisher_declare_and_open(receiver->publisher,
                               (int)receiver->service->config->topology_partitions);
}

static void on_broker_down(const char *reason, void *arg)
{
    (void)reason; /* the connection has logged it */
    const struct receiver *receiver = arg;
    publisher_on_conn_down(receiver->publisher);
}

bool receiver_ready(const void *state, const char **why)
{
    const struct receiver *receiver = state;
    *why = "no RabbitMQ";
    return publisher_is_ready(receiver->publisher) && !publisher_is_blocked(receiver->publisher);
}

/* --- drain: what is under way is finished, then the broker is left politely --- */

static void on_broker_closed(void *arg)
{
    const struct receiver *receiver = arg;
    service_drained(receiver->service);
}

static void on_idle(void *arg)
{
    struct receiver *receiver = arg;
    if (!receiver->draining)
        return;
    publisher_on_conn_down(receiver->publisher);
    amqp_conn_close(receiver->broker, on_broker_closed, arg);
}

void receiver_drain(void *state)
{
    struct receiver *receiver = state;
    http_server_stop_listening(receiver->server);
    hooks_drain(receiver->hooks);
    receiver->draining = true;
    if (hooks_under_way(receiver->hooks) == 0)
        on_idle(receiver);
}

/* --- what people ask, and change --- */

static void before_render(void *arg)
{
    const struct receiver *receiver = arg;
    metric_set(receiver->metrics.under_way, hooks_under_way(receiver->hooks));
    metric_set(receiver->metrics.held_bytes, (double)budget_held(receiver->budget));
}

void receiver_reload(void *state)
{
    struct receiver *receiver = state;
    char error[256];
    if (!secrets_read(receiver->secrets, receiver->service->config, error, sizeof error))
        log_error("secret not read; going on with the one before", LF_S("reason", error));
    if (receiver->registration)
        registration_reload(receiver->registration);
}

/* --- start and stop --- */

/* Half of the memory is for connections, half for what they bring. */
static size_t half_of_memory(const struct config *config)
{
    return (size_t)config->receiver_memory_mib << 19;
}

static bool connect_redis(struct receiver *receiver, char *error, size_t error_size)
{
    struct service *service = receiver->service;
    if (!*service->config->redis_url)
        return true;
    struct redis_conn_settings settings = settings_redis(service->config);
    settings.timeout_ms = service->config->receiver_redis_timeout_ms;
    receiver->redis = redis_conn_new(service->loop, service->resolver, &settings, error,
                                     error_size);
    return receiver->redis != NULL;
}

static bool connect_broker(struct receiver *receiver, char *error, size_t error_size)
{
    static const struct amqp_conn_events events = {.on_up = on_broker_up,
                                                   .on_down = on_broker_down};
    struct service *service = receiver->service;
    struct amqp_conn_settings settings = settings_amqp(service->config, service->connection_name);
    receiver->broker = amqp_conn_new(service->loop, service->resolver, &settings, &events, receiver,
                                     error, error_size);
    if (!receiver->broker)
        return false;
    receiver->publisher = publisher_new(receiver->broker, "a web-hook",
                                        &(struct publisher_events){0}, NULL);
    return true;
}

static bool start_registration(struct receiver *receiver, char *error, size_t error_size)
{
    const struct config *config = receiver->service->config;
    if (!config->receiver_use_webhook || !*config->receiver_public_url)
        return true;
    receiver->registration = registration_new(receiver->service, &receiver->metrics, error,
                                              error_size);
    return receiver->registration != NULL;
}

static void make_hooks(struct receiver *receiver)
{
    const struct config *config = receiver->service->config;
    struct hook_settings settings = {.loop = receiver->service->loop,
                                     .redis = receiver->redis,
                                     .publisher = receiver->publisher,
                                     .machines = receiver->machines,
                                     .metrics = &receiver->metrics,
                                     .budget = receiver->budget,
                                     .answer_within_ms = config->receiver_answer_within_ms,
                                     .pending_max = config->receiver_pending_max,
                                     .lease_ms = config->receiver_lease_ms,
                                     .key_ttl_s = config->receiver_key_ttl_s};
    struct hook_policy policy = {.use_webhook = config->receiver_use_webhook,
                                 .require_signature = config->receiver_require_signature,
                                 .secrets = receiver->secrets,
                                 .tolerance_s = config->receiver_tolerance_s,
                                 .cycle_time_max_s = config->receiver_cycle_time_max_s};
    receiver->hooks = hooks_new(&settings, &policy, on_idle, receiver);
}

static unsigned connections_max(const struct config *config)
{
    size_t most = half_of_memory(config) / CONNECTION_BYTES;
    if (most >= (size_t)config->receiver_connections)
        return (unsigned)config->receiver_connections;
    log_info("receiver.memory_mib allows less connections than receiver.connections",
             LF_I("connections", (int64_t)most));
    return (unsigned)most;
}

static bool listen_for_hooks(struct receiver *receiver, char *error, size_t error_size)
{
    const struct config *config = receiver->service->config;
    struct http_limits limits = {.body_max = (size_t)config->receiver_body_max,
                                 .connections_max = connections_max(config),
                                 .idle_s = (unsigned)config->receiver_idle_s,
                                 .request_s = (unsigned)config->receiver_request_s,
                                 .memory = HEADERS_MAX,
                                 .budget = receiver->budget,
                                 .on_no_room = hooks_on_no_room,
                                 .share_port = true};
    receiver->server = http_server_new(receiver->service->loop, config->receiver_hook_listen,
                                       &limits, hooks_on_request, receiver->hooks, error,
                                       error_size);
    return receiver->server != NULL;
}

static bool start_all(struct receiver *receiver, char *error, size_t error_size)
{
    struct service *service = receiver->service;
    if (!secrets_read(receiver->secrets, service->config, error, error_size) ||
        !connect_redis(receiver, error, error_size))
        return false;
    receiver->machines = machines_new(service, error, error_size);
    if (!receiver->machines || !connect_broker(receiver, error, error_size) ||
        !start_registration(receiver, error, error_size))
        return false;
    make_hooks(receiver);
    return listen_for_hooks(receiver, error, error_size);
}

void *receiver_start(struct service *service)
{
    struct receiver *receiver = xcalloc(1, sizeof *receiver);
    char error[256] = "";
    receiver->service = service;
    receiver->budget = budget_new(half_of_memory(service->config));
    receiver_metrics_register(&receiver->metrics, service->metrics);
    metrics_on_render(service->metrics, before_render, receiver);
    if (!start_all(receiver, error, sizeof error)) {
        log_error("cannot start", LF_S("reason", error));
        receiver_stop(receiver);
        return NULL;
    }
    if (!service->config->receiver_use_webhook)
        log_info("web-hooks are off: the route answers 404, and nothing is registered");
    else if (!receiver->registration)
        log_warn("receiver.public_url is not set: web-hooks are taken, "
                 "but MTConnect is not told where to send them");
    return receiver;
}

void receiver_stop(void *state)
{
    struct receiver *receiver = state;
    hooks_stop(receiver->hooks); /* Redis tells all that wait for it that it is lost */
    http_server_free(receiver->server);
    registration_free(receiver->registration);
    redis_conn_free(receiver->redis);
    amqp_conn_free(receiver->broker);
    publisher_free(receiver->publisher);
    machines_free(receiver->machines);
    hooks_free(receiver->hooks);
    budget_free(receiver->budget);
    secrets_clear(receiver->secrets);
    free(receiver);
}
