/* housekeeping.c - tick and sweep; see housekeeping.h */
#include "housekeeping.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define TICK_MS  5000 /* mtc.tick(), and a sweep behind it */
#define SWEEP_MS 250  /* between bites, while there is more to sweep */

#define OLDEST_COLUMN 2 /* of the tick's answer */

struct housekeeping {
    struct election *election;
    int64_t retention_s;
    struct housekeeping_events events;
    void *arg;
    int64_t tick_at_ms, sweep_at_ms; /* INT64_MAX: not before the next tick */
    int64_t sweep_after;             /* the row the last bite ended at; 0: from the old end */
};

static void on_swept(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct housekeeping *housekeeping = arg;
    if (error) {
        election_fail(housekeeping->election, error->text);
        return;
    }
    housekeeping->sweep_after = PQgetisnull(rows, 0, 0) ? 0
                                                        : strtoll(PQgetvalue(rows, 0, 0), NULL, 10);
    if (housekeeping->sweep_after)
        housekeeping->sweep_at_ms = mono_ms() + SWEEP_MS;
    housekeeping->events.on_swept(housekeeping->arg);
}

static void sweep(struct housekeeping *housekeeping)
{
    char after[24], retention[40];
    snprintf(after, sizeof after, "%" PRId64, housekeeping->sweep_after);
    snprintf(retention, sizeof retention, "%" PRId64 " seconds", housekeeping->retention_s);
    const char *values[] = {after, retention};
    housekeeping->sweep_at_ms = INT64_MAX;
    election_query(housekeeping->election, "SELECT mtc.sweep($1, $2)", 2, values, on_swept,
                   housekeeping);
}

static void on_ticked(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct housekeeping *housekeeping = arg;
    int64_t oldest_us = 0;
    if (error)
        log_error("mtc.tick() failed", LF_S("reason", error->text));
    else if (!PQgetisnull(rows, 0, OLDEST_COLUMN))
        oldest_us = strtoll(PQgetvalue(rows, 0, OLDEST_COLUMN), NULL, 10);
    housekeeping->sweep_at_ms = mono_ms();
    housekeeping->events.on_ticked(oldest_us, housekeeping->arg);
}

static void tick(struct housekeeping *housekeeping, bool awake, int64_t now)
{
    const char *values[] = {awake ? "true" : "false"};
    housekeeping->tick_at_ms = now + TICK_MS;
    election_query(housekeeping->election,
                   "SELECT mtc.relay_awake($1), mtc.tick(), mtc.oldest_waiting()", 1, values,
                   on_ticked, housekeeping);
}

bool housekeeping_run(struct housekeeping *housekeeping, bool awake, int64_t now)
{
    if (now >= housekeeping->sweep_at_ms)
        sweep(housekeeping);
    else if (now >= housekeeping->tick_at_ms)
        tick(housekeeping, awake, now);
    else
        return false;
    return true;
}

int64_t housekeeping_sweep_at(const struct housekeeping *housekeeping)
{
    return housekeeping->sweep_at_ms;
}

struct housekeeping *housekeeping_new(struct election *election, int64_t retention_s,
                                      const struct housekeeping_events *events, void *arg)
{
    struct housekeeping *housekeeping = xcalloc(1, sizeof *housekeeping);
    *housekeeping = (struct housekeeping){.election = election,
                                          .retention_s = retention_s,
                                          .events = *events,
                                          .arg = arg,
                                          .sweep_at_ms = INT64_MAX};
    return housekeeping;
}

void housekeeping_free(struct housekeeping *housekeeping)
{
    free(housekeeping);
}
