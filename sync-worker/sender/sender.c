/*
 * sender.c - the wiring: an event's path, connections up and down; see sender.h
 *
 * Diagnostics: an unreadable API key file or a malformed URL refuses to start; everything else is
 * waited for.
 */
#include "sender.h"
#include "aside.h"
#include "doubts.h"
#include "marker.h"
#include "parts.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"

#include <stdlib.h>

/* --- an event's path --- */

static void on_event(struct held *held, void *arg)
{
    struct parts *parts = arg;
    held->route = routes_find(&parts->routes, held->envelope.path);
    lanes_push(&parts->lanes, held);
    attempts_run_soon(parts->attempts);
}

static void on_unreadable(struct held *held, const amqp_basic_properties_t *properties,
                          const char *problem, void *arg)
{
    struct parts *parts = arg;
    settle_unreadable(parts->settle, held, properties, problem);
}

static void on_marker(struct held *held, const struct marker *marker, void *arg)
{
    struct parts *parts = arg;
    marker_told(parts->publisher, held, marker);
}

static void on_delivered(struct held *held, bool skipped, void *arg)
{
    struct parts *parts = arg;
    suspect_forget(parts->redis, held);
    settle_delivered(parts->settle, held, skipped);
}

static void on_dead(struct held *held, void *arg)
{
    struct parts *parts = arg;
    suspect_forget(parts->redis, held);
    settle_dead(parts->settle, held);
}

static void on_orphan_delivered(struct held *held, void *arg)
{
    struct parts *parts = arg;
    settle_orphan(parts->settle, held);
}

static void on_failure(const struct held *held, void *arg)
{
    struct parts *parts = arg;
    suspect_write(parts->redis, held);
}

static void on_allowance_spent(void *arg)
{
    struct parts *parts = arg;
    aside_make_room(&parts->lanes, parts->allowance,
                    (size_t)parts->service->config->sender_memory_mib << 20);
}

static void on_lane_ready(void *arg)
{
    struct parts *parts = arg;
    attempts_run_soon(parts->attempts);
}

static void on_news(void *arg)
{
    struct parts *parts = arg;
    judge_on_news(parts->judge);
}

static void on_settled(struct held *held, void *arg)
{
    (void)arg;
    partition_ack(held);
    held_free(held);
}

static void on_work_done(void *arg)
{
    struct parts *parts = arg;
    hand_back_on_work_done(parts->hand_back);
}

static void on_channel_lost(const struct partition *partition, void *arg)
{
    struct parts *parts = arg;
    lanes_drop(&parts->lanes, partition);
}

/* --- connections up and down --- */

static void on_publishing_up(void *arg)
{
    struct parts *parts = arg;
    presence_on_conn_up(parts->service->presence, parts->publishing);
    if (!hand_back_is_draining(parts->hand_back))
        publisher_declare_and_open(parts->publisher,
                                   (int)parts->service->config->topology_partitions);
}

static void on_publisher_ready(void *arg)
{
    struct parts *parts = arg;
    pause_watch_start(parts->pause_watch, parts->publishing);
}

/*
 * Not before outcomes can be told, and it is known whether anything may be sent. Both are said on
 * the connection that publishes.
 */
static void consume_if_ready(struct parts *parts)
{
    if (amqp_conn_is_up(parts->consuming) && publisher_is_ready(parts->publisher) &&
        pause_watch_is_known(parts->pause_watch) && !hand_back_is_draining(parts->hand_back))
        partitions_consume(parts->partitions, parts->consuming);
}

static void on_consuming_up(void *arg)
{
    struct parts *parts = arg;
    allowance_on_conn_up(parts->allowance);
    consume_if_ready(parts);
}

static void on_pause_known(bool paused, void *arg)
{
    struct parts *parts = arg;
    metric_add(parts->metrics.pause_answers, 1);
    if (attempts_are_paused(parts->attempts) != paused) {
        attempts_pause(parts->attempts, paused);
        if (paused)
            log_warn("paused by an operator: nothing is sent until mtcctl resume");
        else
            log_info("resumed by an operator", LF_I("held", parts->lanes.held_count));
        attempts_run_soon(parts->attempts);
    }
    consume_if_ready(parts);
}

/*
 * Outcomes that can't be told mean deliveries that can't be acked: what is held goes back. From
 * here on nothing more comes in over this connection.
 */
static void on_publisher_lost(void *arg)
{
    struct parts *parts = arg;
    partitions_disown(parts->partitions);
    if (partitions_are_consuming(parts->partitions))
        amqp_conn_restart(parts->consuming);
    settle_on_publisher_lost(parts->settle);
}

