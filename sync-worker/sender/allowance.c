/* allowance.c - how many bytes the sender may hold; see allowance.h */
#include "allowance.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/timer.h"
#include "base/xalloc.h"

#include <stdlib.h>

struct allowance {
    struct allowance_settings settings;
    void (*on_spent)(void *arg);
    void *arg;
    struct amqp_conn *consuming; /* NULL: closed */
    size_t taken;
    int events;
    struct timer *patience;
    int64_t stopped_ms; /* 0: it was not, on any connection */
};

size_t allowance_bytes(const struct allowance *allowance)
{
    return allowance->taken + publisher_unsent(allowance->settings.publisher);
}

static void stop(struct allowance *allowance)
{
    if (!amqp_conn_is_up(allowance->consuming))
        return;
    amqp_conn_stop_reading(allowance->consuming);
    allowance->stopped_ms = mono_ms();
    timer_in(allowance->patience, allowance->settings.patience_ms);
    metric_add(allowance->settings.metrics->stops, 1);
    log_debug("reading nothing more: the memory bound is reached",
              LF_I("events", allowance->events),
              LF_I("bytes", (int64_t)allowance_bytes(allowance)));
}

/* Asked again whenever something comes or goes, so no stop outlasts its reason. */
static void look(struct allowance *allowance)
{
    if (!allowance->consuming)
        return;
    bool reading = amqp_conn_is_reading(allowance->consuming);
    size_t bytes = allowance_bytes(allowance);
    if (reading && allowance->events > 0 && bytes >= allowance->settings.bytes)
        stop(allowance);
    else if (!reading && (allowance->events == 0 || bytes < allowance->settings.bytes / 4 * 3))
        amqp_conn_read_on(allowance->consuming);
}

void allowance_take(struct allowance *allowance, size_t bytes)
{
    allowance->taken += bytes;
    allowance->events++;
    look(allowance);
}

void allowance_give(struct allowance *allowance, size_t bytes)
{
    allowance->taken -= bytes;
    allowance->events--;
    look(allowance);
}

void allowance_shrink(struct allowance *allowance, size_t bytes)
{
    allowance->taken -= bytes;
    look(allowance);
}

void allowance_on_conn_up(struct allowance *allowance)
{
    look(allowance);
}

static void on_patience_over(void *arg)
{
    struct allowance *allowance = arg;
    if (allowance->consuming && !amqp_conn_is_reading(allowance->consuming))
        allowance->on_spent(allowance->arg);
}

int64_t allowance_spent_s(const struct allowance *allowance)
{
    if (!allowance->consuming || amqp_conn_is_reading(allowance->consuming))
        return -1;
    return (mono_ms() - allowance->stopped_ms) / 1000;
}

struct allowance *allowance_new(const struct allowance_settings *settings,
                                void (*on_spent)(void *arg), void *arg)
{
    struct allowance *allowance = xcalloc(1, sizeof *allowance);
    allowance->settings = *settings;
    allowance->consuming = settings->consuming;
    allowance->on_spent = on_spent;
    allowance->arg = arg;
    allowance->patience = timer_new(settings->loop, on_patience_over, allowance);
    return allowance;
}

void allowance_close(struct allowance *allowance)
{
    if (allowance)
        allowance->consuming = NULL;
}

void allowance_free(struct allowance *allowance)
{
    if (!allowance)
        return;
    timer_free(allowance->patience);
    free(allowance);
}
