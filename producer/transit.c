/* transit.c - rows on their way from the outbox to the broker; see transit.h */
#include "transit.h"
#include "flights.h"
#include "outbox_row.h"
#include "quota.h"
#include "repeats.h"
#include "silence.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK_DELAY_MS 20      /* a confirm waits this long for company before its row is marked */
#define UNSENT_MAX    4194304 /* bytes on their way to the broker past which nothing is read */

/* What the broker had lost (reconcile.h) may have been delivered all the same. */
static const char step_sql[] = "SELECT s.*, u.id IS NOT NULL"
                               "  FROM mtc.relay_step($1, $2, $3, $4, $5) s"
                               "       LEFT JOIN mtc.unsettled u ON u.id = s.id AND u.lost"
                               " ORDER BY s.id";

struct transit {
    struct election *election;
    const struct config *config;
    const struct producer_metrics *metrics;
    transit_on_stepped on_stepped;
    void *arg;
    struct outbox_route route; /* its publisher is NULL: nowhere to publish to */
    uint64_t generation;       /* of its channel: another one with each gain and each loss */
    struct flights flights;
    struct quota *quota;
    struct silence silence;
    struct repeats repeats;
    struct asked { /* by the step under way */
        uint64_t generation;
        int rows;
        size_t bytes;
        bool all; /* of all machines: none is held */
    } asked;
    int careful; /* most rows read at a time while one of them can't be read; 0: any number */
    int64_t confirmed_since_ms, watched_ms;
    int64_t oldest_told_us; /* of the rows that were not read yet; 0: none */
};

static size_t memory_bytes(const struct config *config)
{
    return (size_t)config->producer_memory_mib << 20;
}

static void show(struct transit *transit)
{
    metric_set(transit->metrics->unconfirmed_bytes, (double)quota_taken(transit->quota).bytes);
    metric_set(transit->metrics->stopped_partitions, quota_stopped(transit->quota));
}

/* False: its machine is held, and it will be read again. */
static bool publish_row(struct transit *transit, const PGresult *rows, int row, int64_t now)
{
    int64_t id = outbox_row_id(rows, row);
    struct flight flight = {.row = id, .created_us = outbox_row_created_us(rows, row)};
    int home = outbox_row_partition(rows, row, &transit->route);
    bool unformed = outbox_row_is_unformed(rows, row);
    flight.share.partition = unformed ? transit->route.partitions : home;
    flight.share.bytes = outbox_row_bytes(rows, row);
    if (!quota_take(transit->quota, &flight.share, outbox_row_machine(rows, row), home, now))
        return false;
    bool repeat = repeats_has(&transit->repeats, id) || outbox_row_was_lost(rows, row);
    flight.tag = outbox_row_publish(rows, row, &transit->route, repeat);
    flights_add(&transit->flights, &flight);
    silence_on_published(&transit->silence, flight.share.bytes);
    metric_add(transit->metrics->published, 1);
    metric_add(transit->metrics->repeated, repeat);
    metric_add(transit->metrics->unformed, unformed);
    return true;
}

/* --- a row that can't be read --- */

static void on_set_aside(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct transit *transit = arg;
    if (error) {
        election_fail(transit->election, error->text);
    } else if (PQgetisnull(rows, 0, 0)) {
        election_fail(transit->election, "the outbox can't be read, and it is not a row's fault");
    } else {
        log_error("a row of the outbox can't be read; it goes to the dead letters",
                  LF_S("row", PQgetvalue(rows, 0, 0)));
        transit->on_stepped(true, true, transit->arg);
    }
}

/*
 * One of the rows is at fault, and is found by halves. When it is alone, it is set aside. The step
 * has not marked anything either: that is done first, by a step that reads nothing.
 */
static void on_unreadable(struct transit *transit, const char *reason)
{
    flights_turn_all(&transit->flights, FLIGHT_MARKING, FLIGHT_CONFIRMED);
    log_warn("rows of the outbox can't be read; looking for the one at fault",
             LF_I("rows", transit->asked.rows), LF_S("reason", reason));
    if (transit->asked.rows > 1) {
        transit->careful = transit->asked.rows / 2;
        transit->on_stepped(true, true, transit->arg);
        return;
    }
    /* What was confirmed meanwhile is not marked yet, and is not the row that was to be read. */
    char *in_flight = flights_array_of_all(&transit->flights);
    char *held = quota_held(transit->quota);
    const char *values[] = {in_flight, held};
    election_query(transit->election, "SELECT mtc.set_aside($1, $2)", 2, values, on_set_aside,
                   transit);
    free(in_flight);
    free(held);
}

/* Rows could be read: more at a time, up to what is usual. */
static void on_readable(struct transit *transit)
{
    transit->careful *= 2;
    if (transit->careful > (int)transit->config->producer_batch)
        transit->careful = 0;
}

/* --- the step: mark, read, publish --- */

