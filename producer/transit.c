/* transit.c - rows on their way from the outbox to the broker; see transit.h */
#include "transit.h"
#include "flights.h"
#include "outbox_row.h"
#include "repeats.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"

#include <stdio.h>
#include <stdlib.h>

#define MARK_DELAY_MS 20      /* a confirm waits this long for company before its row is marked */
#define UNSENT_MAX    4194304 /* bytes on their way to the broker past which nothing is read */

struct transit {
    struct election *election;
    const struct config *config;
    const struct producer_metrics *metrics;
    transit_on_stepped on_stepped;
    void *arg;
    struct outbox_route route; /* its publisher is NULL: nowhere to publish to */
    uint64_t generation;       /* of its channel: another one with each gain and each loss */
    struct flights flights;
    struct repeats repeats;
    bool old_tags; /* the ring holds rows of a lost channel: they leave before new tags come in */
    uint64_t asked_in; /* the generation the step under way was sent in */
    int asked;         /* rows it asks for */
    int careful;       /* most rows read at a time while one of them can't be read; 0: any number */
    int64_t confirmed_since_ms;
    int64_t oldest_told_us; /* of the rows that were not read yet; 0: none */
};

static void publish_row(struct transit *transit, const PGresult *rows, int row)
{
    int64_t id = outbox_row_id(rows, row);
    bool repeat = repeats_has(&transit->repeats, id), unformed;
    uint64_t tag = outbox_row_publish(rows, row, &transit->route, repeat, &unformed);
    flights_add(&transit->flights, tag, id, outbox_row_created_us(rows, row));
    metric_add(transit->metrics->published, 1);
    metric_add(transit->metrics->repeated, repeat);
    metric_add(transit->metrics->unformed, unformed);
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
        transit->on_stepped(1, 1, transit->arg);
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
             LF_I("rows", transit->asked), LF_S("reason", reason));
    if (transit->asked > 1) {
        transit->careful = transit->asked / 2;
        transit->on_stepped(transit->asked, transit->asked, transit->arg);
        return;
    }
    /* What was confirmed meanwhile is not marked yet, and is not the row that was to be read. */
    char *in_flight = flights_array_unmarked(&transit->flights);
    const char *values[] = {in_flight};
    election_query(transit->election, "SELECT mtc.set_aside($1)", 1, values, on_set_aside, transit);
    free(in_flight);
}

/* Rows could be read: more at a time, up to what is usual. */
static void on_readable(struct transit *transit)
{
    transit->careful *= 2;
    if (transit->careful > (int)transit->config->producer_batch)
        transit->careful = 0;
}

/* --- the step: mark, read, publish --- */

static void on_step(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct transit *transit = arg;
    if (error && transit->asked && pg_error_is_data(error)) {
        on_unreadable(transit, error->text);
        return;
    }
    if (error) {
        election_fail(transit->election, error->text);
        return;
    }
    flights_turn_all(&transit->flights, FLIGHT_MARKING, FLIGHT_MARKED);
    flights_trim(&transit->flights);
    int count = PQntuples(rows);
    /*
     * If its channel was lost meanwhile, rows before these are to be read again, and they come
     * first; even if there is another channel by now.
     */
    bool dropped = transit->asked_in != transit->generation || !transit->route.publisher ||
                   transit->old_tags;
    if (dropped) {
        transit->old_tags = transit->flights.count > 0;
        count = 0;
    }
    if (transit->asked)
        on_readable(transit);
    if (transit->asked && !dropped)
        transit->oldest_told_us = 0; /* it is among these, or gone */
    for (int row = 0; row < count; row++)
        publish_row(transit, rows, row);
    if (transit->asked && !dropped && count == 0 && transit->flights.count == 0)
        repeats_clear(&transit->repeats); /* all that was uncertain has been read again */
    transit->on_stepped(transit->asked, count, transit->arg);
}

void transit_step(struct transit *transit, int max_rows)
{
    transit->asked = max_rows;
    transit->asked_in = transit->generation;
    flights_turn_all(&transit->flights, FLIGHT_CONFIRMED, FLIGHT_MARKING);
    char *confirmed = flights_array_of(&transit->flights, FLIGHT_MARKING);
    char *in_flight = flights_array_of(&transit->flights, FLIGHT_PUBLISHED);
    char limit[16];
    snprintf(limit, sizeof limit, "%d", max_rows);
    const char *values[] = {confirmed, in_flight, limit};
    metric_add(transit->metrics->reads, max_rows > 0);
    election_query(transit->election, "SELECT * FROM mtc.relay_step($1, $2, $3)", 3, values,
                   on_step, transit);
    free(confirmed);
    free(in_flight);
}

/* --- what is to be done --- */

/* None before all that is confirmed is marked: an error is then the row's. */
static int rows_wanted_carefully(const struct transit *transit, size_t room)
{
    if (transit->flights.in_state[FLIGHT_CONFIRMED])
        return 0;
    return room < (size_t)transit->careful ? (int)room : transit->careful;
}

int transit_rows_wanted(const struct transit *transit)
{
    size_t room = flights_room_left(&transit->flights);
    size_t window = (size_t)transit->config->producer_window;
    size_t batch = (size_t)transit->config->producer_batch;
    if (!transit->route.publisher || transit->old_tags)
        return 0;
    if (transit->careful)
        return rows_wanted_carefully(transit, room);
    if (publisher_is_blocked(transit->route.publisher) ||
        publisher_unsent(transit->route.publisher) > UNSENT_MAX)
        return 0;
    /* Short of room, wait for it: many small reads cost more than a few good ones. */
    if (transit->flights.count && room < window / 4)
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
    return flights->count ? flights_at(flights, 0)->created_us : transit->oldest_told_us;
}

bool transit_is_done(const struct transit *transit)
{
    const size_t *in_state = transit->flights.in_state;
    return !in_state[FLIGHT_PUBLISHED] && !in_state[FLIGHT_CONFIRMED] && !in_state[FLIGHT_MARKING];
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
    repeats_clear(&transit->repeats);
    transit->old_tags = false;
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
    flights_turn_all(flights, FLIGHT_PUBLISHED, FLIGHT_MARKED);
    flights_trim(flights);
    transit->old_tags = flights->count > 0;
}

struct confirm { /* what each row a confirm is for needs to know */
    const struct transit *transit;
    int64_t now_us;
};

static void on_row_confirmed(const struct flight *flight, void *arg)
{
    const struct confirm *confirm = arg;
    metric_observe(confirm->transit->metrics->publishing_seconds,
                   (double)(confirm->now_us - flight->created_us) / 1e6);
}

void transit_on_confirmed(struct transit *transit, uint64_t tag, bool multiple)
{
    struct confirm confirm = {.transit = transit, .now_us = utc_us()};
    size_t before = transit->flights.in_state[FLIGHT_CONFIRMED];
    flights_confirm(&transit->flights, tag, multiple, on_row_confirmed, &confirm);
    size_t after = transit->flights.in_state[FLIGHT_CONFIRMED];
    metric_add(transit->metrics->confirmed, (double)(after - before));
    if (before == 0 && after > 0)
        transit->confirmed_since_ms = mono_ms();
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
    flights_init(&transit->flights, (size_t)config->producer_window);
    return transit;
}

void transit_free(struct transit *transit)
{
    if (!transit)
        return;
    flights_free(&transit->flights);
    repeats_free(&transit->repeats);
    free(transit);
}
