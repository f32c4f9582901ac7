/* relay.c - the outbox, read in order and published with confirms; see relay.h */
#include "relay.h"
#include "fence.h"
#include "housekeeping.h"
#include "pace.h"
#include "reconcile.h"
#include "transit.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/timer.h"
#include "base/xalloc.h"
#include "suite/election.h"
#include "suite/topology.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_POLL_MS    10   /* the poll is due, but the broker takes nothing */
#define WATCH_MS        1000 /* between looks whether the broker confirms anything */
#define PARTITIONING_MS 1000 /* pause between questions whether the old partitioning is settled */

struct relay {
    const struct config *config;
    const struct producer_metrics *metrics;
    struct election *election;
    struct fence *fence;
    struct transit *transit;
    struct housekeeping *housekeeping;
    struct reconcile *reconcile;
    struct pace pace;
    struct timer *timer, *watch;
    bool active;             /* elected, and taken over */
    struct timer *ask_again; /* whether it may publish by its own partitioning */
    struct log_limit waits;

    bool draining;
    void (*on_drained)(void *arg); /* NULL: not draining, or called */
    void *drained_arg;
};

static void pump(struct relay *relay);

/* --- asleep and awake --- */

static void on_told(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct relay *relay = arg;
    (void)rows;
    if (error) {
        election_fail(relay->election, error->text);
        return;
    }
    pace_on_told(&relay->pace);
    pump(relay);
}

static void tell_emit(struct relay *relay)
{
    bool awake = relay->pace.awake;
    log_debug(awake ? "awake: reading by itself" : "asleep: waiting for NOTIFY");
    const char *values[] = {awake ? "true" : "false"};
    election_query(relay->election, "SELECT mtc.relay_awake($1)", 1, values, on_told, relay);
}

/* --- what to do next --- */

static void step(struct relay *relay, int max_rows, int64_t now)
{
    if (max_rows > 0)
        pace_on_read_sent(&relay->pace, now);
    transit_step(relay->transit, max_rows);
}

/* Until the first to be due of poll, mark, sweep and markers; a tick waits for one of them. */
static void wait_for_next(struct relay *relay, int64_t poll_at, int64_t mark_at, int64_t now)
{
    int64_t sweep_at = housekeeping_sweep_at(relay->housekeeping);
    int64_t markers_at = reconcile_due_at(relay->reconcile);
    int64_t next = mark_at < poll_at ? mark_at : poll_at;
    next = sweep_at < next ? sweep_at : next;
    next = markers_at < next ? markers_at : next;
    timer_in(relay->timer, next > now ? next - now : BUSY_POLL_MS);
}

/* All that was published is marked, or can't be: the last this relay does. */
static void end_drain(struct relay *relay)
{
    void (*on_drained)(void *) = relay->on_drained;
    if (!on_drained)
        return;
    relay->on_drained = NULL;
    relay->active = false;
    timer_cancel(relay->timer);
    on_drained(relay->drained_arg);
}

/* What may wait: true if a statement of it was due, and is under way. */
static bool act_in_leisure(struct relay *relay, int64_t now)
{
    return housekeeping_run(relay->housekeeping, relay->pace.awake, now) ||
           reconcile_run(relay->reconcile, now);
}

/* Sends the one statement that comes next, or waits. */
static void act(struct relay *relay)
{
    if (!relay->draining && fence_run(relay->fence))
        return;
    int64_t now = mono_ms();
    int64_t poll_at = pace_poll_at(&relay->pace, relay->config->producer_poll_ms);
    int64_t mark_at = transit_mark_at(relay->transit);
    if (now >= poll_at)
        pace_on_poll_due(&relay->pace);
    bool must_mark = now >= mark_at || (relay->draining && mark_at != INT64_MAX);
    bool may_read = relay->pace.read_wanted && !relay->draining;
    int wanted = may_read ? transit_rows_wanted(relay->transit) : 0;
    if (wanted || must_mark)
        step(relay, wanted, now);
    else if (relay->draining && transit_is_done(relay->transit))
        end_drain(relay);
    else if (!relay->draining && pace_switch(&relay->pace, now))
        tell_emit(relay);
    else if (relay->draining || !act_in_leisure(relay, now))
        wait_for_next(relay, poll_at, mark_at, now);
}