/* Publishes what was read. Returns how much that was, in all. */
static size_t publish_rows(struct transit *transit, const PGresult *rows, int *published)
{
    size_t bytes = 0;
    int64_t now = mono_ms();
    for (int row = 0; row < PQntuples(rows); row++) {
        bytes += outbox_row_bytes(rows, row);
        *published += publish_row(transit, rows, row, now);
    }
    show(transit);
    return bytes;
}

static void on_step(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct transit *transit = arg;
    struct asked asked = transit->asked;
    if (error && asked.rows && pg_error_is_data(error)) {
        on_unreadable(transit, error->text);
        return;
    }
    if (error) {
        election_fail(transit->election, error->text);
        return;
    }
    flights_drop_all(&transit->flights, FLIGHT_MARKING);
    if (asked.rows)
        on_readable(transit);
    /*
     * If its channel was lost meanwhile, rows before these are to be read again, and they come
     * first; even if there is another channel by now.
     */
    if (!asked.rows || asked.generation != transit->generation || !transit->route.publisher) {
        transit->on_stepped(false, false, transit->arg);
        return;
    }
    int published = 0, count = PQntuples(rows);
    size_t bytes = publish_rows(transit, rows, &published);
    if (asked.all)
        transit->oldest_told_us = 0; /* it is among these, or gone */
    if (asked.all && count == 0 && transit->flights.count == 0)
        repeats_clear(&transit->repeats); /* all that was uncertain has been read again */
    bool more = count >= asked.rows || bytes >= asked.bytes;
    transit->on_stepped(published > 0, more, transit->arg);
}

/* A row is held twice while it is read and published; and a read of one machine's large rows should
 * not bring many more than it may have on their way. */
static size_t bytes_wanted(const struct transit *transit)
{
    size_t left = quota_left(transit->quota).bytes / 2, most = memory_bytes(transit->config) / 4;
    return left < most ? left : most;
}

void transit_step(struct transit *transit, int max_rows)
{
    char limit[16], bytes[24];
    struct flights *flights = &transit->flights;
    flights_turn_all(flights, FLIGHT_CONFIRMED, FLIGHT_MARKING);
    char *confirmed = flights_array_of(flights, FLIGHT_MARKING);
    char *in_flight = flights_array_of(flights, FLIGHT_PUBLISHED);
    char *held = quota_held(transit->quota);
    transit->asked = (struct asked){.generation = transit->generation,
                                    .rows = max_rows,
                                    .bytes = bytes_wanted(transit),
                                    .all = strcmp(held, "{}") == 0};
    snprintf(limit, sizeof limit, "%d", max_rows);
    snprintf(bytes, sizeof bytes, "%zu", transit->asked.bytes ? transit->asked.bytes : 1);
    const char *values[] = {confirmed, in_flight, limit, bytes, held};
    metric_add(transit->metrics->reads, max_rows > 0);
    election_query(transit->election, step_sql, 5, values, on_step, transit);
    free(confirmed);
    free(in_flight);
    free(held);
}

/* --- what is to be done --- */

/* None before all that is confirmed is marked: an error is then the row's. */
static int rows_wanted_carefully(const struct transit *transit, size_t room)
{
    if (transit->flights.in_state[FLIGHT_CONFIRMED])
        return 0;
    return room < (size_t)transit->careful ? (int)room : transit->careful;
}

/* Rows that are not marked, but for those that wait for a stopped partition. */
static size_t rows_counted(const struct transit *transit)
{
    const size_t *in_state = transit->flights.in_state;
    return quota_counted(transit->quota).rows + in_state[FLIGHT_CONFIRMED] +
           in_state[FLIGHT_MARKING];
}

int transit_rows_wanted(const struct transit *transit)
{
    size_t window = (size_t)transit->config->producer_window;
    size_t batch = (size_t)transit->config->producer_batch;
    size_t counted = rows_counted(transit);
    size_t room = counted < window ? window - counted : 0;
    if (!transit->route.publisher || quota_is_crowded(transit->quota))
        return 0;
    if (transit->careful)
        return rows_wanted_carefully(transit, room);
    if (publisher_is_blocked(transit->route.publisher) ||
        publisher_unsent(transit->route.publisher) > UNSENT_MAX)
        return 0;
    /* Short of room, wait for it: many small reads cost more than a few good ones. */
    if (counted &&
        (room < window / 4 || quota_left(transit->quota).bytes < memory_bytes(transit->config) / 4))
        return 0;
    return (int)(room < batch ? room : batch);
}

int64_t transit_mark_at(const struct transit *transit)
{
    size_t confirmed = transit->flights.in_state[FLIGHT_CONFIRMED];
    if (!confirmed)
        return INT64_MAX;
    if (confirmed >= (size_t)transit->config->producer_batch || !transit->route.publisher ||
        transit->careful)
        return 0; /* no more company comes */
    return transit->confirmed_since_ms + MARK_DELAY_MS;
}

