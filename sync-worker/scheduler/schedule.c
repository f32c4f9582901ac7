/*
 * schedule.c - the pulls, one after the other; see schedule.h
 *
 * Diagnostics: each pull is a line with its counts; so is one to which nobody answered.
 */
#include "schedule.h"
#include "cycle_sql.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/timer.h"
#include "base/xalloc.h"

#include <stdlib.h>

struct schedule {
    const struct config *config;
    const char *worker_name;
    struct election *election;
    struct mtconnect *mtconnect;
    struct pull *pull;
    struct scheduler_metrics *metrics;
    struct schedule_events events;
    void *arg;
    struct timer *due;
    bool at_once;
    bool ask_due;     /* PostgreSQL knows when the next pull is due */
    bool hurried;     /* one is wanted ahead of its time */
    int64_t due_ms;   /* next pull; INT64_MAX while one is under way, or not known */
    int64_t begun_ms; /* the last one */
    int pull_changed; /* rows written by the batches of this pull so far */
};

static bool is_answer(struct schedule *schedule, const struct pg_error *error)
{
    if (!error)
        return true;
    election_fail(schedule->election, error->text);
    return false;
}

/* --- a pull becomes due, and begins --- */

static void hurry(struct schedule *schedule)
{
    int64_t soon_ms = schedule->begun_ms + schedule->config->scheduler_again_s * 1000;
    if (schedule->hurried && soon_ms < schedule->due_ms)
        schedule->due_ms = soon_ms;
}

static void set_due(struct schedule *schedule, double seconds)
{
    schedule->due_ms = mono_ms() + (int64_t)(seconds * 1000);
    hurry(schedule);
}

void schedule_hurry(struct schedule *schedule)
{
    schedule->hurried = true;
    if (schedule->due_ms != INT64_MAX)
        hurry(schedule);
}

static void on_due(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct schedule *schedule = arg;
    if (!is_answer(schedule, error))
        return;
    schedule->ask_due = false;
    set_due(schedule, schedule->at_once ? 0 : cycle_sql_read_due(rows));
    schedule->events.on_step(schedule->arg);
}

static void on_machines(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct schedule *schedule = arg;
    int count;
    if (!is_answer(schedule, error))
        return;
    struct machine_name *machines = cycle_sql_read_machines(rows, &count);
    schedule->pull_changed = 0;
    metric_set(schedule->metrics->machines, count);
    if (count == 0)
        log_warn("there is no active machine to pull");
    pull_start(schedule->pull, machines, count);
    free(machines);
    schedule->events.on_step(schedule->arg);
}

static void start_pull(struct schedule *schedule)
{
    schedule->due_ms = INT64_MAX;
    schedule->begun_ms = mono_ms();
    schedule->hurried = false;
    mtconnect_read_api_key(schedule->mtconnect); /* it may have been changed; a pull is rare */
    cycle_sql_list_machines(schedule->election, on_machines, schedule);
}

/* --- what it learns is applied --- */

static void on_part_applied(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct schedule *schedule = arg;
    if (!is_answer(schedule, error))
        return;
    struct cycle_applied applied = cycle_sql_read_applied(rows);
    cycle_sql_count(&applied, schedule->metrics);
    schedule->pull_changed += applied.changed;
    schedule->events.on_step(schedule->arg);
}

static void apply_part(struct schedule *schedule)
{
    struct batch batch = pull_take_batch(schedule->pull);
    cycle_sql_apply(schedule->election, &batch, on_part_applied, schedule);
}

static void finish_pull(struct schedule *schedule, bool recorded)
{
    struct pull_summary summary = pull_summary(schedule->pull);
    const struct config *config = schedule->config;
    struct scheduler_metrics *metrics = schedule->metrics;
    pull_end(schedule->pull);
    metric_add(recorded ? metrics->pulls_done : metrics->pulls_in_vain, 1);
    metric_observe(metrics->pull_seconds, summary.seconds);
    metric_set(metrics->failing, summary.failed);
    if (recorded)
        metric_set(metrics->last_pull, (double)utc_us() / 1e6);
    if (recorded)
        schedule->ask_due = true;
    else
        set_due(schedule, (double)(config->scheduler_again_s < config->scheduler_period_s
                                       ? config->scheduler_again_s
                                       : config->scheduler_period_s));
    schedule->events.on_pulled(recorded, schedule->arg);
}

