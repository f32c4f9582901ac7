/*
 * confirm.c - asks MTConnect about single machines; see confirm.h
 *
 * Diagnostics: a machine that can't be asked is a warning or an error with its name, of the pull;
 * where MTConnect says otherwise than the web-hooks is a line with the number of machines.
 */
#include "confirm.h"
#include "cycle_sql.h"
#include "pull.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/timer.h"
#include "base/xalloc.h"

#include <stdlib.h>
#include <uthash.h>

struct doubt {
    int machine_id;
    int64_t due_ms; /* when it is to be asked */
    int attempts;   /* in vain */
    bool asked;     /* in the round under way, of which the following are: */
    bool anew;      /* there is a new reason for doubt */
    enum pull_outcome outcome;
    int64_t pause_ms; /* what MTConnect wants */
    UT_hash_handle hh;
};

struct confirm {
    const struct config *config;
    struct confirm_parts parts;
    struct confirm_events events;
    void *arg;
    struct pull *pull;
    struct timer *due;
    struct doubt *table; /* `count` of them */
    int count;
    bool ask_unconfirmed; /* PostgreSQL knows what the one before has left */
    bool in_round;
};

/* After confirm_stop() a statement may still be called back; it finds nothing to be done for. */
static bool is_answer(struct confirm *confirm, const struct pg_error *error)
{
    if (!error)
        return true;
    election_fail(confirm->parts.election, error->text);
    return false;
}

/* --- who is in doubt --- */

static void show_count(const struct confirm *confirm)
{
    metric_set(confirm->parts.metrics->unconfirmed, confirm->count);
}

static struct doubt *find(const struct confirm *confirm, int machine_id)
{
    struct doubt *doubt;
    HASH_FIND_INT(confirm->table, &machine_id, doubt);
    return doubt;
}

void confirm_doubt(struct confirm *confirm, int machine_id)
{
    struct doubt *doubt = find(confirm, machine_id);
    if (doubt) {
        doubt->anew = true; /* asked or not: the question that is still to come is for it as well */
        return;
    }
    if (confirm->count >= CONFIRM_MAX) {
        confirm->events.on_too_many(confirm->arg);
        return;
    }
    doubt = xcalloc(1, sizeof *doubt);
    doubt->machine_id = machine_id;
    doubt->due_ms = mono_ms() + CONFIRM_AFTER_MS;
    HASH_ADD_INT(confirm->table, machine_id, doubt);
    confirm->count++;
    show_count(confirm);
    timer_soon(confirm->due); /* confirm_begin() knows when */
}

static void forget(struct confirm *confirm, struct doubt *doubt)
{
    HASH_DEL(confirm->table, doubt);
    confirm->count--;
    free(doubt);
}

static void forget_all(struct confirm *confirm)
{
    struct doubt *doubt = confirm->table, *next;
    HASH_CLEAR(hh, confirm->table); /* lets go of them all; their list is still whole */
    for (; doubt; doubt = next) {
        next = doubt->hh.next;
        free(doubt);
    }
    confirm->count = 0;
    show_count(confirm);
}

/* --- a round: some of them are asked --- */

static void put_off(const struct confirm *confirm, struct doubt *doubt)
{
    const struct config_list *delays = &confirm->config->scheduler_retry_delays_s;
    int64_t pause_ms = doubt->attempts < delays->count ? delays->ms[doubt->attempts]
                                                       : confirm->config->scheduler_again_s * 1000;
    doubt->attempts++;
    doubt->due_ms = mono_ms() + (pause_ms > doubt->pause_ms ? pause_ms : doubt->pause_ms);
}

static void settle(struct confirm *confirm, struct doubt *doubt)
{
    bool answered = doubt->outcome == PULL_ANSWERED;
    struct scheduler_metrics *metrics = confirm->parts.metrics;
    metric_add(answered ? metrics->confirmed : metrics->not_confirmed, 1);
    doubt->asked = false;
    if (!answered && doubt->outcome != PULL_NEVER) {
        put_off(confirm, doubt);
    } else if (doubt->anew) {
        doubt->attempts = 0;
        doubt->due_ms = mono_ms() + CONFIRM_AFTER_MS;
    } else {
        forget(confirm, doubt);
    }
}

static void end_round(struct confirm *confirm)
{
    pull_end(confirm->pull);
    confirm->in_round = false;
    for (struct doubt *doubt = confirm->table, *next; doubt; doubt = next) {
        next = doubt->hh.next;
        if (doubt->asked)
            settle(confirm, doubt);
    }
    show_count(confirm);
}

static void on_over(int machine_id, enum pull_outcome outcome, int64_t pause_ms, void *arg)
{
    struct doubt *doubt = find(arg, machine_id);
    doubt->outcome = outcome;
    doubt->pause_ms = pause_ms;
}

