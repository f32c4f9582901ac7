/*
 * sender.c - connections up and down, hand-backs, drain; see sender.h
 *
 * Diagnostics: an unreadable API key file or a malformed URL refuses to start; everything else is
 * waited for.
 */
#include "sender.h"
#include "attempt.h"
#include "base/clock.h"
#include "base/log.h"
#include "pause_watch.h"
#include "suite/settings.h"
#include "settle.h"
#include "version.h"
#include "base/xalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOLD_CHECK_MS 1000

void sender_run_soon(struct sender *sender)
{
    timer_soon(sender->run);
}

static void on_run(void *arg)
{
    attempt_run(arg);
}

static void on_lane_ready(void *arg)
{
    sender_run_soon(arg);
}

/* --- how long an event may be held --- */

/*
 * The broker closes the channel of a consumer that holds a delivery for 30 minutes
 * (consumer_timeout): what nears that goes back first, and is delivered again at once, with the
 * clock started anew.
 */
static void on_hold_check(void *arg)
{
    struct sender *sender = arg;
    int64_t limit = mono_ms() - sender->service->config->sender_hold_max_s * 1000;
    for (struct lane *lane = sender->lanes.table; lane; lane = lane->hh.next) {
        struct held *held = lane->first;
        if (held->since_ms < limit && held_is_ours(held) && !sender->handing_back) {
            log_info("handing events back: one was held for long",
                     LF_S("queue", held->partition->name), LF_S("machine", held->envelope.machine));
            sender_hand_back(sender);
            return;
        }
    }
}

/* --- the publishing channel --- */

static void on_confirm(struct amqp_chan *chan, uint64_t tag, bool multiple, bool ack, void *arg)
{
    struct sender *sender = arg;
    if (ack)
        settle_on_confirm(sender->settle, tag, multiple);
    else
        amqp_conn_fail(amqp_chan_conn(chan), "the broker refused a message");
}

static void on_return(struct amqp_chan *chan, struct amqp_incoming *incoming, void *arg)
{
    (void)incoming;
    (void)arg;
    amqp_conn_fail(amqp_chan_conn(chan),
                   "a dead letter or outcome was returned: its queue is missing");
}

static void lose_publishing(struct sender *sender)
{
    sender->publishing = NULL;
    settle_on_channel_down(sender->settle);
}

static void on_publishing_closed(struct amqp_chan *chan, int code, const char *text, void *arg)
{
    (void)code;
    /* Down with all of it: outcomes that can't be told mean deliveries that can't be acked. */
    for (int p = 0; p < ((struct sender *)arg)->partition_count; p++)
        ((struct sender *)arg)->partitions[p].generation++;
    lose_publishing(arg);
    amqp_conn_fail(amqp_chan_conn(chan), text);
}

/* --- the connection --- */

static void on_declared(const char *error, void *arg)
{
    static const struct amqp_chan_events events = {
        .on_closed = on_publishing_closed, .on_confirm = on_confirm, .on_return = on_return};
    struct sender *sender = arg;
    sender->topology = NULL;
    if (error) {
        amqp_conn_fail(sender->conn, error);
        return;
    }
    sender->publishing = amqp_chan_open(sender->conn, &events, sender);
    if (!sender->publishing) {
        amqp_conn_fail(sender->conn, "no channel left");
        return;
    }
    amqp_chan_confirm_select(sender->publishing);
    pause_look(sender->pause);
}

void sender_on_pause_known(struct sender *sender, bool paused)
{
    if (sender->paused != paused) {
        sender->paused = paused;
        if (paused)
            log_warn("paused by an operator: nothing is sent until mtcctl resume");
        else
            log_info("resumed by an operator", LF_I("held", sender->lanes.held_count));
        sender_run_soon(sender);
    }
    if (sender->consuming)
        return;
    sender->consuming = true; /* not before it is known whether anything may be sent */
    for (int p = 0; p < sender->partition_count && sender->consuming; p++)
        partition_start(&sender->partitions[p]);
}

static void on_up(void *arg)
{
    struct sender *sender = arg;
    if (!sender->draining)
        sender->topology = topology_declare(sender->conn, sender->partition_count, on_declared,
                                            sender);
}

static void on_down(const char *reason, void *arg)
{
    (void)reason;
    struct sender *sender = arg;
    topology_forget(sender->topology);
    sender->topology = NULL;
    sender->consuming = false;
    for (int p = 0; p < sender->partition_count; p++)
        partition_on_conn_down(&sender->partitions[p]);
    lose_publishing(sender);
    sender->handing_back = sender->draining;
    sender_on_work_done(sender);
}

