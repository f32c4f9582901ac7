/*
 * scheduler.c - the pull that is due, and what web-hooks brought; see scheduler.h
 *
 * Diagnostics: becoming active, and each pull with its counts, are lines. What is down is waited
 * for; with --once it is an error after ONCE_LIMIT_MS.
 */
#include "scheduler.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/timer.h"
#include "base/xalloc.h"
#include "cycle_sql.h"
#include "intake.h"
#include "net/amqp_conn.h"
#include "pull.h"
#include "suite/election.h"
#include "suite/settings.h"
#include "suite/topology.h"
#include "version.h"

#include <stdlib.h>

#define ONCE_LIMIT_MS 60000 /* how long --once waits for PostgreSQL to be there */

struct scheduler {
    struct service *service;
    struct election *election;
    struct amqp_conn *conn;    /* NULL with --once */
    struct topology *topology; /* while it is being declared */
    struct mtconnect *mtconnect;
    struct pull *pull;
    struct intake *intake;
    struct newest newest;
    struct timer *due, *once_limit;
    bool once, broker_ready, draining;
    bool ask_due;     /* PostgreSQL knows when the next pull is due */
    int64_t due_ms;   /* next pull; INT64_MAX while one is under way, or not known */
    int pull_changed; /* rows written by the batches of this pull so far */
    int64_t once_until_ms;
    struct scheduler_metrics metrics;
};

static void pump(struct scheduler *scheduler);

static bool is_answer(struct scheduler *scheduler, const struct pg_error *error)
{
    if (!error)
        return true;
    election_fail(scheduler->election, error->text);
    return false;
}

static struct cycle_applied read_applied(struct scheduler *scheduler, const PGresult *rows)
{
    struct cycle_applied applied;
    cycle_sql_read_applied(rows, &applied);
    metric_add(scheduler->metrics.changed, applied.changed);
    metric_add(scheduler->metrics.same, applied.same);
    metric_add(scheduler->metrics.older, applied.older);
    return applied;
}

/* --- a pull becomes due, and begins --- */

static void set_due(struct scheduler *scheduler, double seconds)
{
    scheduler->due_ms = mono_ms() + (int64_t)(seconds * 1000);
}

static void on_due(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct scheduler *scheduler = arg;
    if (!is_answer(scheduler, error))
        return;
    scheduler->ask_due = false;
    set_due(scheduler, scheduler->once ? 0 : cycle_sql_read_due(rows));
    pump(scheduler);
}

static void on_machines(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct scheduler *scheduler = arg;
    int count;
    if (!is_answer(scheduler, error))
        return;
    struct machine_name *machines = cycle_sql_read_machines(rows, &count);
    scheduler->pull_changed = 0;
    metric_set(scheduler->metrics.machines, count);
    if (count == 0)
        log_warn("there is no active machine to pull");
    pull_start(scheduler->pull, machines, count);
    free(machines);
    pump(scheduler);
}

static void start_pull(struct scheduler *scheduler)
{
    scheduler->due_ms = INT64_MAX;
    mtconnect_read_api_key(scheduler->mtconnect); /* it may have been changed; a pull is rare */
    cycle_sql_list_machines(scheduler->election, on_machines, scheduler);
}

/* --- what it learns is applied --- */

static void on_part_applied(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct scheduler *scheduler = arg;
    if (!is_answer(scheduler, error))
        return;
    scheduler->pull_changed += read_applied(scheduler, rows).changed;
    pump(scheduler);
}

static void apply_part(struct scheduler *scheduler)
{
    struct batch batch = pull_take_batch(scheduler->pull);
    cycle_sql_apply(scheduler->election, &batch, on_part_applied, scheduler);
}

static void finish_pull(struct scheduler *scheduler, bool recorded)
{
    struct pull_summary summary = pull_summary(scheduler->pull);
    const struct config *config = scheduler->service->config;
    struct scheduler_metrics *metrics = &scheduler->metrics;
    pull_end(scheduler->pull);
    metric_add(recorded ? metrics->pulls_done : metrics->pulls_in_vain, 1);
    metric_observe(metrics->pull_seconds, summary.seconds);
    metric_set(metrics->failing, summary.failed);
    if (recorded)
        metric_set(metrics->last_pull, (double)utc_us() / 1e6);
    if (scheduler->once) {
        service_finish(scheduler->service, recorded ? 0 : 1);
        return;
    }
    if (recorded)
        scheduler->ask_due = true;
    else
        set_due(scheduler, (double)(config->scheduler_again_s < config->scheduler_period_s
                                        ? config->scheduler_again_s
                                        : config->scheduler_period_s));
    pump(scheduler);
}

static void log_pull(const char *text, const struct pull_summary *summary, int changed)
{
    log_info(text, LF_I("asked", summary->asked), LF_I("answered", summary->answered),
             LF_I("failed", summary->failed), LF_I("changed", changed),
             LF_I("ms", (int64_t)(summary->seconds * 1000)));
}