static void on_applied(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct confirm *confirm = arg;
    if (!is_answer(confirm, error) || !confirm->in_round)
        return;
    struct cycle_applied applied = cycle_sql_read_applied(rows);
    cycle_sql_count(&applied, confirm->parts.metrics);
    if (applied.changed)
        log_info("MTConnect says otherwise than a web-hook, and counts",
                 LF_I("machines", applied.changed));
    end_round(confirm);
    confirm->events.on_step(confirm->arg);
}

static void on_named(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct confirm *confirm = arg;
    int count;
    if (!is_answer(confirm, error) || !confirm->in_round)
        return;
    struct machine_name *machines = cycle_sql_read_machines(rows, &count);
    mtconnect_read_api_key(confirm->parts.mtconnect);
    for (int i = 0; i < count; i++)
        find(confirm, machines[i].id)->outcome = PULL_LATER; /* until it is known */
    pull_start(confirm->pull, machines, count);
    free(machines);
    confirm->events.on_step(confirm->arg);
}

/* --- what to do next --- */

static void on_unconfirmed(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct confirm *confirm = arg;
    if (!is_answer(confirm, error) || !confirm->ask_unconfirmed)
        return;
    confirm->ask_unconfirmed = false;
    for (int row = 0; row < PQntuples(rows); row++)
        confirm_doubt(confirm, cycle_sql_read_id(rows, row));
    confirm->events.on_step(confirm->arg);
}

bool confirm_go_on(struct confirm *confirm)
{
    if (confirm->ask_unconfirmed) {
        cycle_sql_list_unconfirmed(confirm->parts.election, on_unconfirmed, confirm);
        return true;
    }
    if (!pull_is_over(confirm->pull))
        return false;
    if (pull_has_batch(confirm->pull)) {
        struct batch batch = pull_take_batch(confirm->pull);
        cycle_sql_apply(confirm->parts.election, &batch, on_applied, confirm);
        return true;
    }
    end_round(confirm);
    return false;
}

bool confirm_begin(struct confirm *confirm)
{
    int machine_ids[CONFIRM_ROUND], count = 0;
    int64_t now = mono_ms(), next_ms = INT64_MAX;
    if (confirm->in_round || confirm->ask_unconfirmed)
        return false;
    for (struct doubt *doubt = confirm->table; doubt && count < CONFIRM_ROUND;
         doubt = doubt->hh.next) {
        if (doubt->due_ms <= now) {
            doubt->asked = true;
            doubt->anew = false;
            doubt->outcome = PULL_NEVER; /* unless it is still listed */
            doubt->pause_ms = 0;
            machine_ids[count++] = doubt->machine_id;
        } else if (doubt->due_ms < next_ms) {
            next_ms = doubt->due_ms;
        }
    }
    if (count == 0) {
        if (next_ms != INT64_MAX)
            timer_in(confirm->due, next_ms - now);
        return false;
    }
    confirm->in_round = true;
    cycle_sql_name_machines(confirm->parts.election, machine_ids, count, on_named, confirm);
    return true;
}

static void on_work(void *arg)
{
    const struct confirm *confirm = arg;
    confirm->events.on_step(confirm->arg);
}

static void on_pull_doubt(int machine_id, void *arg)
{
    confirm_doubt(arg, machine_id);
}

void confirm_start(struct confirm *confirm)
{
    confirm->ask_unconfirmed = true;
}

void confirm_stop(struct confirm *confirm)
{
    timer_cancel(confirm->due);
    pull_abort(confirm->pull);
    forget_all(confirm);
    confirm->ask_unconfirmed = confirm->in_round = false;
}

struct confirm *confirm_new(const struct service *service, const struct confirm_parts *parts,
                            const struct confirm_events *events, void *arg)
{
    static const struct pull_events pull_events = {
        .on_quiet = on_work, .on_over = on_over, .on_doubt = on_pull_doubt};
    const struct pull_parts pull_parts = {.mtconnect = parts->mtconnect,
                                          .newest = parts->newest,
                                          .metrics = parts->metrics,
                                          .single_attempts = true};
    struct confirm *confirm = xcalloc(1, sizeof *confirm);
    confirm->config = service->config;
    confirm->parts = *parts;
    confirm->events = *events;
    confirm->arg = arg;
    confirm->pull = pull_new(service, &pull_parts, &pull_events, confirm);
    confirm->due = timer_new(service->loop, on_work, confirm);
    return confirm;
}

void confirm_free(struct confirm *confirm)
{
    if (!confirm)
        return;
    forget_all(confirm);
    pull_free(confirm->pull);
    timer_free(confirm->due);
    free(confirm);
}