/* --- drain --- */

static void on_conn_closed(void *arg)
{
    struct sender *sender = arg;
    service_drained(sender->service);
}

void sender_on_work_done(struct sender *sender)
{
    if (!sender->handing_back || sender->closing)
        return;
    for (int p = 0; p < sender->partition_count; p++) {
        if (sender->partitions[p].working)
            return;
    }
    if (!sender->draining) {
        amqp_conn_restart(sender->conn);
        return;
    }
    sender->closing = true;
    amqp_conn_close(sender->conn, on_conn_closed, sender);
}

void sender_hand_back(struct sender *sender)
{
    sender->handing_back = true;
    settle_flush(sender->settle);
    sender_on_work_done(sender);
}

static void on_drain_limit(void *arg)
{
    struct sender *sender = arg;
    log_warn("requests still under way; the broker keeps their events",
             LF_I("in_flight", http_client_under_way(sender->http)));
    sender->closing = true;
    amqp_conn_close(sender->conn, on_conn_closed, sender);
}

void sender_drain(void *state)
{
    struct sender *sender = state;
    sender->draining = true;
    timer_in(sender->drain_timer, sender->service->config->sender_drain_s * 1000);
    sender_hand_back(sender);
}

/* --- start, stop, and what people ask --- */

bool sender_ready(const void *state, const char **why)
{
    const struct sender *sender = state;
    *why = "no RabbitMQ";
    return sender->publishing != NULL;
}

void sender_read_api_key(struct sender *sender)
{
    char error[256];
    if (!settings_read_api_key(sender->service->config, &sender->api_key_header, error,
                               sizeof error))
        log_error("API key not read; going on with the one before", LF_S("reason", error));
}

void sender_reload(void *state)
{
    sender_read_api_key(state);
}

static void before_render(void *arg)
{
    struct sender *sender = arg;
    metric_set(sender->metrics.held, sender->lanes.held_count);
    metric_set(sender->metrics.held_bytes, (double)sender->lanes.held_bytes);
    metric_set(sender->metrics.lanes, sender->lanes.count);
    metric_set(sender->metrics.in_flight, http_client_under_way(sender->http));
    metric_set(sender->metrics.paused, sender->paused);
    metric_set(sender->metrics.breaker_open, sender->breaker.state != BREAKER_CLOSED);
}

static void add_metrics(struct sender *sender)
{
    static const char *const classes[] = {"class=\"none\"", "class=\"other\"", "class=\"2xx\"",
                                          "class=\"3xx\"",  "class=\"4xx\"",   "class=\"5xx\""};
    struct metrics *all = sender->service->metrics;
    struct sender_metrics *m = &sender->metrics;
    m->received = metrics_add(all, METRIC_COUNTER, "mtc_sender_received_total",
                              "Events taken from the broker", NULL);
    m->redelivered = metrics_add(all, METRIC_COUNTER, "mtc_sender_redelivered_total",
                                 "Events the broker delivered again", NULL);
    m->delivered = metrics_add(all, METRIC_COUNTER, "mtc_sender_delivered_total",
                               "Events MTConnect has taken", NULL);
    m->skipped = metrics_add(all, METRIC_COUNTER, "mtc_sender_skipped_total",
                             "Events not sent again, having been delivered before", NULL);
    m->retried = metrics_add(all, METRIC_COUNTER, "mtc_sender_retries_total", "Retries scheduled",
                             NULL);
    m->repeats = metrics_add(all, METRIC_COUNTER, "mtc_sender_free_repeats_total",
                             "Requests repeated at once after a reused connection died", NULL);
    m->dead = metrics_add(all, METRIC_COUNTER, "mtc_sender_dead_total", "Dead letters", NULL);
    for (int i = 0; i < 6; i++)
        m->answers[i] = metrics_add(all, METRIC_COUNTER, "mtc_sender_answers_total",
                                    "Answers of MTConnect", classes[i]);
    m->request_seconds = metrics_add(all, METRIC_HISTOGRAM, "mtc_sender_request_seconds",
                                     "Duration of a request", NULL);
    m->delivery_seconds = metrics_add(all, METRIC_HISTOGRAM, "mtc_sender_delivery_seconds",
                                      "From the outbox row to MTConnect's answer", NULL);
    m->held = metrics_add(all, METRIC_GAUGE, "mtc_sender_held", "Events held", NULL);
    m->held_bytes = metrics_add(all, METRIC_GAUGE, "mtc_sender_held_bytes",
                                "Bytes of the bodies held", NULL);
    m->lanes = metrics_add(all, METRIC_GAUGE, "mtc_sender_lanes", "Machines with events held",
                           NULL);
    m->in_flight = metrics_add(all, METRIC_GAUGE, "mtc_sender_in_flight", "Requests under way",
                               NULL);
    m->paused = metrics_add(all, METRIC_GAUGE, "mtc_sender_paused",
                            "1 while an operator has paused it", NULL);
    m->breaker_open = metrics_add(all, METRIC_GAUGE, "mtc_sender_breaker_open",
                                  "1 while the breaker is not closed", NULL);
    m->breaker_opened = metrics_add(all, METRIC_COUNTER, "mtc_sender_breaker_opened_total",
                                    "Times it opened", NULL);
    metrics_on_render(all, before_render, sender);
}