static void on_recorded(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct scheduler *scheduler = arg;
    if (!is_answer(scheduler, error))
        return;
    int changed = read_applied(scheduler, rows).changed;
    struct pull_summary summary = pull_summary(scheduler->pull);
    log_pull("pull done", &summary, scheduler->pull_changed + changed);
    finish_pull(scheduler, true);
}

/* If nobody answered there is nothing to record, and the pull is still due. */
static void record_pull(struct scheduler *scheduler)
{
    struct pull_summary summary = pull_summary(scheduler->pull);
    if (summary.asked > 0 && summary.answered == 0) {
        log_pull("pull in vain: no machine answered; it will be made again", &summary, 0);
        finish_pull(scheduler, false);
        return;
    }
    struct batch batch = pull_take_batch(scheduler->pull);
    char *failures = pull_failures(scheduler->pull);
    struct cycle_pull record = {.seconds = summary.seconds,
                                .worker = scheduler->service->worker_name,
                                .asked = summary.asked,
                                .answered = summary.answered,
                                .changed = scheduler->pull_changed,
                                .failures = failures};
    cycle_sql_finish_pull(scheduler->election, &batch, &record, on_recorded, scheduler);
    free(failures);
}

/* --- what web-hooks brought --- */

static void on_hooks_applied(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct scheduler *scheduler = arg;
    if (!error) {
        struct cycle_applied applied = read_applied(scheduler, rows);
        intake_applied(scheduler->intake, applied.unknown, applied.unknown_count);
    } else if (pg_error_is_data(error)) {
        intake_refused(scheduler->intake, error->text);
    } else {
        election_fail(scheduler->election, error->text);
        return;
    }
    pump(scheduler);
}

/* True if it sent a statement. */
static bool apply_hooks(struct scheduler *scheduler)
{
    struct batch batch = intake_take_batch(scheduler->intake);
    if (!batch.count)
        return false;
    cycle_sql_apply(scheduler->election, &batch, on_hooks_applied, scheduler);
    return true;
}

/* --- what to do next --- */

static void pump(struct scheduler *scheduler)
{
    if (scheduler->draining || !election_is_idle(scheduler->election))
        return;
    int64_t now = mono_ms();
    bool pulling = pull_is_under_way(scheduler->pull);
    if (scheduler->ask_due)
        cycle_sql_ask_due(scheduler->election, scheduler->service->config->scheduler_period_s,
                          on_due, scheduler);
    else if (pulling && pull_is_over(scheduler->pull))
        record_pull(scheduler);
    else if (pulling && pull_has_batch(scheduler->pull))
        apply_part(scheduler);
    else if (apply_hooks(scheduler))
        return;
    else if (!pulling && now >= scheduler->due_ms)
        start_pull(scheduler);
    else if (scheduler->due_ms != INT64_MAX)
        timer_in(scheduler->due, scheduler->due_ms - now);
}

static void on_work(void *arg)
{
    pump(arg);
}

/* --- elected or not --- */

static void on_elected(void *arg)
{
    struct scheduler *scheduler = arg;
    if (scheduler->draining)
        return;
    scheduler->ask_due = true;
    metric_set(scheduler->metrics.active, 1);
    if (!scheduler->once)
        log_info("active: pulling cycle times, and applying what web-hooks bring");
    if (scheduler->broker_ready)
        intake_start(scheduler->intake, scheduler->conn);
    pump(scheduler);
}

static void on_refused(void *arg)
{
    const struct scheduler *scheduler = arg;
    if (!scheduler->once)
        return;
    log_error("no pull was made: another mtc-scheduler is active");
    service_finish(scheduler->service, 1);
}

/* Whoever is elected next makes the pull anew, and gets the web-hooks. */
static void on_lost(bool was_active, const char *reason, void *arg)
{
    struct scheduler *scheduler = arg;
    (void)was_active;
    (void)reason;
    metric_set(scheduler->metrics.active, 0);
    timer_cancel(scheduler->due);
    pull_abort(scheduler->pull);
    intake_stop(scheduler->intake);
    newest_clear(&scheduler->newest);
    if (scheduler->once)
        timer_in(scheduler->once_limit, scheduler->once_until_ms - mono_ms());
}

static void on_once_limit(void *arg)
{
    const struct scheduler *scheduler = arg;
    if (election_is_connected(scheduler->election))
        return;
    log_error("PostgreSQL is not there; no pull was made");
    service_finish(scheduler->service, 1);
}

/* --- the broker up and down --- */

static void on_declared(const char *error, void *arg)
{
    struct scheduler *scheduler = arg;
    scheduler->topology = NULL;
    if (error) {
        amqp_conn_fail(scheduler->conn, error);
        return;
    }
    scheduler->broker_ready = true;
    if (election_is_active(scheduler->election))
        intake_start(scheduler->intake, scheduler->conn);
}

static void on_amqp_up(void *arg)
{
    struct scheduler *scheduler = arg;
    scheduler->topology = topology_declare(scheduler->conn,
                                           (int)scheduler->service->config->topology_partitions,
                                           on_declared, scheduler);
}