static void log_pull(const char *text, const struct pull_summary *summary, int changed)
{
    log_info(text, LF_I("asked", summary->asked), LF_I("answered", summary->answered),
             LF_I("failed", summary->failed), LF_I("changed", changed),
             LF_I("ms", (int64_t)(summary->seconds * 1000)));
}

static void on_recorded(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct schedule *schedule = arg;
    if (!is_answer(schedule, error))
        return;
    struct cycle_applied applied = cycle_sql_read_applied(rows);
    cycle_sql_count(&applied, schedule->metrics);
    struct pull_summary summary = pull_summary(schedule->pull);
    log_pull("pull done", &summary, schedule->pull_changed + applied.changed);
    finish_pull(schedule, true);
}

/* If nobody answered there is nothing to record, and the pull is still due. */
static void record_pull(struct schedule *schedule)
{
    struct pull_summary summary = pull_summary(schedule->pull);
    if (summary.asked > 0 && summary.answered == 0) {
        log_pull("pull in vain: no machine answered; it will be made again", &summary, 0);
        finish_pull(schedule, false);
        return;
    }
    struct batch batch = pull_take_batch(schedule->pull);
    char *failures = pull_failures(schedule->pull);
    struct cycle_pull record = {.seconds = summary.seconds,
                                .worker = schedule->worker_name,
                                .asked = summary.asked,
                                .answered = summary.answered,
                                .changed = schedule->pull_changed,
                                .failures = failures};
    cycle_sql_finish_pull(schedule->election, &batch, &record, on_recorded, schedule);
    free(failures);
}

/* --- what to do next --- */

bool schedule_go_on(struct schedule *schedule)
{
    if (schedule->ask_due)
        cycle_sql_ask_due(schedule->election, schedule->config->scheduler_period_s, on_due,
                          schedule);
    else if (pull_is_over(schedule->pull))
        record_pull(schedule);
    else if (pull_has_batch(schedule->pull))
        apply_part(schedule);
    else
        return false;
    return true;
}

bool schedule_begin(struct schedule *schedule)
{
    int64_t now = mono_ms();
    if (pull_is_under_way(schedule->pull) || schedule->due_ms == INT64_MAX)
        return false;
    if (now < schedule->due_ms) {
        timer_in(schedule->due, schedule->due_ms - now);
        return false;
    }
    start_pull(schedule);
    return true;
}

static void on_timer(void *arg)
{
    const struct schedule *schedule = arg;
    schedule->events.on_step(schedule->arg);
}

void schedule_start(struct schedule *schedule)
{
    schedule->ask_due = true;
}

void schedule_stop(struct schedule *schedule)
{
    timer_cancel(schedule->due);
    pull_abort(schedule->pull);
}

struct schedule *schedule_new(const struct service *service, const struct schedule_parts *parts,
                              bool at_once, const struct schedule_events *events, void *arg)
{
    struct schedule *schedule = xcalloc(1, sizeof *schedule);
    schedule->config = service->config;
    schedule->worker_name = service->worker_name;
    schedule->election = parts->election;
    schedule->mtconnect = parts->mtconnect;
    schedule->pull = parts->pull;
    schedule->metrics = parts->metrics;
    schedule->at_once = at_once;
    schedule->events = *events;
    schedule->arg = arg;
    schedule->due_ms = INT64_MAX;
    schedule->due = timer_new(service->loop, on_timer, schedule);
    return schedule;
}

void schedule_free(struct schedule *schedule)
{
    if (!schedule)
        return;
    timer_free(schedule->due);
    free(schedule);
}