static bool connect_all(struct sender *sender, char *error, size_t error_size)
{
    static const struct amqp_conn_events events = {.on_up = on_up, .on_down = on_down};
    struct service *service = sender->service;
    const struct config *config = service->config;
    struct http_client_settings http = {.timeout_ms = config->mtconnect_timeout_ms,
                                        .connections = config->mtconnect_connections,
                                        .idle_s = config->mtconnect_idle_s,
                                        .user_agent = "mtc-sender/" MTC_VERSION};
    struct redis_conn_settings redis = settings_redis(service->config);
    struct amqp_conn_settings amqp = settings_amqp(service->config, service->connection_name);
    if (!settings_read_api_key(service->config, &sender->api_key_header, error, error_size))
        return false;
    sender->http = http_client_new(service->loop, &http);
    if (*config->redis_url) {
        sender->redis = redis_conn_new(service->loop, service->resolver, &redis, error, error_size);
        if (!sender->redis)
            return false;
    }
    sender->conn = amqp_conn_new(service->loop, service->resolver, &amqp, &events, sender, error,
                                 error_size);
    return sender->conn != NULL;
}

void *sender_start(struct service *service)
{
    const struct config *config = service->config;
    struct sender *sender = xcalloc(1, sizeof *sender);
    char error[256] = "";
    sender->service = service;
    sender->partition_count = (int)config->topology_partitions;
    sender->partitions = xcalloc((size_t)sender->partition_count, sizeof *sender->partitions);
    for (int p = 0; p < sender->partition_count; p++) {
        sender->partitions[p].sender = sender;
        sender->partitions[p].index = p;
        topology_partition_name(p, sender->partitions[p].name);
    }
    lanes_init(&sender->lanes, service->loop, on_lane_ready, sender);
    breaker_init(&sender->breaker, (int)config->sender_breaker_failures,
                 config->sender_breaker_pause_min_ms, config->sender_breaker_pause_max_ms,
                 (int)config->mtconnect_connections);
    sender->recent = recent_new();
    sender->settle = settle_new(sender);
    sender->pause = pause_new(sender);
    sender->run = timer_new(service->loop, on_run, sender);
    sender->hold_timer = timer_new(service->loop, on_hold_check, sender);
    sender->drain_timer = timer_new(service->loop, on_drain_limit, sender);
    timer_every(sender->hold_timer, HOLD_CHECK_MS);
    add_metrics(sender);
    if (!connect_all(sender, error, sizeof error)) {
        log_error("cannot start", LF_S("reason", error));
        sender_stop(sender);
        return NULL;
    }
    return sender;
}

void sender_stop(void *state)
{
    struct sender *sender = state;
    topology_forget(sender->topology);
    /* From now on nothing is ours any more, so nothing below can ack. */
    for (int p = 0; p < sender->partition_count; p++)
        sender->partitions[p].generation++;
    http_client_free(sender->http);
    settle_free(sender->settle);
    pause_free(sender->pause);
    redis_conn_free(sender->redis);
    lanes_free(&sender->lanes);
    amqp_conn_free(sender->conn);
    recent_free(sender->recent);
    timer_free(sender->run);
    timer_free(sender->hold_timer);
    timer_free(sender->drain_timer);
    free(sender->partitions);
    free(sender->api_key_header);
    free(sender);
}
