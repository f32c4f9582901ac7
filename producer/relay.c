/*
 * relay.c - the outbox, read in order and published with confirms; see relay.h
 *
 * One statement does it all: mtc.relay_step() marks what was confirmed and reads what comes next.
 * While rows come seldom, the relay is "asleep": emit sends NOTIFY, each wakes it, and a slow poll
 * covers what no NOTIFY announced. While they come thick it tells emit to be quiet
 * (mtc.relay.awake) and reads every few milliseconds by itself.
 */
#include "relay.h"
#include "base/clock.h"
#include "flights.h"
#include "base/log.h"
#include "outbox_row.h"
#include "repeats.h"
#include "suite/settings.h"
#include "base/xalloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AWAKE_POLL_MS 4
#define MARK_DELAY_MS 20      /* a confirm waits this long for company before its row is marked */
#define WINDOW_MS     1000    /* reads that found rows are counted over this */
#define WAKE_READS    150     /* ... this many: stop the NOTIFYs */
#define SLEEP_READS   75      /* ... fewer than this: have them again */
#define TICK_MS       5000    /* mtc.tick() and mtc.sweep() */
#define SWEEP_MS      250     /* between bites, while there is more to sweep */
#define UNSENT_MAX    4194304 /* bytes on their way to the broker past which nothing is read */

enum relay_mode { RELAY_OFFLINE, RELAY_STANDBY, RELAY_ACTIVE };

struct relay {
    struct service *service;
    struct pg_conn *pg;
    struct amqp_chan *chan;
    enum relay_mode mode;
    struct flights flights;
    struct timer *timer;

    struct repeats repeats;

    bool want_read; /* there may be rows nobody has read */
    bool
        old_tags; /* the ring holds rows of a lost channel: it must empty before a new channel's tags */
    int asked;  /* rows the step under way asks for */
    bool awake; /* what mtc.relay says */
    int64_t last_read_ms, last_step_ms, count_from_ms, next_tick_ms, confirmed_since_ms;
    int reads_with_rows;
    int settle; /* reads soon after falling asleep, for who had seen "awake" */
    int64_t sweep_after, sweep_at_ms; /* INT64_MAX: at the next tick */

    void (*drained)(void *arg);
    void *drained_arg;

    struct metric *published, *confirmed, *unformed, *repeated, *active, *reads;
};

static void pump(struct relay *relay);

static void on_timer(void *arg)
{
    pump(arg);
}

/* --- from row to message --- */

static int64_t number(const PGresult *rows, int row, int column)
{
    return PQgetisnull(rows, row, column) ? 0 : strtoll(PQgetvalue(rows, row, column), NULL, 10);
}

static void publish_row(struct relay *relay, const PGresult *rows, int row)
{
    int64_t id = outbox_row_id(rows, row);
    bool repeat = repeats_has(&relay->repeats, id), unformed;
    uint64_t tag = outbox_row_publish(rows, row, relay->chan, repeat, &unformed);
    flights_add(&relay->flights, tag, id);
    metric_add(relay->published, 1);
    metric_add(relay->repeated, repeat);
    metric_add(relay->unformed, unformed);
}

/* --- the step: mark and read --- */

/* A PostgreSQL array of the rows in this state; caller frees. */
static char *array_of(const struct relay *relay, enum flight_state state)
{
    size_t count = relay->flights.in_state[state], len = 0;
    char *out = xmalloc(count * 21 + 3);
    out[len++] = '{';
    for (size_t i = 0; i < relay->flights.count; i++) {
        const struct flight *flight = flights_at(&relay->flights, i);
        if (flight->state == state)
            len += (size_t)sprintf(out + len, "%s%" PRId64, len > 1 ? "," : "", flight->row);
    }
    out[len++] = '}';
    out[len] = '\0';
    return out;
}

static void turn_all(struct relay *relay, enum flight_state from, enum flight_state to)
{
    for (size_t i = 0; i < relay->flights.count; i++) {
        struct flight *flight = flights_at(&relay->flights, i);
        if (flight->state == from)
            flights_set(&relay->flights, flight, to);
    }
}

static size_t room_left(const struct relay *relay)
{
    size_t window = (size_t)relay->service->config->producer_window;
    return relay->flights.count < window ? window - relay->flights.count : 0;
}

static int rows_wanted(const struct relay *relay)
{
    if (!relay->chan || relay->drained || relay->old_tags)
        return 0;
    const struct amqp_conn *conn = amqp_chan_conn(relay->chan);
    if (amqp_conn_is_blocked(conn) || amqp_conn_unsent(conn) > UNSENT_MAX)
        return 0;
    size_t room = room_left(relay);
    size_t batch = (size_t)relay->service->config->producer_batch;
    return (int)(room < batch ? room : batch);
}