static void on_amqp_down(const char *reason, void *arg)
{
    struct scheduler *scheduler = arg;
    (void)reason;
    topology_forget(scheduler->topology);
    scheduler->topology = NULL;
    scheduler->broker_ready = false;
    intake_on_conn_down(scheduler->intake);
}

/* --- start, stop, and what people ask --- */

static bool join_election(struct scheduler *scheduler, char *error, size_t error_size)
{
    static const struct election_events events = {
        .on_elected = on_elected, .on_refused = on_refused, .on_lost = on_lost, .on_idle = on_work};
    const struct election_settings settings = {
        .lock = ELECTION_SCHEDULER,
        /* The broker forgets what is acked: these commits must be on disk. */
        .session_sql = "SET synchronous_commit = on; SET jit = off",
        .standby_poll_ms = scheduler->service->config->scheduler_standby_poll_ms};
    scheduler->election = election_new(scheduler->service, &settings, &events, scheduler, error,
                                       error_size);
    return scheduler->election != NULL;
}

static bool connect_broker(struct scheduler *scheduler, char *error, size_t error_size)
{
    static const struct amqp_conn_events events = {.on_up = on_amqp_up, .on_down = on_amqp_down};
    const struct service *service = scheduler->service;
    struct amqp_conn_settings settings = settings_amqp(service->config, service->connection_name);
    scheduler->conn = amqp_conn_new(service->loop, service->resolver, &settings, &events, scheduler,
                                    error, error_size);
    return scheduler->conn != NULL;
}

static bool make_mtconnect(struct scheduler *scheduler, char *error, size_t error_size)
{
    const struct config *config = scheduler->service->config;
    struct mtconnect_settings settings = settings_mtconnect(config, "mtc-scheduler/" MTC_VERSION);
    settings.connections = config->scheduler_connections;
    scheduler->mtconnect = mtconnect_new(scheduler->service->loop, &settings, error, error_size);
    return scheduler->mtconnect != NULL;
}

static void make_parts(struct scheduler *scheduler)
{
    struct service *service = scheduler->service;
    struct scheduler_metrics *metrics = &scheduler->metrics;
    const struct pull_parts parts = {
        .mtconnect = scheduler->mtconnect, .newest = &scheduler->newest, .metrics = metrics};
    scheduler->pull = pull_new(service, &parts, on_work, scheduler);
    scheduler->intake = intake_new(service, &scheduler->newest, metrics, on_work, scheduler);
}

void *scheduler_start(struct service *service)
{
    struct scheduler *scheduler = xcalloc(1, sizeof *scheduler);
    char error[256] = "";
    scheduler->service = service;
    scheduler->once = ((const struct scheduler_choices *)service->choices)->once;
    scheduler->due_ms = INT64_MAX;
    scheduler->due = timer_new(service->loop, on_work, scheduler);
    scheduler->once_limit = timer_new(service->loop, on_once_limit, scheduler);
    scheduler_metrics_register(&scheduler->metrics, service->metrics);
    bool good = make_mtconnect(scheduler, error, sizeof error);
    if (good)
        make_parts(scheduler);
    if (!good || !join_election(scheduler, error, sizeof error) ||
        !(scheduler->once || connect_broker(scheduler, error, sizeof error))) {
        log_error("cannot start", LF_S("reason", error));
        scheduler_stop(scheduler);
        return NULL;
    }
    if (scheduler->once) {
        scheduler->once_until_ms = mono_ms() + ONCE_LIMIT_MS;
        timer_in(scheduler->once_limit, ONCE_LIMIT_MS);
    }
    return scheduler;
}

bool scheduler_ready(const void *state, const char **why)
{
    const struct scheduler *scheduler = state;
    if (!election_is_connected(scheduler->election))
        *why = "no PostgreSQL";
    else if (!scheduler->broker_ready)
        *why = "no RabbitMQ";
    else
        return true;
    return false;
}

static void on_conn_closed(void *arg)
{
    const struct scheduler *scheduler = arg;
    service_drained(scheduler->service);
}

/*
 * A pull under way is dropped: it is still due. A batch under way may be committed and not acked:
 * it is told again.
 */
void scheduler_drain(void *state)
{
    struct scheduler *scheduler = state;
    scheduler->draining = true;
    election_withdraw(scheduler->election);
    timer_cancel(scheduler->due);
    pull_abort(scheduler->pull);
    intake_on_conn_down(scheduler->intake);
    if (scheduler->conn)
        amqp_conn_close(scheduler->conn, on_conn_closed, scheduler);
    else
        service_drained(scheduler->service);
}

void scheduler_reload(void *state)
{
    const struct scheduler *scheduler = state;
    mtconnect_read_api_key(scheduler->mtconnect);
}

void scheduler_stop(void *state)
{
    struct scheduler *scheduler = state;
    topology_forget(scheduler->topology);
    amqp_conn_free(scheduler->conn);
    election_free(scheduler->election);
    pull_free(scheduler->pull);
    intake_free(scheduler->intake);
    mtconnect_free(scheduler->mtconnect);
    newest_clear(&scheduler->newest);
    timer_free(scheduler->due);
    timer_free(scheduler->once_limit);
    free(scheduler);
}