static void on_publishing_down(const char *reason, void *arg)
{
    (void)reason;
    struct parts *parts = arg;
    pause_watch_on_conn_down(parts->pause_watch);
    publisher_on_conn_down(parts->publisher);
}

/* What is under way is told all the same; it is no longer ours to ack. */
static void on_consuming_down(const char *reason, void *arg)
{
    (void)reason;
    struct parts *parts = arg;
    partitions_on_conn_down(parts->partitions);
    hand_back_on_conn_down(parts->hand_back);
}

/* --- hand-back and drain --- */

static void on_hand_back_begun(void *arg)
{
    struct parts *parts = arg;
    settle_flush(parts->settle);
}

static void on_drain_out_of_time(void *arg)
{
    struct parts *parts = arg;
    log_warn("requests still under way; the broker keeps their events",
             LF_I("in_flight", mtconnect_under_way(parts->mtconnect)));
}

static void on_drained(void *arg)
{
    struct parts *parts = arg;
    service_drained(parts->service);
}

/* --- what the service asks for --- */

bool sender_ready(const void *state, const char **why)
{
    const struct parts *parts = state;
    if (!publisher_is_ready(parts->publisher))
        *why = "no RabbitMQ";
    else if (!pause_watch_is_known(parts->pause_watch))
        *why = "RabbitMQ does not say whether senders are paused";
    else if (!amqp_conn_is_up(parts->consuming))
        *why = "no connection to consume from RabbitMQ";
    else
        return true;
    return false;
}

void sender_drain(void *state)
{
    struct parts *parts = state;
    hand_back_drain(parts->hand_back);
}

void sender_reload(void *state)
{
    struct parts *parts = state;
    mtconnect_read_api_key(parts->mtconnect);
}

char *sender_remarks(const void *state)
{
    const struct parts *parts = state;
    return doubts_remarks(&parts->lanes, parts->allowance);
}

char *sender_on_order(void *state, const char *order)
{
    struct parts *parts = state;
    return doubts_order(&parts->lanes, parts->judge, order);
}

static void before_render(void *arg)
{
    struct parts *parts = arg;
    metric_set(parts->metrics.held, parts->lanes.held_count);
    metric_set(parts->metrics.held_bytes, (double)allowance_bytes(parts->allowance));
    metric_set(parts->metrics.unread, allowance_spent_s(parts->allowance) >= 0);
    metric_set(parts->metrics.aside, aside_count(&parts->lanes));
    metric_set(parts->metrics.oldest_held, age_s(lanes_oldest_us(&parts->lanes)));
    metric_set(parts->metrics.lanes, parts->lanes.count);
    metric_set(parts->metrics.in_flight, mtconnect_under_way(parts->mtconnect));
    metric_set(parts->metrics.paused, attempts_are_paused(parts->attempts));
    metric_set(parts->metrics.breaker_open, routes_count_open(&parts->routes));
    metric_set(parts->metrics.doubted, routes_count_doubted(&parts->routes));
}

/* --- start and stop --- */

void *sender_start(struct service *service)
{
    static const struct parts_events events = {
        .partitions = {.on_event = on_event,
                       .on_unreadable = on_unreadable,
                       .on_marker = on_marker,
                       .on_channel_lost = on_channel_lost,
                       .on_work_done = on_work_done},
        .judge = {.on_delivered = on_delivered,
                  .on_dead = on_dead,
                  .on_orphan_delivered = on_orphan_delivered,
                  .on_failure = on_failure,
                  .on_ready = on_lane_ready},
        .on_news = on_news,
        .on_allowance_spent = on_allowance_spent,
        .on_settled = on_settled,
        .consuming = {.on_up = on_consuming_up, .on_down = on_consuming_down},
        .publishing = {.on_up = on_publishing_up, .on_down = on_publishing_down},
        .publisher = {.on_ready = on_publisher_ready, .on_lost = on_publisher_lost},
        .on_pause_known = on_pause_known,
        .hand_back = {.on_begun = on_hand_back_begun,
                      .on_out_of_time = on_drain_out_of_time,
                      .on_drained = on_drained},
    };
    struct parts *parts = xcalloc(1, sizeof *parts);
    char error[256] = "";
    if (!parts_make(parts, service, &events, parts, error, sizeof error)) {
        log_error("cannot start", LF_S("reason", error));
        sender_stop(parts);
        return NULL;
    }
    metrics_on_render(service->metrics, before_render, parts);
    return parts;
}

void sender_stop(void *state)
{
    parts_free(state);
    free(state);
}