static void on_step(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct relay *relay = arg;
    if (error) {
        pg_conn_fail(relay->pg, error->text);
        return;
    }
    turn_all(relay, FLIGHT_MARKING, FLIGHT_MARKED);
    flights_trim(&relay->flights);
    int count = PQntuples(rows);
    if (!relay->chan || relay->old_tags) { /* lost meanwhile: the rows will be read again */
        relay->want_read = true;
        relay->old_tags = relay->flights.count > 0;
        count = 0;
    }
    for (int row = 0; row < count; row++)
        publish_row(relay, rows, row);
    relay->reads_with_rows += count > 0;
    if (relay->asked && count >= relay->asked)
        relay->want_read = true; /* there is more; what comes later announces itself */
    else if (relay->asked && count == 0 && relay->flights.count == 0)
        repeats_clear(&relay->repeats); /* all that was uncertain has been read again */
    pump(relay);
}

static void step(struct relay *relay, int max_rows)
{
    relay->last_step_ms = mono_ms();
    if (max_rows > 0) {
        relay->want_read = false;
        relay->last_read_ms = relay->last_step_ms;
    }
    relay->asked = max_rows;
    turn_all(relay, FLIGHT_CONFIRMED, FLIGHT_MARKING);
    char *confirmed = array_of(relay, FLIGHT_MARKING),
         *in_flight = array_of(relay, FLIGHT_PUBLISHED);
    char limit[16];
    snprintf(limit, sizeof limit, "%d", max_rows);
    const char *values[] = {confirmed, in_flight, limit};
    metric_add(relay->reads, max_rows > 0);
    pg_conn_query(relay->pg, "SELECT * FROM mtc.relay_step($1, $2, $3)", 3, values, on_step, relay);
    free(confirmed);
    free(in_flight);
}

/* --- asleep and awake --- */

static void on_flag(const PGresult *result, const struct pg_error *error, void *arg)
{
    (void)result;
    struct relay *relay = arg;
    if (error) {
        pg_conn_fail(relay->pg, error->text);
        return;
    }
    relay->want_read = true;
    relay->settle = relay->awake ? 0 : 4;
    pump(relay);
}

static void set_awake(struct relay *relay, bool awake)
{
    relay->awake = awake;
    log_debug(awake ? "awake: reading by itself" : "asleep: waiting for NOTIFY");
    const char *values[] = {awake ? "true" : "false"};
    pg_conn_query(relay->pg, "SELECT mtc.relay_awake($1)", 1, values, on_flag, relay);
}

/* True if it sent a statement. */
static bool change_flag(struct relay *relay, int64_t now)
{
    if (now - relay->count_from_ms < WINDOW_MS)
        return false;
    int reads = relay->reads_with_rows;
    relay->count_from_ms = now;
    relay->reads_with_rows = 0;
    if (relay->awake ? reads >= SLEEP_READS : reads < WAKE_READS)
        return false;
    set_awake(relay, !relay->awake);
    return true;
}

/* --- housekeeping --- */

static void on_swept(const PGresult *result, const struct pg_error *error, void *arg)
{
    struct relay *relay = arg;
    if (error) {
        pg_conn_fail(relay->pg, error->text);
        return;
    }
    relay->sweep_after = number(result, 0, 0);
    if (relay->sweep_after)
        relay->sweep_at_ms = mono_ms() + SWEEP_MS;
    pump(relay);
}

static void on_ticked(const PGresult *result, const struct pg_error *error, void *arg)
{
    struct relay *relay = arg;
    (void)result;
    if (error)
        log_error("mtc.tick() failed", LF_S("reason", error->text));
    relay->want_read = true;
    relay->sweep_at_ms = mono_ms();
    pump(relay);
}

static bool keep_house(struct relay *relay, int64_t now)
{
    if (now >= relay->sweep_at_ms) {
        char after[24], retention[40];
        snprintf(after, sizeof after, "%" PRId64, relay->sweep_after);
        snprintf(retention, sizeof retention, "%" PRId64 " seconds",
                 relay->service->config->producer_retention_s);
        const char *values[] = {after, retention};
        relay->sweep_at_ms = INT64_MAX;
        pg_conn_query(relay->pg, "SELECT mtc.sweep($1, $2)", 2, values, on_swept, relay);
        return true;
    }
    if (now < relay->next_tick_ms)
        return false;
    relay->next_tick_ms = now + TICK_MS;
    const char *values[] = {
        relay->awake ? "true" : "false"}; /* what emit knows of us runs out: say it again */
    pg_conn_query(relay->pg, "SELECT mtc.relay_awake($1), mtc.tick()", 1, values, on_ticked, relay);
    return true;
}

/* --- what to do next --- */

