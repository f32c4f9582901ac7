/* hand_back.c - everything held goes back to the broker; see hand_back.h */
#include "hand_back.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/timer.h"
#include "base/xalloc.h"

#include <stdlib.h>

#define HOLD_CHECK_MS 1000
#define UNREAD_MAX_S  20

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

static bool is_overdue(const struct hand_back *hand_back)
{
    int64_t limit = mono_ms() - hand_back->settings.hold_max_ms;
    const struct lane *lane = hand_back->settings.lanes->table;
    for (; lane; lane = lane->hh.next) {
        if (lane->first->since_ms < limit && partition_owns(lane->first))
            return true;
    }
    return false;
}

/* What stands unread may have been sent to us as long ago. */
static bool unread_is_overdue(const struct hand_back *hand_back)
{
    int64_t since_ms = amqp_conn_behind_since_ms(hand_back->settings.consuming);
    return since_ms && since_ms < mono_ms() - hand_back->settings.hold_max_ms;
}

static void on_hold_check(void *arg)
{
    struct hand_back *hand_back = arg;
    const struct allowance *allowance = hand_back->settings.allowance;
    if (is_overdue(hand_back))
        hand_back_begin(hand_back, "one was held for long");
    else if (unread_is_overdue(hand_back))
        hand_back_begin(hand_back, "some may have stood unread for long");
    else if (allowance_spent_s(allowance) >= UNREAD_MAX_S)
        hand_back_begin(hand_back, "nothing was read for long, for want of memory");
}

void hand_back_begin(struct hand_back *hand_back, const char *why)
{
    if (hand_back->phase != SERVING)
        return;
    log_info("handing events back", LF_S("reason", why));
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
