/* parts.c - a sender's rooms and connections, made from its configuration; see parts.h */
#include "parts.h"
#include "version.h"
#include "suite/settings.h"

#include <stdio.h>
#include <string.h>

/*
 * RabbitMQ resets a connection that takes nothing for 30 s (hand_back.h); for this long of them
 * nothing is done about it: what is held may be delivered.
 */
#define ALLOWANCE_PATIENCE_MS 10000

/* Named after what it does. */
static struct amqp_conn *make_amqp(struct parts *parts, char name[256], const char *does,
                                   const struct amqp_conn_events *events, void *arg, char *error,
                                   size_t error_size)
{
    const struct service *service = parts->service;
    snprintf(name, sizeof parts->names[0], "%s %s", service->connection_name, does);
    struct amqp_conn_settings settings = settings_amqp(service->config, name);
    return amqp_conn_new(service->loop, service->resolver, &settings, events, arg, error,
                         error_size);
}

static bool make_connections(struct parts *parts, const struct parts_events *events, void *arg,
                             char *error, size_t error_size)
{
    struct service *service = parts->service;
    struct mtconnect_settings mtconnect = settings_mtconnect(service->config,
                                                             "mtc-sender/" MTC_VERSION);
    struct redis_conn_settings redis = settings_redis(service->config);
    parts->mtconnect = mtconnect_new(service->loop, &mtconnect, error, error_size);
    if (!parts->mtconnect)
        return false;
    if (*service->config->redis_url) {
        parts->redis = redis_conn_new(service->loop, service->resolver, &redis, error, error_size);
        if (!parts->redis)
            return false;
    }
    parts->consuming = make_amqp(parts, parts->names[0], "consumes", &events->consuming, arg, error,
                                 error_size);
    if (!parts->consuming)
        return false;
    parts->publishing = make_amqp(parts, parts->names[1], "publishes", &events->publishing, arg,
                                  error, error_size);
    return parts->publishing != NULL;
}

static struct partitions *make_partitions(struct parts *parts, const struct parts_events *events,
                                          void *arg)
{
    const struct service *service = parts->service;
    struct partitions_settings settings = {.count = (int)service->config->topology_partitions,
                                           .prefetch = (uint16_t)service->config->sender_prefetch,
                                           .consumer_tag = service->connection_name,
                                           .worker_name = service->worker_name,
                                           .allowance = parts->allowance,
                                           .metrics = &parts->metrics};
    return partitions_new(&settings, &events->partitions, arg);
}

static struct allowance *make_allowance(struct parts *parts, const struct parts_events *events,
                                        void *arg)
{
    struct allowance_settings settings = {.loop = parts->service->loop,
                                          .bytes = (size_t)parts->service->config->sender_memory_mib
                                                   << 20,
                                          .consuming = parts->consuming,
                                          .publisher = parts->publisher,
                                          .metrics = &parts->metrics,
                                          .patience_ms = ALLOWANCE_PATIENCE_MS};
    return allowance_new(&settings, events->on_allowance_spent, arg);
}

static struct hand_back *make_hand_back(struct parts *parts, const struct parts_events *events,
                                        void *arg)
{
    const struct config *config = parts->service->config;
    struct hand_back_settings settings = {.loop = parts->service->loop,
                                          .consuming = parts->consuming,
                                          .publishing = parts->publishing,
                                          .allowance = parts->allowance,
                                          .partitions = parts->partitions,
                                          .lanes = &parts->lanes,
                                          .hold_max_ms = config->sender_hold_max_s * 1000,
                                          .drain_ms = config->sender_drain_s * 1000};
    return hand_back_new(&settings, &events->hand_back, arg);
}

static struct settle *make_settle(struct parts *parts, const struct parts_events *events, void *arg)
{
    const struct config *config = parts->service->config;
    struct settle_settings settings = {.loop = parts->service->loop,
                                       .publisher = parts->publisher,
                                       .sent_keys = parts->sent_keys,
                                       .metrics = &parts->metrics,
                                       .batch_max = (int)config->sender_outcome_batch,
                                       .delay_ms = config->sender_outcome_delay_ms};
    return settle_new(&settings, events->on_settled, arg);
}

static struct evidence *make_evidence(struct parts *parts, const struct parts_events *events,
                                      void *arg)
{
    struct evidence_settings settings = {.loop = parts->service->loop,
                                         .redis = parts->redis,
                                         .routes = &parts->routes,
                                         .worker = parts->service->worker_name};
    return evidence_new(&settings, events->on_news, arg);
}