static void pump(struct relay *relay)
{
    if (relay->active && election_is_idle(relay->election))
        act(relay);
    else if (!relay->active)
        end_drain(relay); /* nothing to wait for: unmarked rows are published again, as repeats */
}

static void on_due(void *arg)
{
    pump(arg);
}

static void on_stepped(bool found, bool more, void *arg)
{
    struct relay *relay = arg;
    pace_on_read_done(&relay->pace, found, more);
    pump(relay);
}

/* What stands still says nothing: it has to be looked at. */
static void on_watch_due(void *arg)
{
    struct relay *relay = arg;
    int64_t often = relay->config->producer_confirm_ms / 4;
    timer_in(relay->watch, often < WATCH_MS ? often : WATCH_MS);
    if (transit_watch(relay->transit, mono_ms())) {
        pace_want_read(&relay->pace);
        pump(relay);
    }
}

static void on_term_open(struct publisher *publisher, const char *exchange, void *arg)
{
    struct relay *relay = arg;
    transit_on_publisher_ready(relay->transit, publisher, exchange);
    reconcile_on_open(relay->reconcile, publisher, exchange);
    pace_want_read(&relay->pace);
}

static void on_ticked(int64_t oldest_us, void *arg)
{
    struct relay *relay = arg;
    transit_on_oldest_told(relay->transit, oldest_us);
    pace_want_read(&relay->pace);
    pump(relay);
}

/* --- what the election tells --- */

static void on_takeover(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct relay *relay = arg;
    if (error) {
        election_fail(relay->election, error->text);
        return;
    }
    if (relay->draining)
        return;
    transit_take_over(relay->transit, strtoll(PQgetvalue(rows, 0, 0), NULL, 10));
    pace_start(&relay->pace, mono_ms());
    relay->active = true;
    metric_set(relay->metrics->active, 1);
    log_info("active: relaying the outbox");
    pump(relay);
}

/*
 * Events that went out by another rule, or over another number of partitions, are settled first:
 * one of them could be overtaken by the next of its machine, in another partition.
 */
static void on_may_partition(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct relay *relay = arg;
    if (error) {
        election_fail(relay->election, error->text);
    } else if (*PQgetvalue(rows, 0, 0) == 't') {
        election_query(relay->election,
                       "LISTEN mtc_outbox; SELECT mtc.relay_awake(false);"
                       "SELECT last_value FROM mtc.outbox_id_seq",
                       0, NULL, on_takeover, relay);
    } else {
        if (log_limit_ok(&relay->waits, 60000))
            log_warn("nothing is published yet: events that went out by another partitioning are "
                     "not settled");
        timer_in(relay->ask_again, PARTITIONING_MS);
    }
}

static void ask_partitioning(void *arg)
{
    struct relay *relay = arg;
    char scheme[64];
    const char *values[] = {scheme};
    if (relay->draining || relay->active || !election_is_active(relay->election))
        return;
    if (!election_is_idle(relay->election)) { /* a sign of life is under way */
        timer_in(relay->ask_again, PARTITIONING_MS);
        return;
    }
    snprintf(scheme, sizeof scheme, TOPOLOGY_SCHEME "/%d", (int)relay->config->topology_partitions);
    election_query(relay->election, "SELECT mtc.may_partition($1)", 1, values, on_may_partition,
                   relay);
}

static void on_elected(void *arg)
{
    ask_partitioning(arg);
}

static void on_lost(bool was_active, const char *reason, void *arg)
{
    struct relay *relay = arg;
    (void)was_active;
    (void)reason;
    relay->active = false;
    metric_set(relay->metrics->active, 0);
    fence_on_session_lost(relay->fence);
    reconcile_on_lost(relay->reconcile);
    transit_forget(relay->transit);
    timer_cancel(relay->timer);
    timer_cancel(relay->ask_again);
    pump(relay);
}

