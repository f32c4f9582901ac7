/*
 * scheduler.c - election, the pull that is due, and what web-hooks brought; see scheduler.h
 *
 * Diagnostics: becoming active, and each pull with its counts, are lines. What is down is waited
 * for; with --once it is an error after ONCE_LIMIT_MS.
 */
#include "scheduler.h"
#include "net/amqp_conn.h"
#include "base/clock.h"
#include "intake.h"
#include "base/log.h"
#include "pull.h"
#include "suite/settings.h"
#include "suite/topology.h"
#include "base/xalloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIGN_OF_LIFE_MS                                                                            \
    1000 /* a session silent for 4 s is closed, and another process becomes active */
#define ONCE_LIMIT_MS 60000 /* how long --once waits for PostgreSQL to be there */
#define UNKNOWN_MAX   512

enum mode { OFFLINE, STANDBY, ACTIVE };

struct scheduler {
    struct service *service;
    struct pg_conn *pg;
    struct amqp_conn *conn; /* NULL with --once */
    struct topology *topology;
    bool once, broker_ready, draining;
    enum mode mode;
    struct run *run;
    struct intake *intake;
    struct newest newest;
    char *api_key_header;
    struct timer *timer;
    int64_t due_ms;  /* next pull; INT64_MAX while one is under way */
    bool ask_due;    /* PostgreSQL knows when the next pull is due */
    int64_t last_ms; /* last statement sent */
    int run_changed; /* rows written by the batches of this pull so far */
    int64_t once_until_ms;
    struct scheduler_metrics metrics;
};

static void pump(struct scheduler *scheduler);

static void arm(struct scheduler *scheduler, int64_t ms)
{
    timer_in(scheduler->timer, ms < 1 ? 1 : ms);
}

static void on_timer(void *arg)
{
    struct scheduler *scheduler = arg;
    if (scheduler->once && scheduler->mode == OFFLINE && mono_ms() >= scheduler->once_until_ms) {
        log_error("PostgreSQL is not there; no pull was made");
        service_finish(scheduler->service, 1);
        return;
    }
    pump(scheduler);
}

/* Every statement goes through here. */
static void query(struct scheduler *scheduler, const char *sql, int count,
                  const char *const *values, pg_done done)
{
    scheduler->last_ms = mono_ms();
    pg_conn_query(scheduler->pg, sql, count, values, done, scheduler);
}

static bool is_answer(struct scheduler *scheduler, const struct pg_error *error)
{
    if (!error)
        return true;
    pg_conn_fail(scheduler->pg, error->text);
    return false;
}

/* --- what an applied batch says --- */

static int number(const PGresult *result, int column)
{
    return (int)strtol(PQgetvalue(result, 0, column), NULL, 10);
}

/* "{0,3}" into numbers; returns how many. */
static int read_array(const char *text, int *out, int most)
{
    int count = 0;
    for (const char *at = text; *at && count < most; at++) {
        if ((*at == '{' || *at == ',') && at[1] != '}') {
            char *end;
            out[count++] = (int)strtol(at + 1, &end, 10);
            at = end - 1;
        }
    }
    return count;
}

/* Columns changed, same, older, unknown. */
static void count_applied(struct scheduler *scheduler, const PGresult *result)
{
    metric_add(scheduler->metrics.changed, number(result, 0));
    metric_add(scheduler->metrics.same, number(result, 1));
    metric_add(scheduler->metrics.older, number(result, 2));
}

/* --- the pull --- */

static void set_due(struct scheduler *scheduler, double seconds)
{
    scheduler->due_ms = mono_ms() + (int64_t)(seconds * 1000);
}

static void on_due(const PGresult *result, const struct pg_error *error, void *arg)
{
    struct scheduler *scheduler = arg;
    if (!is_answer(scheduler, error))
        return;
    scheduler->ask_due = false;
    set_due(scheduler, scheduler->once ? 0 : strtod(PQgetvalue(result, 0, 0), NULL));
    pump(scheduler);
}

