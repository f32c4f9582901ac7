/* reconcile.c - rounds of markers, which find what the broker has lost; see reconcile.h */
#include "reconcile.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "suite/marker.h"
#include "suite/topology.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ASK_MIN_MS 250   /* between questions whether a round is due, ... */
#define ASK_MAX_MS 60000 /* ... which is a quarter of the period, between these */

enum state { WAITING, ASKED, NOTING, SENDING };

struct reconcile {
    struct reconcile_settings settings;
    void (*on_idle)(void *arg);
    void *arg;
    struct publisher *publisher; /* NULL: nowhere to send markers to */
    const char *exchange;
    enum state state;
    bool anew;                             /* markers of before may be lost */
    uint64_t generation, asked_generation; /* of the term */
    int64_t due_at_ms;
    int64_t cursor, next_floor; /* NOTING */
};

static int64_t ask_ms(const struct reconcile *reconcile)
{
    int64_t quarter = reconcile->settings.period_s * 1000 / 4;
    quarter = quarter < ASK_MIN_MS ? ASK_MIN_MS : quarter;
    return quarter > ASK_MAX_MS ? ASK_MAX_MS : quarter;
}

static void rest(struct reconcile *reconcile)
{
    reconcile->state = WAITING;
    reconcile->due_at_ms = mono_ms() + ask_ms(reconcile);
}

static int64_t cell(const PGresult *rows, int row, int column)
{
    return strtoll(PQgetvalue(rows, row, column), NULL, 10);
}

/* --- the statements --- */

static void ask(struct reconcile *reconcile, const char *sql, int count, const char *const *values,
                pg_done done)
{
    reconcile->asked_generation = reconcile->generation;
    election_query(reconcile->settings.election, sql, count, values, done, reconcile);
}

/* What was asked in an earlier term is of no use. */
static bool is_of_now(const struct reconcile *reconcile)
{
    return reconcile->publisher && reconcile->asked_generation == reconcile->generation;
}

static bool failed(const struct reconcile *reconcile, const struct pg_error *error)
{
    if (error)
        election_fail(reconcile->settings.election, error->text);
    return error != NULL;
}

static void on_due_told(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct reconcile *reconcile = arg;
    if (failed(reconcile, error))
        return;
    if (is_of_now(reconcile) && PQntuples(rows) == 1) {
        reconcile->cursor = cell(rows, 0, 0);
        reconcile->next_floor = cell(rows, 0, 1);
        reconcile->state = NOTING;
    } else {
        rest(reconcile);
    }
    reconcile->on_idle(reconcile->arg);
}

static void on_noted(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct reconcile *reconcile = arg;
    if (failed(reconcile, error))
        return;
    reconcile->cursor = cell(rows, 0, 0);
    if (!is_of_now(reconcile))
        rest(reconcile);
    else if (reconcile->cursor == 0)
        reconcile->state = SENDING;
    reconcile->on_idle(reconcile->arg);
}

static void send_marker(const struct reconcile *reconcile, const struct marker *marker)
{
    struct envelope_properties message; /* so small that it fits into every frame */
    char partition[TOPOLOGY_NAME_BYTES];
    marker_write(marker, &message);
    publisher_send(reconcile->publisher, reconcile->exchange,
                   topology_partition_name((int)marker->partition, partition), &message.properties,
                   "", 0, NULL, NULL);
    metric_add(reconcile->settings.metrics->markers, 1);
}

static void on_numbered(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct reconcile *reconcile = arg;
    if (failed(reconcile, error))
        return;
    if (is_of_now(reconcile)) { /* else none is sent: the round counts as unanswered */
        for (int row = 0; row < PQntuples(rows); row++) {
            struct marker marker = {.number = cell(rows, row, 0),
                                    .at_us = cell(rows, row, 1),
                                    .partition = cell(rows, row, 2),
                                    .partitions = reconcile->settings.partitions};
            send_marker(reconcile, &marker);
        }
        log_debug("markers sent", LF_I("count", PQntuples(rows)));
        reconcile->anew = false;
    }
    rest(reconcile);
    reconcile->on_idle(reconcile->arg);
}

static void ask_due(struct reconcile *reconcile)
{
    char period[40];
    const char *values[] = {period};
    snprintf(period, sizeof period, "%" PRId64 " seconds", reconcile->settings.period_s);
    reconcile->state = ASKED;
    ask(reconcile, "SELECT * FROM mtc.reconcile_due($1)", 1, values, on_due_told);
}

static void note(struct reconcile *reconcile)
{
    char after[24];
    const char *values[] = {after};
    snprintf(after, sizeof after, "%" PRId64, reconcile->cursor);
    ask(reconcile, "SELECT mtc.note_unsettled($1)", 1, values, on_noted);
}

static void number(struct reconcile *reconcile)
{
    char partitions[16], next_floor[24];
    const char *values[] = {partitions, reconcile->anew ? "true" : "false", next_floor};
    snprintf(partitions, sizeof partitions, "%d", reconcile->settings.partitions);
    snprintf(next_floor, sizeof next_floor, "%" PRId64, reconcile->next_floor);
    ask(reconcile, "SELECT * FROM mtc.send_markers($1, $2, $3)", 3, values, on_numbered);
}

bool reconcile_run(struct reconcile *reconcile, int64_t now)
{
    if (!reconcile->settings.period_s || !reconcile->publisher)
        return false;
    if (publisher_is_blocked(reconcile->publisher)) {
        reconcile->state = WAITING;
        reconcile->due_at_ms = now + reconcile->settings.period_s * 1000;
    }
    switch (reconcile->state) {
    case WAITING:
        if (now < reconcile->due_at_ms)
            return false;
        ask_due(reconcile);
        break;
    case ASKED: /* not while the session is idle */
        return false;
    case NOTING:
        note(reconcile);
        break;
    case SENDING:
        number(reconcile);
        break;
    }
    return true;
}

int64_t reconcile_due_at(const struct reconcile *reconcile)
{
    bool never = !reconcile->settings.period_s || !reconcile->publisher;
    return never ? INT64_MAX : reconcile->due_at_ms;
}

/* --- what is gained and lost --- */

void reconcile_on_open(struct reconcile *reconcile, struct publisher *publisher,
                       const char *exchange)
{
    reconcile->publisher = publisher;
    reconcile->exchange = exchange;
    reconcile->generation++;
    reconcile->anew = true;
    rest(reconcile);
}

void reconcile_on_asked(struct reconcile *reconcile)
{
    reconcile->due_at_ms = mono_ms();
}

void reconcile_on_lost(struct reconcile *reconcile)
{
    reconcile->publisher = NULL;
    reconcile->generation++;
    reconcile->state = WAITING;
}

struct reconcile *reconcile_new(const struct reconcile_settings *settings,
                                void (*on_idle)(void *arg), void *arg)
{
    struct reconcile *reconcile = xcalloc(1, sizeof *reconcile);
    reconcile->settings = *settings;
    reconcile->on_idle = on_idle;
    reconcile->arg = arg;
    return reconcile;
}

void reconcile_free(struct reconcile *reconcile)
{
    free(reconcile);
}