int64_t transit_oldest_us(const struct transit *transit)
{
    const struct flights *flights = &transit->flights;
    int64_t told_us = transit->oldest_told_us;
    int64_t first_us = flights->count ? flights_at(flights, 0)->created_us : 0;
    return first_us && (!told_us || first_us < told_us) ? first_us : told_us;
}

bool transit_is_done(const struct transit *transit)
{
    return rows_counted(transit) == 0;
}

/* --- what happens --- */

void transit_take_over(struct transit *transit, int64_t newest)
{
    repeats_after_takeover(&transit->repeats, newest);
}

void transit_forget(struct transit *transit)
{
    transit->route.publisher = NULL;
    transit->generation++;
    flights_clear(&transit->flights);
    quota_clear(transit->quota);
    show(transit);
    repeats_clear(&transit->repeats);
    transit->careful = 0;
    transit->oldest_told_us = 0;
}

void transit_on_oldest_told(struct transit *transit, int64_t created_us)
{
    transit->oldest_told_us = created_us;
}

void transit_on_publisher_ready(struct transit *transit, struct publisher *publisher,
                                const char *exchange)
{
    transit->route.publisher = publisher;
    transit->route.exchange = exchange;
    silence_on_channel(&transit->silence, publisher_unsent(publisher), mono_ms());
    transit->generation++;
}

void transit_on_publisher_lost(struct transit *transit)
{
    struct flights *flights = &transit->flights;
    transit->oldest_told_us = transit_oldest_us(transit);
    transit->route.publisher = NULL;
    transit->generation++;
    for (size_t i = 0; i < flights->count; i++) {
        const struct flight *flight = flights_at(flights, i);
        if (flight->state == FLIGHT_PUBLISHED)
            repeats_add(&transit->repeats, flight->row);
    }
    flights_drop_all(flights, FLIGHT_PUBLISHED);
    flights_forget_tags(flights);
    quota_on_channel_lost(transit->quota);
    show(transit);
}

struct confirm { /* what each row a confirm is for needs to know */
    struct transit *transit;
    int64_t now_us, now_ms;
    bool freed; /* rows that had to wait may go */
};

static void on_row_confirmed(const struct flight *flight, void *arg)
{
    struct confirm *confirm = arg;
    struct transit *transit = confirm->transit;
    confirm->freed |= quota_give(transit->quota, &flight->share, confirm->now_ms);
    metric_observe(transit->metrics->publishing_seconds,
                   (double)(confirm->now_us - flight->created_us) / 1e6);
}

bool transit_on_confirmed(struct transit *transit, uint64_t tag, bool multiple)
{
    struct confirm confirm = {.transit = transit, .now_us = utc_us(), .now_ms = mono_ms()};
    size_t before = transit->flights.in_state[FLIGHT_CONFIRMED];
    flights_confirm(&transit->flights, tag, multiple, on_row_confirmed, &confirm);
    size_t after = transit->flights.in_state[FLIGHT_CONFIRMED];
    if (before == after)
        return false;
    metric_add(transit->metrics->confirmed, (double)(after - before));
    silence_on_confirmed(&transit->silence, confirm.now_ms);
    show(transit);
    if (before == 0)
        transit->confirmed_since_ms = confirm.now_ms;
    return confirm.freed;
}

bool transit_watch(struct transit *transit, int64_t now)
{
    struct publisher *publisher = transit->route.publisher;
    if (!publisher)
        return false;
    /* A process that was stopped itself has not read the confirms that came meanwhile. */
    bool slept = now - transit->watched_ms > transit->config->producer_confirm_ms / 2;
    bool excused = publisher_is_blocked(publisher) || slept;
    size_t unsent = publisher_unsent(publisher);
    transit->watched_ms = now;
    bool stopped = quota_watch(transit->quota, excused || unsent > UNSENT_MAX, now);
    show(transit);
    bool waits = quota_taken(transit->quota).rows > 0 && !excused;
    if (silence_is_over(&transit->silence, waits, unsent, now))
        publisher_fail(publisher, "the broker confirms nothing");
    return stopped;
}

struct transit *transit_new(struct election *election, const struct config *config,
                            const struct producer_metrics *metrics, transit_on_stepped on_stepped,
                            void *arg)
{
    struct transit *transit = xcalloc(1, sizeof *transit);
    transit->election = election;
    transit->config = config;
    transit->route.partitions = (int)config->topology_partitions;
    transit->metrics = metrics;
    transit->on_stepped = on_stepped;
    transit->arg = arg;
    struct quota_limits limits = {.partitions = (int)config->topology_partitions,
                                  .window = (size_t)config->producer_window,
                                  .bytes = memory_bytes(config),
                                  .confirm_ms = config->producer_confirm_ms};
    transit->quota = quota_new(&limits);
    transit->silence.limit_ms = config->producer_confirm_ms;
    return transit;
}

void transit_free(struct transit *transit)
{
    if (!transit)
        return;
    flights_free(&transit->flights);
    quota_free(transit->quota);
    repeats_free(&transit->repeats);
    free(transit);
}
