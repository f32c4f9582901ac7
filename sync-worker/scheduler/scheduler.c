/*
 * scheduler.c - pulls, what web-hooks brought, and what of it is to be confirmed; see scheduler.h
 *
 * Diagnostics: becoming active is a line. What is down is waited for; with --once it is an error
 * after ONCE_LIMIT_MS.
 */
#include "scheduler.h"
#include "confirm.h"
#include "cycle_sql.h"
#include "intake.h"
#include "pull.h"
#include "schedule.h"
#include "shares.h"
#include "version.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/timer.h"
#include "base/xalloc.h"
#include "net/amqp_conn.h"
#include "suite/election.h"
#include "suite/settings.h"
#include "suite/topology.h"

#include <stdlib.h>

#define ONCE_LIMIT_MS 60000 /* how long --once waits for PostgreSQL to be there */

struct scheduler {
    struct service *service;
    struct election *election;
    struct amqp_conn *conn;    /* NULL with --once */
    struct topology *topology; /* while it is being declared */
    struct mtconnect *mtconnect, *mtconnect_confirm;
    struct pull *pull;
    struct confirm *confirm;
    struct schedule *schedule;
    struct intake *intake;
    struct newest newest;
    struct shares shares;
    struct timer *once_limit;
    int64_t once_until_ms;
    bool once, broker_ready, draining;
    struct scheduler_metrics metrics;
};

static void pump(struct scheduler *scheduler);

/* --- what web-hooks brought --- */

static void on_hooks_applied(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct scheduler *scheduler = arg;
    if (!error) {
        struct cycle_applied applied = cycle_sql_read_applied(rows);
        cycle_sql_count(&applied, &scheduler->metrics);
        intake_applied(scheduler->intake, &applied);
    } else if (pg_error_is_data(error)) {
        intake_refused(scheduler->intake, error->text);
    } else {
        election_fail(scheduler->election, error->text);
        return;
    }
    pump(scheduler);
}

static void apply_hooks(struct scheduler *scheduler)
{
    struct batch batch = intake_take_batch(scheduler->intake);
    if (batch.count)
        cycle_sql_apply(scheduler->election, &batch, on_hooks_applied, scheduler);
}

static void on_doubt(int machine_id, void *arg)
{
    const struct scheduler *scheduler = arg;
    confirm_doubt(scheduler->confirm, machine_id);
}

static void on_too_many_doubts(void *arg)
{
    const struct scheduler *scheduler = arg;
    schedule_hurry(scheduler->schedule);
}

/* --- what to do next --- */

/* Web-hooks come last: there may be always one more, and the others are rare. */
static void pump(struct scheduler *scheduler)
{
    if (scheduler->draining || !election_is_idle(scheduler->election))
        return;
    if (schedule_go_on(scheduler->schedule) || confirm_go_on(scheduler->confirm) ||
        schedule_begin(scheduler->schedule) || confirm_begin(scheduler->confirm))
        return;
    apply_hooks(scheduler);
}

static void on_work(void *arg)
{
    pump(arg);
}

static void on_pulled(bool recorded, void *arg)
{
    struct scheduler *scheduler = arg;
    if (scheduler->once)
        service_finish(scheduler->service, recorded ? 0 : 1);
    else
        pump(scheduler);
}

/* --- elected or not --- */

