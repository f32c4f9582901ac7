/* settle.c - an event's fate is known: tell it, then let go of the event; see settle.h */
#include "settle.h"
#include "outcome.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/timer.h"
#include "base/xalloc.h"
#include "suite/dead_letter.h"
#include "suite/topology.h"

#include <stdlib.h>

struct settle {
    struct settle_settings settings;
    void (*on_settled)(struct held *held, void *arg);
    void *arg;
    struct held *batch, **batch_end; /* events whose outcomes wait for company */
    int batch_count;
    struct timer *flush_timer;
};

/* --- one thing after the other --- */

/* One thing to wait for, until everything has been started. */
static void begin(struct settle *settle, struct held *held)
{
    held->settle = settle;
    held->unsettled = 1;
}

/* One thing less to wait for; after the last the event is settled. */
static void done_with(struct held *held)
{
    if (--held->unsettled == 0)
        held->settle->on_settled(held, held->settle->arg);
}

static void done_with_all(struct held *first)
{
    struct held *next;
    for (struct held *held = first; held; held = next) {
        next = held->next;
        done_with(held);
    }
}

/* --- outcomes --- */

/* The batch, oldest first; the next one is begun. */
static struct held *take_batch(struct settle *settle)
{
    struct held *first = settle->batch;
    timer_cancel(settle->flush_timer);
    settle->batch = NULL;
    settle->batch_end = &settle->batch;
    settle->batch_count = 0;
    return first;
}

static void on_outcomes_confirmed(bool confirmed, void *arg)
{
    (void)confirmed; /* if not, none of these events is ours to ack any more */
    done_with_all(arg);
}

void settle_flush(struct settle *settle)
{
    struct held *first = take_batch(settle);
    if (!first)
        return;
    size_t len;
    char *body = outcome_batch(first, &len);
    struct envelope envelope = {.kind = "outcomes"};
    struct envelope_properties message; /* so small that it fits into every frame */
    envelope_write(&envelope, &message);
    publisher_send(settle->settings.publisher, "", TOPOLOGY_OUTCOMES, &message.properties, body,
                   len, on_outcomes_confirmed, first);
    free(body);
}

void settle_on_publisher_lost(struct settle *settle)
{
    done_with_all(take_batch(settle));
}

static void on_flush(void *arg)
{
    settle_flush(arg);
}

static void tell_outcome(struct settle *settle, struct held *held)
{
    const struct settle_settings *settings = &settle->settings;
    if (!held->envelope.seq || !publisher_is_ready(settings->publisher))
        return; /* no ledger knows it; or the connection is gone, and the event comes again */
    held->unsettled++;
    held->next = NULL;
    *settle->batch_end = held;
    settle->batch_end = &held->next;
    settle->batch_count++;
    if (settle->batch_count == settings->batch_max || settings->delay_ms == 0)
        settle_flush(settle);
    else if (settle->batch_count == 1)
        timer_in(settle->flush_timer, settings->delay_ms);
}

/* --- sent keys --- */

static void on_sent_key_written(const redisReply *reply, const struct redis_error *error, void *arg)
{
    (void)reply;
    if (error && error->refused)
        log_warn("Redis refuses a sent key", LF_S("reason", error->text));
    done_with(arg);
}

static void write_sent_key(struct settle *settle, struct held *held)
{
    held->unsettled++;
    if (!sent_key_write(settle->settings.sent_keys, held, on_sent_key_written, held))
        held->unsettled--;
}

/* --- dead letters --- */

static void on_letter_confirmed(bool confirmed, void *arg)
{
    (void)confirmed; /* as with outcomes */
    done_with(arg);
}

static void send_letter(struct settle *settle, struct held *held)
{
    char *response = held->response ? outcome_clean_text(held->response) : NULL;
    struct dead_letter letter = {
        .envelope = &held->envelope,
        .reason = held->reason,
        .response = response,
        .queue = held->queue,
        .attempts = held->attempts,
        .last_status = held->last_status,
        .dead_us = utc_us(),
    };
    held->unsettled++;
    dead_letter_send(settle->settings.publisher, &letter, held->body, held->len,
                     on_letter_confirmed, held);
    metric_add(settle->settings.metrics->dead, 1);
    free(response);
}

static void send_copy(struct settle *settle, struct held *held,
                      const amqp_basic_properties_t *properties, const char *reason)
{
    held->unsettled++;
    dead_letter_send_copy(settle->settings.publisher, properties, reason, held->queue, held->body,
                          held->len, on_letter_confirmed, held);
    metric_add(settle->settings.metrics->dead, 1);
}

/* --- fates --- */

static void count_delivered(const struct settle *settle, const struct held *held)
{
    const struct sender_metrics *metrics = settle->settings.metrics;
    metric_add(metrics->delivered, 1);
    if (held->envelope.created_us)
        metric_observe(metrics->delivery_seconds,
                       (double)(utc_us() - held->envelope.created_us) / 1e6);
}

void settle_delivered(struct settle *settle, struct held *held, bool skipped)
{
    if (!skipped)
        count_delivered(settle, held);
    log_debug(skipped ? "event had been delivered before" : "delivered",
              LF_S("event", held->envelope.event_id), LF_S("machine", held->envelope.machine),
              LF_I("attempt", held->attempts), LF_I("status", held->last_status));
    begin(settle, held);
    if (!skipped)
        write_sent_key(settle, held);
    tell_outcome(settle, held);
    done_with(held);
}

void settle_orphan(struct settle *settle, struct held *held)
{
    begin(settle, held);
    write_sent_key(settle, held);
    done_with(held);
}

void settle_dead(struct settle *settle, struct held *held)
{
    begin(settle, held);
    if (publisher_is_ready(settle->settings.publisher)) /* else the event comes again */
        send_letter(settle, held);
    tell_outcome(settle, held);
    done_with(held);
}

void settle_unreadable(struct settle *settle, struct held *held,
                       const amqp_basic_properties_t *properties, const char *reason)
{
    log_error("message is no event; it goes to the dead letters", LF_S("queue", held->queue),
              LF_S("reason", reason));
    begin(settle, held);
    if (publisher_is_ready(settle->settings.publisher))
        send_copy(settle, held, properties, reason);
    if (*held->envelope.event_id) { /* a row of the outbox may be waiting to hear of it */
        held->reason = xstrdup(reason);
        tell_outcome(settle, held);
    }
    done_with(held);
}

struct settle *settle_new(const struct settle_settings *settings,
                          void (*on_settled)(struct held *held, void *arg), void *arg)
{
    struct settle *settle = xcalloc(1, sizeof *settle);
    settle->settings = *settings;
    settle->on_settled = on_settled;
    settle->arg = arg;
    settle->batch_end = &settle->batch;
    settle->flush_timer = timer_new(settings->loop, on_flush, settle);
    return settle;
}

void settle_free(struct settle *settle)
{
    if (!settle)
        return;
    timer_free(settle->flush_timer);
    free(settle);
}