static void ask_when_due(struct scheduler *scheduler)
{
    char period[32];
    snprintf(period, sizeof period, "%" PRId64 " seconds",
             scheduler->service->config->scheduler_period_s);
    const char *values[] = {period};
    query(scheduler, "SELECT mtc.cycle_run_due($1)", 1, values, on_due);
}

static void on_machines(const PGresult *result, const struct pg_error *error, void *arg)
{
    struct scheduler *scheduler = arg;
    if (!is_answer(scheduler, error))
        return;
    scheduler->run_changed = 0;
    metric_set(scheduler->metrics.machines, PQntuples(result));
    if (PQntuples(result) == 0)
        log_warn("there is no active machine to pull");
    run_start(scheduler->run, result);
    pump(scheduler);
}

static void start_run(struct scheduler *scheduler)
{
    scheduler->due_ms = INT64_MAX;
    scheduler_reload(scheduler); /* the key may have been changed; a pull is rare */
    query(scheduler, "SELECT machine_id, machine FROM mtc.active_machine ORDER BY machine_id", 0,
          NULL, on_machines);
}

static void on_part_applied(const PGresult *result, const struct pg_error *error, void *arg)
{
    struct scheduler *scheduler = arg;
    if (!is_answer(scheduler, error))
        return;
    count_applied(scheduler, result);
    scheduler->run_changed += number(result, 0);
    pump(scheduler);
}