static void on_elected(void *arg)
{
    struct scheduler *scheduler = arg;
    if (scheduler->draining)
        return;
    schedule_start(scheduler->schedule);
    if (!scheduler->once)
        confirm_start(scheduler->confirm);
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
    schedule_stop(scheduler->schedule);
    confirm_stop(scheduler->confirm);
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
    presence_on_conn_up(scheduler->service->presence, scheduler->conn);
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

/* What confirms has connections of its own: a pull may have all of its waiting for an answer. */
static bool make_mtconnect(struct scheduler *scheduler, char *error, size_t error_size)
{
    const struct config *config = scheduler->service->config;
    struct loop *loop = scheduler->service->loop;
    struct mtconnect_settings settings = settings_mtconnect(config, "mtc-scheduler/" MTC_VERSION);
    settings.connections = scheduler->shares.pull_connections;
    scheduler->mtconnect = mtconnect_new(loop, &settings, error, error_size);
    settings.connections = scheduler->shares.confirm_connections;
    if (scheduler->mtconnect)
        scheduler->mtconnect_confirm = mtconnect_new(loop, &settings, error, error_size);
    return scheduler->mtconnect_confirm != NULL;
}

static void make_parts(struct scheduler *scheduler)
{
    struct service *service = scheduler->service;
    struct scheduler_metrics *metrics = &scheduler->metrics;
    struct newest *newest = &scheduler->newest;
    static const struct pull_events pull_events = {.on_quiet = on_work, .on_doubt = on_doubt};
    const struct pull_parts pull_parts = {
        .mtconnect = scheduler->mtconnect, .newest = newest, .metrics = metrics};
    scheduler->pull = pull_new(service, &pull_parts, &pull_events, scheduler);
    static const struct schedule_events events = {.on_step = on_work, .on_pulled = on_pulled};
    const struct schedule_parts parts = {.election = scheduler->election,
                                         .mtconnect = scheduler->mtconnect,
                                         .pull = scheduler->pull,
                                         .metrics = metrics};
    scheduler->schedule = schedule_new(service, &parts, scheduler->once, &events, scheduler);
    static const struct confirm_events confirm_events = {.on_step = on_work,
                                                         .on_too_many = on_too_many_doubts};
    const struct confirm_parts confirm_parts = {.election = scheduler->election,
                                                .mtconnect = scheduler->mtconnect_confirm,
                                                .newest = newest,
                                                .metrics = metrics};
    scheduler->confirm = confirm_new(service, &confirm_parts, &confirm_events, scheduler);
    static const struct intake_events intake_events = {.on_arrived = on_work, .on_doubt = on_doubt};
    scheduler->intake = intake_new(service, scheduler->shares.prefetch, newest, metrics,
                                   &intake_events, scheduler);
}

static void before_render(void *arg)
{
    const struct scheduler *scheduler = arg;
    size_t held = mtconnect_held(scheduler->mtconnect) +
                  mtconnect_held(scheduler->mtconnect_confirm) + intake_held(scheduler->intake);
    metric_set(scheduler->metrics.held_bytes, (double)held);
}

static void share_memory(struct scheduler *scheduler)
{
    const struct config *config = scheduler->service->config;
    const struct shares shares = shares_of(config);
    scheduler->shares = shares;
    if (shares.pull_connections < config->scheduler_connections ||
        shares.prefetch < config->scheduler_prefetch)
        log_info("scheduler.memory_mib allows less at once than the other options",
                 LF_I("connections", shares.pull_connections), LF_I("prefetch", shares.prefetch));
}

/* Nothing is called back before the loop runs. */
static bool make_all(struct scheduler *scheduler, char *error, size_t error_size)
{
    if (!make_mtconnect(scheduler, error, error_size) ||
        !join_election(scheduler, error, error_size))
        return false;
    make_parts(scheduler);
    metrics_on_render(scheduler->service->metrics, before_render, scheduler);
    return scheduler->once || connect_broker(scheduler, error, error_size);
}

void *scheduler_start(struct service *service)
{
    struct scheduler *scheduler = xcalloc(1, sizeof *scheduler);
    char error[256] = "";
    scheduler->service = service;
    scheduler->once = ((const struct scheduler_choices *)service->choices)->once;
    scheduler->once_limit = timer_new(service->loop, on_once_limit, scheduler);
    scheduler_metrics_register(&scheduler->metrics, service->metrics);
    share_memory(scheduler);
    if (!make_all(scheduler, error, sizeof error)) {
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
 * it is told again. What is yet to be confirmed, PostgreSQL knows.
 */
void scheduler_drain(void *state)
{
    struct scheduler *scheduler = state;
    scheduler->draining = true;
    election_withdraw(scheduler->election);
    schedule_stop(scheduler->schedule);
    confirm_stop(scheduler->confirm);
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
    mtconnect_read_api_key(scheduler->mtconnect_confirm);
}

void scheduler_stop(void *state)
{
    struct scheduler *scheduler = state;
    topology_forget(scheduler->topology);
    amqp_conn_free(scheduler->conn);
    election_free(scheduler->election);
    schedule_free(scheduler->schedule);
    pull_free(scheduler->pull);
    confirm_free(scheduler->confirm);
    intake_free(scheduler->intake);
    mtconnect_free(scheduler->mtconnect);
    mtconnect_free(scheduler->mtconnect_confirm);
    newest_clear(&scheduler->newest);
    timer_free(scheduler->once_limit);
    free(scheduler);
}