static struct judge *make_judge(struct parts *parts, const struct parts_events *events, void *arg)
{
    const struct config *config = parts->service->config;
    struct judge_settings settings = {
        .loop = parts->service->loop,
        .lanes = &parts->lanes,
        .throttle = &parts->throttle,
        .mtconnect = parts->mtconnect,
        .evidence = parts->evidence,
        .referee = parts->referee,
        .retry = {.delays = &config->sender_retry_delays_s,
                  .probe_pause_max_ms = config->sender_probe_pause_max_ms,
                  .mtconnect = parts->mtconnect,
                  .metrics = &parts->metrics},
        .rules = {.attempts = config->sender_retry_delays_s.count + 1,
                  .sacrifice_ms = config->sender_sacrifice_s * 1000,
                  .unproven_ms = config->sender_unproven_max_s * 1000},
        .stop_on_dead = strcmp(config->sender_on_dead, "stop") == 0,
        .metrics = &parts->metrics};
    return judge_new(&settings, &events->judge, arg);
}

static struct attempts *make_attempts(struct parts *parts)
{
    struct attempts_settings settings = {.loop = parts->service->loop,
                                         .lanes = &parts->lanes,
                                         .routes = &parts->routes,
                                         .throttle = &parts->throttle,
                                         .mtconnect = parts->mtconnect,
                                         .sent_keys = parts->sent_keys,
                                         .redis = parts->redis,
                                         .judge = parts->judge,
                                         .hand_back = parts->hand_back,
                                         .metrics = &parts->metrics};
    return attempts_new(&settings);
}

static void init_routes(struct parts *parts)
{
    const struct config *config = parts->service->config;
    struct routes_settings settings = {
        .failures_to_open = (int)config->sender_breaker_failures,
        .pause_min_ms = config->sender_breaker_pause_min_ms,
        .pause_max_ms = config->sender_breaker_pause_max_ms,
        .connections = (int)config->mtconnect_connections,
    };
    routes_init(&parts->routes, &settings);
    throttle_init(&parts->throttle, (int)config->mtconnect_connections);
    lanes_init(&parts->lanes, parts->service->loop);
}

/* Each after those it uses. */
bool parts_make(struct parts *parts, struct service *service, const struct parts_events *events,
                void *arg, char *error, size_t error_size)
{
    const struct config *config = service->config;
    parts->service = service;
    init_routes(parts);
    if (!make_connections(parts, events, arg, error, error_size))
        return false;
    sender_metrics_register(&parts->metrics, service->metrics);
    parts->publisher = publisher_new(parts->publishing, "a dead letter or outcome",
                                     &events->publisher, arg);
    parts->sent_keys = sent_keys_new(parts->redis, config->sender_sent_key_ttl_s);
    parts->allowance = make_allowance(parts, events, arg);
    parts->partitions = make_partitions(parts, events, arg);
    parts->hand_back = make_hand_back(parts, events, arg);
    parts->settle = make_settle(parts, events, arg);
    parts->evidence = make_evidence(parts, events, arg);
    if (*config->mtconnect_health_path)
        parts->referee = referee_new(parts->mtconnect, config->mtconnect_health_path,
                                     events->judge.on_ready, arg);
    parts->judge = make_judge(parts, events, arg);
    parts->attempts = make_attempts(parts);
    parts->pause_watch = pause_watch_new(service->loop, service->worker_name,
                                         events->on_pause_known, arg);
    return true;
}

/* Clients first, since they call back; then each before those it uses. */
void parts_free(struct parts *parts)
{
    if (parts->partitions) {
        partitions_disown(parts->partitions); /* so that nothing below can ack */
        publisher_on_conn_down(parts->publisher);
    }
    allowance_close(parts->allowance);
    mtconnect_free(parts->mtconnect);
    redis_conn_free(parts->redis);
    amqp_conn_free(parts->consuming);
    amqp_conn_free(parts->publishing);
    pause_watch_free(parts->pause_watch);
    attempts_free(parts->attempts);
    judge_free(parts->judge);
    referee_free(parts->referee);
    evidence_free(parts->evidence);
    settle_free(parts->settle);
    hand_back_free(parts->hand_back);
    lanes_free(&parts->lanes);
    routes_free(&parts->routes);
    partitions_free(parts->partitions);
    allowance_free(parts->allowance);
    sent_keys_free(parts->sent_keys);
    publisher_free(parts->publisher);
}