static int64_t poll_pause(const struct relay *relay)
{
    if (relay->awake)
        return AWAKE_POLL_MS;
    int64_t poll = relay->service->config->producer_poll_ms;
    int64_t soon = 20 << (2 * (4 - relay->settle)); /* 20, 80, 320, 1280 ms after falling asleep */
    return relay->settle > 0 && soon < poll ? soon : poll;
}

static void arm(struct relay *relay, int64_t ms)
{
    timer_in(relay->timer, ms < 1 ? 1 : ms);
}

static bool finish_drain(struct relay *relay)
{
    if (!relay->drained || relay->flights.in_state[FLIGHT_PUBLISHED] ||
        relay->flights.in_state[FLIGHT_CONFIRMED] || relay->flights.in_state[FLIGHT_MARKING])
        return false;
    void (*done)(void *) = relay->drained;
    relay->drained = NULL;
    relay->mode = RELAY_OFFLINE;
    timer_cancel(relay->timer);
    done(relay->drained_arg);
    return true;
}

static void pump_active(struct relay *relay)
{
    int64_t now = mono_ms();
    size_t confirmed = relay->flights.in_state[FLIGHT_CONFIRMED];
    int64_t poll_at = relay->last_read_ms + poll_pause(relay);
    int64_t mark_at = relay->confirmed_since_ms + MARK_DELAY_MS;
    if (now >= poll_at) {
        relay->want_read = true;
        relay->settle -= relay->settle > 0;
    }
    int wanted = relay->want_read ? rows_wanted(relay) : 0;
    /* Short of room, wait for it: many small reads cost more than a few good ones. */
    if (wanted && relay->flights.count &&
        room_left(relay) < (size_t)relay->service->config->producer_window / 4)
        wanted = 0;
    bool mark = confirmed &&
                (now >= mark_at || confirmed >= (size_t)relay->service->config->producer_batch ||
                 relay->drained || !relay->chan);
    /* With nowhere to publish to there is nothing to read; but a silent session would lose the
     * lock. */
    bool sign_of_life = now - relay->last_step_ms >= relay->service->config->producer_poll_ms;
    if (wanted || mark || sign_of_life) {
        step(relay, wanted);
        return;
    }
    if (finish_drain(relay) ||
        (!relay->drained && (change_flag(relay, now) || keep_house(relay, now))))
        return;
    int64_t next = confirmed && mark_at < poll_at ? mark_at : poll_at;
    if (relay->sweep_at_ms < next)
        next = relay->sweep_at_ms;
    arm(relay, next > now ? next - now : 10); /* 10: the poll is due but the broker takes nothing */
}

static void become_standby(struct relay *relay)
{
    relay->mode = RELAY_STANDBY;
    metric_set(relay->active, 0);
    pump(relay);
}

static void on_takeover(const PGresult *result, const struct pg_error *error, void *arg)
{
    struct relay *relay = arg;
    if (error) {
        pg_conn_fail(relay->pg, error->text);
        return;
    }
    repeats_after_takeover(&relay->repeats, number(result, 0, 0));
    relay->mode = RELAY_ACTIVE;
    relay->awake = false;
    relay->want_read = true;
    relay->count_from_ms = mono_ms();
    relay->reads_with_rows = 0;
    metric_set(relay->active, 1);
    log_info("active: relaying the outbox");
    pump(relay);
}

static void on_lock(const PGresult *result, const struct pg_error *error, void *arg)
{
    struct relay *relay = arg;
    if (error) {
        pg_conn_fail(relay->pg, error->text);
        return;
    }
    if (PQgetvalue(result, 0, 0)[0] == 't') {
        pg_conn_query(relay->pg,
                      "LISTEN mtc_outbox; SELECT mtc.relay_awake(false);"
                      "SELECT last_value FROM mtc.outbox_id_seq",
                      0, NULL, on_takeover, relay);
        return;
    }
    arm(relay, relay->service->config->producer_standby_poll_ms);
}

static void pump(struct relay *relay)
{
    if (!pg_conn_is_idle(relay->pg)) {
        /* A drain without PostgreSQL has nothing to wait for: unmarked rows are published again, as
         * repeats. */
        if (relay->drained && !pg_conn_is_up(relay->pg)) {
            flights_clear(&relay->flights);
            finish_drain(relay);
        }
        return;
    }
    if (relay->mode == RELAY_ACTIVE)
        pump_active(relay);
    else if (!finish_drain(relay) && relay->mode == RELAY_STANDBY)
        pg_conn_query(relay->pg, "SELECT pg_try_advisory_lock(7173219, 1)", 0, NULL, on_lock,
                      relay);
}

/* --- what happens to it --- */

static void on_pg_up(void *arg)
{
    become_standby(arg);
}

