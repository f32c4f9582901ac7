/* hand_back.c - everything held goes back to the broker; see hand_back.h */
#include "hand_back.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/timer.h"
#include "base/xalloc.h"

#include <stdlib.h>

#define HOLD_CHECK_MS 1000

enum phase { SERVING, HANDING_BACK, DRAINING, CLOSING };

struct hand_back {
    struct hand_back_settings settings;
    struct hand_back_events events;
    void *arg;
    enum phase phase;
    int closing; /* connections that are being closed */
    struct timer *hold_check, *drain_limit;
};

static void on_conn_closed(void *arg)
{
    struct hand_back *hand_back = arg;
    if (--hand_back->closing == 0)
        hand_back->events.on_drained(hand_back->arg);
}

/* Both at once: outcomes have been confirmed, and acks go before the close. */
static void close_connections(struct hand_back *hand_back)
{
    hand_back->phase = CLOSING;
    hand_back->closing = 2;
    amqp_conn_close(hand_back->settings.consuming, on_conn_closed, hand_back);
    amqp_conn_close(hand_back->settings.publishing, on_conn_closed, hand_back);
}

void hand_back_on_work_done(struct hand_back *hand_back)
{
    switch (hand_back->phase) {
    case HANDING_BACK:
        if (partitions_are_idle(hand_back->settings.partitions))
            amqp_conn_restart(hand_back->settings.consuming);
        break;
    case DRAINING:
        if (partitions_are_idle(hand_back->settings.partitions))
            close_connections(hand_back);
        break;
    case SERVING:
    case CLOSING:
        break;
    }
}

static void begin(struct hand_back *hand_back, enum phase phase)
{
    hand_back->phase = phase;
    hand_back->events.on_begun(hand_back->arg);
    hand_back_on_work_done(hand_back);
}

static const struct held *find_overdue(const struct hand_back *hand_back)
{
    int64_t limit = mono_ms() - hand_back->settings.hold_max_ms;
    const struct lane *lane = hand_back->settings.lanes->table;
    for (; lane; lane = lane->hh.next) {
        if (lane->first->since_ms < limit && partition_owns(lane->first))
            return lane->first;
    }
    return NULL;
}

static void on_hold_check(void *arg)
{
    struct hand_back *hand_back = arg;
    const struct held *held = hand_back->phase == SERVING ? find_overdue(hand_back) : NULL;
    if (!held)
        return;
    log_info("handing events back: one was held for long", LF_S("queue", held->queue),
             LF_S("machine", held->envelope.machine));
    begin(hand_back, HANDING_BACK);
}

void hand_back_drain(struct hand_back *hand_back)
{
    timer_in(hand_back->drain_limit, hand_back->settings.drain_ms);
    begin(hand_back, DRAINING);
}

void hand_back_on_conn_down(struct hand_back *hand_back)
{
    if (hand_back->phase == HANDING_BACK)
        hand_back->phase = SERVING;
    hand_back_on_work_done(hand_back);
}

static void on_drain_limit(void *arg)
{
    struct hand_back *hand_back = arg;
    hand_back->events.on_out_of_time(hand_back->arg);
    close_connections(hand_back);
}

bool hand_back_is_begun(const struct hand_back *hand_back)
{
    return hand_back->phase >= HANDING_BACK;
}

bool hand_back_is_draining(const struct hand_back *hand_back)
{
    return hand_back->phase >= DRAINING;
}

bool hand_back_is_closing(const struct hand_back *hand_back)
{
    return hand_back->phase == CLOSING;
}

struct hand_back *hand_back_new(const struct hand_back_settings *settings,
                                const struct hand_back_events *events, void *arg)
{
    struct hand_back *hand_back = xcalloc(1, sizeof *hand_back);
    hand_back->settings = *settings;
    hand_back->events = *events;
    hand_back->arg = arg;
    hand_back->hold_check = timer_new(settings->loop, on_hold_check, hand_back);
    hand_back->drain_limit = timer_new(settings->loop, on_drain_limit, hand_back);
    timer_every(hand_back->hold_check, HOLD_CHECK_MS);
    return hand_back;
}

void hand_back_free(struct hand_back *hand_back)
{
    if (!hand_back)
        return;
    timer_free(hand_back->hold_check);
    timer_free(hand_back->drain_limit);
    free(hand_back);
}