static void finish_run(struct scheduler *scheduler, bool recorded)
{
    struct run_summary summary = run_summary(scheduler->run);
    const struct config *config = scheduler->service->config;
    run_end(scheduler->run);
    metric_add(recorded ? scheduler->metrics.runs_done : scheduler->metrics.runs_failed, 1);
    metric_observe(scheduler->metrics.run_seconds, summary.seconds);
    metric_set(scheduler->metrics.failing, summary.failed);
    if (recorded)
        metric_set(scheduler->metrics.last_run, (double)utc_us() / 1e6);
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

static void log_run(const char *text, const struct run_summary *summary, int changed)
{
    log_info(text, LF_I("asked", summary->asked), LF_I("answered", summary->answered),
             LF_I("failed", summary->failed), LF_I("changed", changed),
             LF_I("ms", (int64_t)(summary->seconds * 1000)));
}

static void on_run_recorded(const PGresult *result, const struct pg_error *error, void *arg)
{
    struct scheduler *scheduler = arg;
    if (!is_answer(scheduler, error))
        return;
    count_applied(scheduler, result);
    struct run_summary summary = run_summary(scheduler->run);
    log_run("pull done", &summary, scheduler->run_changed + number(result, 0));
    finish_run(scheduler, true);
}

/* Nobody answered: there is nothing to record, and the pull is still due. */
static bool is_in_vain(const struct run_summary *summary)
{
    return summary->asked > 0 && summary->answered == 0;
}

static void record_run(struct scheduler *scheduler)
{
    struct run_summary summary = run_summary(scheduler->run);
    if (is_in_vain(&summary)) {
        log_run("pull in vain: no machine answered; it will be made again", &summary, 0);
        finish_run(scheduler, false);
        return;
    }
    struct batch batch = run_take_batch(scheduler->run);
    char seconds[32], asked[16], answered[16], changed[16];
    char *failures = run_failures(scheduler->run);
    snprintf(seconds, sizeof seconds, "%.3f", summary.seconds);
    snprintf(asked, sizeof asked, "%d", summary.asked);
    snprintf(answered, sizeof answered, "%d", summary.answered);
    snprintf(changed, sizeof changed, "%d", scheduler->run_changed);
    const char *values[] = {batch_close(&batch),
                            seconds,
                            scheduler->service->worker_name,
                            asked,
                            answered,
                            changed,
                            failures};
    query(scheduler, "SELECT * FROM mtc.finish_cycle_run($1, $2, $3, $4, $5, $6, $7)", 7, values,
          on_run_recorded);
    free(failures);
    batch_clear(&batch);
}

static void apply_part(struct scheduler *scheduler)
{
    struct batch batch = run_take_batch(scheduler->run);
    const char *values[] = {batch_close(&batch)};
    query(scheduler, "SELECT * FROM mtc.apply_cycle_times($1)", 1, values, on_part_applied);
    batch_clear(&batch);
}

/* --- what web-hooks brought --- */

static void on_hooks_applied(const PGresult *result, const struct pg_error *error, void *arg)
{
    struct scheduler *scheduler = arg;
    int unknown[UNKNOWN_MAX];
    if (!error) {
        count_applied(scheduler, result);
        intake_applied(scheduler->intake, unknown,
                       read_array(PQgetvalue(result, 0, 3), unknown, UNKNOWN_MAX));
    } else if (pg_error_is_data(error)) {
        intake_refused(scheduler->intake, error->text);
    } else {
        pg_conn_fail(scheduler->pg, error->text);
        return;
    }
    pump(scheduler);
}

/* True if it sent a statement. */
static bool apply_hooks(struct scheduler *scheduler)
{
    if (!intake_is_started(scheduler->intake))
        return false;
    struct batch batch = intake_take_batch(scheduler->intake);
    if (!batch.count)
        return false;
    const char *values[] = {batch_close(&batch)};
    query(scheduler, "SELECT * FROM mtc.apply_cycle_times($1)", 1, values, on_hooks_applied);
    batch_clear(&batch);
    return true;
}

/* --- what to do next --- */

static void on_alive(const PGresult *result, const struct pg_error *error, void *arg)
{
    (void)result;
    if (is_answer(arg, error))
        pump(arg);
}

static void pump_active(struct scheduler *scheduler)
{
    int64_t now = mono_ms();
    bool pulling = run_is_under_way(scheduler->run);
    if (scheduler->ask_due)
        ask_when_due(scheduler);
    else if (pulling && run_is_over(scheduler->run))
        record_run(scheduler);
    else if (pulling && run_has_batch(scheduler->run))
        apply_part(scheduler);
    else if (apply_hooks(scheduler))
        return;
    else if (!pulling && now >= scheduler->due_ms)
        start_run(scheduler);
    else if (now - scheduler->last_ms >= SIGN_OF_LIFE_MS)
        query(scheduler, "SELECT 1", 0, NULL, on_alive);
    else {
        int64_t next = scheduler->last_ms + SIGN_OF_LIFE_MS;
        arm(scheduler, (scheduler->due_ms < next ? scheduler->due_ms : next) - now);
    }
}

static void on_lock(const PGresult *result, const struct pg_error *error, void *arg)
{
    struct scheduler *scheduler = arg;
    if (!is_answer(scheduler, error))
        return;
    if (PQgetvalue(result, 0, 0)[0] == 't') {
        scheduler->mode = ACTIVE;
        scheduler->ask_due = true;
        metric_set(scheduler->metrics.active, 1);
        if (!scheduler->once)
            log_info("active: pulling cycle times, and applying what web-hooks bring");
        if (scheduler->broker_ready)
            intake_start(scheduler->intake, scheduler->conn);
        pump(scheduler);
    } else if (scheduler->once) {
        log_error("no pull was made: another mtc-scheduler is active");
        service_finish(scheduler->service, 1);
    } else {
        arm(scheduler, scheduler->service->config->scheduler_standby_poll_ms);
    }
}

static void pump(struct scheduler *scheduler)
{
    if (scheduler->draining || !pg_conn_is_idle(scheduler->pg))
        return;
    if (scheduler->mode == ACTIVE)
        pump_active(scheduler);
    else
        query(scheduler, "SELECT pg_try_advisory_lock(7173219, 3)", 0, NULL, on_lock);
}

static void on_work(void *arg)
{
    struct scheduler *scheduler = arg;
    if (scheduler->mode == ACTIVE)
        pump(scheduler);
}

/* --- PostgreSQL up and down --- */

static void on_pg_up(void *arg)
{
    struct scheduler *scheduler = arg;
    scheduler->mode = STANDBY;
    pump(scheduler);
}

/* The lock went with the session: whoever is next makes the pull anew, and gets the web-hooks. */
static void on_pg_down(const char *reason, void *arg)
{
    (void)reason;
    struct scheduler *scheduler = arg;
    scheduler->mode = OFFLINE;
    metric_set(scheduler->metrics.active, 0);
    timer_cancel(scheduler->timer);
    run_abort(scheduler->run);
    intake_stop(scheduler->intake);
    newest_clear(&scheduler->newest);
    if (scheduler->once)
        arm(scheduler, scheduler->once_until_ms - mono_ms());
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
    if (scheduler->mode == ACTIVE)
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
    (void)reason;
    struct scheduler *scheduler = arg;
    topology_forget(scheduler->topology);
    scheduler->topology = NULL;
    scheduler->broker_ready = false;
    intake_on_conn_down(scheduler->intake);
}

/* --- start, stop, and what people ask --- */

bool scheduler_ready(const void *state, const char **why)
{
    const struct scheduler *scheduler = state;
    if (scheduler->mode == OFFLINE)
        *why = "no PostgreSQL";
    else if (!scheduler->broker_ready)
        *why = "no RabbitMQ";
    else
        return true;
    return false;
}

static void on_conn_closed(void *arg)
{
    struct scheduler *scheduler = arg;
    service_drained(scheduler->service);
}

/* A pull under way is dropped: it is still due. A batch under way may be committed and not acked:
 * it is told again. */
void scheduler_drain(void *state)
{
    struct scheduler *scheduler = state;
    scheduler->draining = true;
    timer_cancel(scheduler->timer);
    run_abort(scheduler->run);
    intake_on_conn_down(scheduler->intake);
    if (scheduler->conn)
        amqp_conn_close(scheduler->conn, on_conn_closed, scheduler);
    else
        service_drained(scheduler->service);
}

void scheduler_reload(void *state)
{
    struct scheduler *scheduler = state;
    char error[256];
    if (!settings_read_api_key(scheduler->service->config, &scheduler->api_key_header, error,
                               sizeof error))
        log_error("API key not read; going on with the one before", LF_S("reason", error));
    run_set_api_key(scheduler->run, scheduler->api_key_header);
}

static void add_metrics(struct scheduler *scheduler)
{
    struct metrics *all = scheduler->service->metrics;
    struct scheduler_metrics *m = &scheduler->metrics;
    m->active = metrics_add(all, METRIC_GAUGE, "mtc_scheduler_active", "1 while this process pulls",
                            NULL);
    m->runs_done = metrics_add(all, METRIC_COUNTER, "mtc_scheduler_runs_total",
                               "Pulls that were made, or in which no machine answered",
                               "result=\"done\"");
    m->runs_failed = metrics_add(all, METRIC_COUNTER, "mtc_scheduler_runs_total",
                                 "Pulls that were made, or in which no machine answered",
                                 "result=\"in vain\"");
    m->run_seconds = metrics_add(all, METRIC_HISTOGRAM, "mtc_scheduler_run_seconds",
                                 "Duration of a pull", NULL);
    m->last_run = metrics_add(all, METRIC_GAUGE, "mtc_scheduler_last_run_timestamp_seconds",
                              "When this process last finished a pull", NULL);
    m->machines = metrics_add(all, METRIC_GAUGE, "mtc_scheduler_machines",
                              "Machines of the last pull", NULL);
    m->failing = metrics_add(all, METRIC_GAUGE, "mtc_scheduler_failing_machines",
                             "Machines of the last pull that did not answer as they should", NULL);
    static const char *const help = "What machines' cycle times were answered with";
    m->values = metrics_add(all, METRIC_COUNTER, "mtc_scheduler_answers_total", help,
                            "answer=\"value\"");
    m->unchanged = metrics_add(all, METRIC_COUNTER, "mtc_scheduler_answers_total", help,
                               "answer=\"unchanged\"");
    m->nothing = metrics_add(all, METRIC_COUNTER, "mtc_scheduler_answers_total", help,
                             "answer=\"nothing yet\"");
    m->failed = metrics_add(all, METRIC_COUNTER, "mtc_scheduler_answers_total", help,
                            "answer=\"failed\"");
    static const char *const reasons[FAILURES] = {"reason=\"unknown machine\"",
                                                  "reason=\"breach of contract\"",
                                                  "reason=\"no answer\"", "reason=\"status\""};
    for (int i = 0; i < FAILURES; i++)
        m->failures[i] = metrics_add(all, METRIC_COUNTER, "mtc_scheduler_failures_total",
                                     "Machines not pulled, by reason; the log names them",
                                     reasons[i]);
    static const char *const applied = "Observations applied, by what came of them";
    m->changed = metrics_add(all, METRIC_COUNTER, "mtc_scheduler_observations_total", applied,
                             "result=\"written\"");
    m->same = metrics_add(all, METRIC_COUNTER, "mtc_scheduler_observations_total", applied,
                          "result=\"same\"");
    m->older = metrics_add(all, METRIC_COUNTER, "mtc_scheduler_observations_total", applied,
                           "result=\"older\"");
    m->hooks = metrics_add(all, METRIC_COUNTER, "mtc_scheduler_hooks_total",
                           "Web-hooks taken from mtc.cycle-times", NULL);
    m->dead = metrics_add(all, METRIC_COUNTER, "mtc_scheduler_dead_total",
                          "Web-hooks that could not be applied and went to the dead letters", NULL);
}

static bool connect_all(struct scheduler *scheduler, char *error, size_t error_size)
{
    static const struct pg_conn_events pg_events = {.on_up = on_pg_up, .on_down = on_pg_down};
    static const struct amqp_conn_events amqp_events = {.on_up = on_amqp_up,
                                                        .on_down = on_amqp_down};
    struct service *service = scheduler->service;
    /* The broker forgets what is acked: these commits must be on disk. */
    struct pg_conn_settings pg = settings_pg(
        service->config, service->connection_name,
        "SET synchronous_commit = on; SET idle_session_timeout = '4s'; SET jit = off");
    struct amqp_conn_settings amqp = settings_amqp(service->config, service->connection_name);
    if (!settings_read_api_key(service->config, &scheduler->api_key_header, error, error_size))
        return false;
    run_set_api_key(scheduler->run, scheduler->api_key_header);
    scheduler->pg = pg_conn_new(service->loop, service->resolver, &pg, &pg_events, scheduler, error,
                                error_size);
    if (!scheduler->pg || scheduler->once)
        return scheduler->pg != NULL;
    scheduler->conn = amqp_conn_new(service->loop, service->resolver, &amqp, &amqp_events,
                                    scheduler, error, error_size);
    return scheduler->conn != NULL;
}

void *scheduler_start(struct service *service)
{
    struct scheduler *scheduler = xcalloc(1, sizeof *scheduler);
    char error[256] = "";
    scheduler->service = service;
    scheduler->once = ((const struct scheduler_choices *)service->choices)->once;
    scheduler->due_ms = INT64_MAX;
    scheduler->timer = timer_new(service->loop, on_timer, scheduler);
    add_metrics(scheduler);
    scheduler->run = run_new(service, &scheduler->metrics, &scheduler->newest, on_work, scheduler);
    scheduler->intake = intake_new(service, &scheduler->metrics, &scheduler->newest, on_work,
                                   scheduler);
    if (!connect_all(scheduler, error, sizeof error)) {
        log_error("cannot start", LF_S("reason", error));
        scheduler_stop(scheduler);
        return NULL;
    }
    if (scheduler->once) {
        scheduler->once_until_ms = mono_ms() + ONCE_LIMIT_MS;
        arm(scheduler, ONCE_LIMIT_MS);
    }
    return scheduler;
}

void scheduler_stop(void *state)
{
    struct scheduler *scheduler = state;
    topology_forget(scheduler->topology);
    amqp_conn_free(scheduler->conn);
    pg_conn_free(scheduler->pg);
    run_free(scheduler->run);
    intake_free(scheduler->intake);
    newest_clear(&scheduler->newest);
    timer_free(scheduler->timer);
    free(scheduler->api_key_header);
    free(scheduler);
}