static void on_notify(const char *channel, const char *payload, void *arg)
{
    struct relay *relay = arg;
    (void)channel;
    if (strcmp(payload, "round") == 0)
        reconcile_on_asked(relay->reconcile);
    relay_wake(relay);
}

/* --- what the broker tells --- */

void relay_wake(struct relay *relay)
{
    pace_want_read(&relay->pace);
    if (relay->active)
        pump(relay);
}

void relay_on_publisher_ready(struct relay *relay, struct publisher *publisher)
{
    fence_on_publisher_ready(relay->fence, publisher);
    relay_wake(relay);
}

void relay_on_publisher_lost(struct relay *relay)
{
    fence_on_publisher_lost(relay->fence);
    reconcile_on_lost(relay->reconcile);
    transit_on_publisher_lost(relay->transit);
    relay_wake(relay); /* what was unconfirmed is to be read again */
}

void relay_on_confirmed(struct relay *relay, uint64_t tag, bool multiple)
{
    if (transit_on_confirmed(relay->transit, tag, multiple))
        pace_want_read(&relay->pace);
    if (relay->active)
        pump(relay);
}

/* --- birth and end --- */

void relay_drain(struct relay *relay, void (*on_drained)(void *arg), void *arg)
{
    relay->draining = true;
    relay->on_drained = on_drained;
    relay->drained_arg = arg;
    election_withdraw(relay->election);
    pump(relay);
}

int64_t relay_oldest_us(const struct relay *relay)
{
    return transit_oldest_us(relay->transit);
}

bool relay_is_connected(const struct relay *relay)
{
    return election_is_connected(relay->election);
}

/* A mark that is lost only makes its row a repeat, so its commit need not wait for the disk. */
static struct election *new_election(struct relay *relay, const struct service *service,
                                     char *error, size_t error_size)
{
    static const struct election_events events = {
        .on_elected = on_elected, .on_lost = on_lost, .on_idle = on_due, .on_notify = on_notify};
    struct election_settings settings = {
        .lock = ELECTION_RELAY,
        .session_sql = "SET synchronous_commit = off; SET jit = off",
        .standby_poll_ms = service->config->producer_standby_poll_ms,
    };
    return election_new(service, &settings, &events, relay, error, error_size);
}

struct relay *relay_new(const struct service *service, const struct producer_metrics *metrics,
                        char *error, size_t error_size)
{
    static const struct housekeeping_events events = {.on_ticked = on_ticked, .on_swept = on_due};
    static const struct fence_events fence_events = {.on_open = on_term_open, .on_idle = on_due};
    struct relay *relay = xcalloc(1, sizeof *relay);
    relay->config = service->config;
    relay->metrics = metrics;
    relay->timer = timer_new(service->loop, on_due, relay);
    relay->ask_again = timer_new(service->loop, ask_partitioning, relay);
    relay->election = new_election(relay, service, error, error_size);
    if (!relay->election) {
        relay_free(relay);
        return NULL;
    }
    relay->fence = fence_new(relay->election, &fence_events, relay);
    relay->transit = transit_new(relay->election, relay->config, metrics, on_stepped, relay);
    relay->watch = timer_new(service->loop, on_watch_due, relay);
    timer_soon(relay->watch);
    relay->housekeeping = housekeeping_new(relay->election, relay->config->producer_retention_s,
                                           &events, relay);
    struct reconcile_settings settings = {.election = relay->election,
                                          .metrics = metrics,
                                          .period_s = relay->config->producer_reconcile_s,
                                          .partitions = (int)relay->config->topology_partitions};
    relay->reconcile = reconcile_new(&settings, on_due, relay);
    return relay;
}

void relay_free(struct relay *relay)
{
    if (!relay)
        return;
    election_free(relay->election);
    housekeeping_free(relay->housekeeping);
    reconcile_free(relay->reconcile);
    fence_free(relay->fence);
    transit_free(relay->transit);
    timer_free(relay->timer);
    timer_free(relay->watch);
    timer_free(relay->ask_again);
    free(relay);
}