static void on_pg_down(const char *reason, void *arg)
{
    (void)reason;
    struct relay *relay = arg;
    relay->mode = RELAY_OFFLINE;
    metric_set(relay->active, 0);
    /* The lock went with the session: whoever is next reads what is not marked, as repeats. */
    flights_clear(&relay->flights);
    relay->old_tags = false;
    repeats_clear(&relay->repeats);
    timer_cancel(relay->timer);
    pump(relay);
}

static void on_notify(const char *channel, const char *payload, void *arg)
{
    (void)channel;
    (void)payload;
    struct relay *relay = arg;
    relay->want_read = true;
    if (relay->mode == RELAY_ACTIVE)
        pump(relay);
}

void relay_wake(struct relay *relay)
{
    relay->want_read = true;
    if (relay->mode == RELAY_ACTIVE)
        pump(relay);
}

/* Takes unconfirmed rows out of the ring: they will be read again. Confirmed ones stay to be
 * marked. */
static void give_up_unconfirmed(struct relay *relay)
{
    struct flights *flights = &relay->flights;
    for (size_t i = 0; i < flights->count; i++) {
        struct flight *flight = flights_at(flights, i);
        if (flight->state == FLIGHT_PUBLISHED) {
            repeats_add(&relay->repeats, flight->row);
            flights_set(flights, flight, FLIGHT_MARKED);
        }
    }
    flights_trim(flights);
    relay->old_tags = flights->count > 0;
}

void relay_set_channel(struct relay *relay, struct amqp_chan *chan)
{
    relay->chan = chan;
    if (!chan)
        give_up_unconfirmed(relay);
    relay_wake(relay);
}

void relay_on_confirm(struct relay *relay, uint64_t tag, bool multiple)
{
    size_t before = relay->flights.in_state[FLIGHT_CONFIRMED];
    flights_confirm(&relay->flights, tag, multiple);
    size_t after = relay->flights.in_state[FLIGHT_CONFIRMED];
    metric_add(relay->confirmed, (double)(after - before));
    if (before == 0 && after > 0)
        relay->confirmed_since_ms = mono_ms();
    if (relay->mode == RELAY_ACTIVE)
        pump(relay);
}

void relay_drain(struct relay *relay, void (*done)(void *arg), void *arg)
{
    relay->drained = done;
    relay->drained_arg = arg;
    pump(relay);
}

bool relay_is_connected(const struct relay *relay)
{
    return relay->mode != RELAY_OFFLINE;
}

static void add_metrics(struct relay *relay)
{
    struct metrics *metrics = relay->service->metrics;
    relay->active = metrics_add(metrics, METRIC_GAUGE, "mtc_producer_active",
                                "1 while this process relays", NULL);
    relay->published = metrics_add(metrics, METRIC_COUNTER, "mtc_producer_published_total",
                                   "Events published", NULL);
    relay->confirmed = metrics_add(metrics, METRIC_COUNTER, "mtc_producer_confirmed_total",
                                   "Events the broker confirmed", NULL);
    relay->repeated = metrics_add(metrics, METRIC_COUNTER, "mtc_producer_repeats_total",
                                  "Events published that may have been published before", NULL);
    relay->unformed = metrics_add(metrics, METRIC_COUNTER, "mtc_producer_unformed_total",
                                  "Events that could not be formed and went to the dead letters",
                                  NULL);
    relay->reads = metrics_add(metrics, METRIC_COUNTER, "mtc_producer_reads_total",
                               "Reads of the outbox", NULL);
}

struct relay *relay_new(struct service *service, char *error, size_t error_size)
{
    static const struct pg_conn_events events = {
        .on_up = on_pg_up, .on_down = on_pg_down, .on_notify = on_notify};
    struct relay *relay = xcalloc(1, sizeof *relay);
    relay->service = service;
    relay->sweep_at_ms = INT64_MAX;
    flights_init(&relay->flights, (size_t)service->config->producer_window);
    relay->timer = timer_new(service->loop, on_timer, relay);
    add_metrics(relay);
    /* A mark that is lost only makes its row a repeat, so it need not wait for the disk. A relay
     * that goes silent (it asks at least every 3 s) loses its session, and with it the lock. */
    struct pg_conn_settings settings = settings_pg(
        service->config, service->connection_name,
        "SET synchronous_commit = off; SET idle_session_timeout = '4s'; SET jit = off");
    relay->pg = pg_conn_new(service->loop, service->resolver, &settings, &events, relay, error,
                            error_size);
    if (!relay->pg) {
        relay_free(relay);
        return NULL;
    }
    return relay;
}

void relay_free(struct relay *relay)
{
    if (!relay)
        return;
    pg_conn_free(relay->pg);
    timer_free(relay->timer);
    flights_free(&relay->flights);
    repeats_free(&relay->repeats);
    free(relay);
}
