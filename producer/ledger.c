/*
 * ledger.c - outcomes and deaths from the broker into the outbox; see ledger.h
 *
 * Diagnostics: a batch PostgreSQL can't read is an error and goes to the dead letters; it is our
 * bug or somebody's experiment, and must not stop the others. A death it can't read is an error,
 * and no more: its letter is among the dead letters already.
 */
#include "ledger.h"
#include "answers.h"
#include "deaths.h"
#include "base/log.h"
#include "base/timer.h"
#include "base/xalloc.h"
#include "net/pg_session.h"
#include "suite/consumer.h"
#include "suite/marker.h"
#include "suite/settings.h"
#include "suite/topology.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOIN_MAX 32 /* batches applied in one statement */

#define NOTE_ANSWER 0 /* of a delivery from mtc.outcomes: it is the answer to a marker */

struct ledger {
    const struct producer_metrics *metrics;
    struct pg_session *pg;
    struct amqp_conn *conn; /* NULL: down */
    bool consuming;         /* on it */
    struct timer *patience; /* runs out: what is in hand goes back */
    int64_t patience_ms;
    struct answers *answers;
    bool was_answer; /* the last statement was of these: they and batches take turns */
    struct consumer *outcomes, *deaths;
    struct consumer *applying;    /* the one of them whose batch was given to PostgreSQL last */
    const struct delivery *batch; /* of it, while it is applying */
    char *body;                   /* of the message being applied, if it is alone; owned */
    char reason[512];             /* why it was refused */
};

static void pump(struct ledger *ledger);

/* --- in hand, or with the broker --- */

/*
 * Nobody else can apply what this process has in hand, and the reconciler counts on its not being
 * there for long (answers.c). So what can't be applied goes back, for another producer.
 */
static void give_back(struct ledger *ledger)
{
    timer_cancel(ledger->patience);
    if (!ledger->consuming)
        return;
    ledger->consuming = false;
    ledger->batch = NULL;
    consumer_stop(ledger->outcomes);
    consumer_stop(ledger->deaths);
}

static void take_on(struct ledger *ledger)
{
    if (ledger->consuming || !ledger->conn || !pg_session_is_up(ledger->pg))
        return;
    ledger->consuming = true;
    consumer_start(ledger->outcomes, ledger->conn);
    consumer_start(ledger->deaths, ledger->conn);
}

static void on_patience_over(void *arg)
{
    struct ledger *ledger = arg;
    log_warn("PostgreSQL does not answer; outcomes go back to the broker");
    give_back(ledger);
}

/* --- batches --- */

static void refused(struct ledger *ledger)
{
    if (!consumer_is_applying(ledger->applying))
        return; /* the broker was lost meanwhile, and has it back */
    if (ledger->applying == ledger->outcomes) {
        consumer_refused(ledger->outcomes, ledger->reason);
        return;
    }
    log_error("a death PostgreSQL can't read; its letter is in mtc.dead",
              LF_S("reason", ledger->reason), LF_S("death", ledger->body));
    consumer_applied(ledger->deaths, NULL, 0, NULL);
}

/* What could be applied of a refused message is; the rest of it is said. */
static void on_salvaged(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct ledger *ledger = arg;
    if (error && !pg_error_is_data(error)) {
        pg_session_fail(ledger->pg, error->text);
        return;
    }
    if (!error)
        metric_add(ledger->metrics->outcomes, strtod(PQgetvalue(rows, 0, 0), NULL));
    refused(ledger);
    pump(ledger);
}

static void salvage(struct ledger *ledger, const char *reason)
{
    const char *values[] = {ledger->body};
    snprintf(ledger->reason, sizeof ledger->reason, "%s", reason);
    pg_session_query(ledger->pg, "SELECT mtc.apply_readable_outcomes($1)", 1, values, on_salvaged,
                     ledger);
}

/* Those of the batch: the outcomes that were ahead of them are applied. */
static void take_answers(struct ledger *ledger)
{
    if (ledger->applying != ledger->outcomes)
        return;
    for (const struct delivery *batch = ledger->batch; batch; batch = batch->next) {
        if (batch->note[NOTE_ANSWER])
            answers_add(ledger->answers, batch->body, batch->len);
    }
}

static void on_applied(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct ledger *ledger = arg;
    bool is_data = error && pg_error_is_data(error);
    if (error && !is_data) {
        pg_session_fail(ledger->pg, error->text); /* on_pg_down follows */
        return;
    }
    if (is_data && ledger->body) {
        salvage(ledger, error->text);
        return;
    }
    if (!error)
        metric_add(ledger->metrics->outcomes, strtod(PQgetvalue(rows, 0, 0), NULL));
    if (consumer_is_applying(ledger->applying)) { /* not if the broker was lost meanwhile */
        if (is_data) {
            consumer_refused(ledger->applying, error->text);
        } else {
            take_answers(ledger);
            consumer_applied(ledger->applying, NULL, 0, NULL);
        }
    }
    pump(ledger);
}

/* What stands between the brackets of a JSON array, or all of it if it is none. */
static void inner(const struct delivery *batch, const char **text, size_t *len)
{
    *text = batch->body;
    *len = batch->len;
    if (*len >= 2 && (*text)[0] == '[' && (*text)[*len - 1] == ']') {
        (*text)++;
        *len -= 2;
    }
}

/* Joins the batches into one JSON array; the caller frees it. */
static char *join(const struct delivery *batches)
{
    size_t room = 3, at = 0;
    for (const struct delivery *batch = batches; batch; batch = batch->next)
        room += batch->len + 1;
    char *out = xmalloc(room);
    out[at++] = '[';
    for (const struct delivery *batch = batches; batch; batch = batch->next) {
        const char *text;
        size_t len;
        inner(batch, &text, &len);
        if (at > 1)
            out[at++] = ',';
        memcpy(out + at, text, len);
        at += len;
    }
    out[at++] = ']';
    out[at] = '\0';
    return out;
}

/* The next batch of whom it was not the turn of, so that neither keeps the other waiting. */
static const struct delivery *take(struct ledger *ledger)
{
    struct consumer *last = ledger->applying;
    struct consumer *other = last == ledger->outcomes ? ledger->deaths : ledger->outcomes;
    ledger->applying = other;
    const struct delivery *batches = consumer_take(other);
    if (batches)
        return batches;
    ledger->applying = last;
    return consumer_take(last);
}

static void pump(struct ledger *ledger)
{
    if (!pg_session_is_idle(ledger->pg))
        return;
    take_on(ledger);
    timer_in(ledger->patience, ledger->patience_ms);
    ledger->was_answer = !ledger->was_answer && answers_run(ledger->answers, ledger->pg);
    if (ledger->was_answer)
        return;
    const struct delivery *batches = take(ledger);
    if (!batches) {
        ledger->was_answer = answers_run(ledger->answers, ledger->pg);
        if (!ledger->was_answer)
            timer_cancel(ledger->patience);
        return;
    }
    ledger->batch = batches;
    char *joined = join(batches);
    const char *values[] = {joined};
    pg_session_query(ledger->pg, "SELECT mtc.apply_outcomes($1)", 1, values, on_applied, ledger);
    free(ledger->body);
    ledger->body = batches->next ? NULL : joined;
    if (!ledger->body)
        free(joined);
}

/* --- what the consumer tells --- */

static void on_arrived(void *arg)
{
    pump(arg);
}

static const char *check(struct delivery *batch, const amqp_basic_properties_t *properties,
                         void *arg)
{
    (void)arg;
    batch->note[NOTE_ANSWER] = marker_is_answer(properties);
    return strlen(batch->body) == batch->len ? NULL : "no JSON: there is a NUL inside";
}

static void on_buried(const struct delivery *batch, const char *reason, void *arg)
{
    const struct ledger *ledger = arg;
    (void)batch;
    log_error("outcomes PostgreSQL can't read; they go to the dead letters",
              LF_S("reason", reason));
    metric_add(ledger->metrics->outcomes_refused, 1);
}

static const char *read_death(struct delivery *letter, const amqp_basic_properties_t *properties,
                              void *arg)
{
    const struct ledger *ledger = arg;
    deaths_read(letter, properties, ledger->metrics);
    return NULL;
}

static bool is_of_no_row(const struct delivery *letter, void *arg)
{
    (void)arg;
    return deaths_is_of_no_row(letter);
}

void ledger_start(struct ledger *ledger, struct amqp_conn *conn)
{
    ledger->conn = conn;
    if (pg_session_is_idle(ledger->pg)) /* else when it answers: it may hang */
        take_on(ledger);
}

void ledger_on_conn_down(struct ledger *ledger)
{
    ledger->conn = NULL;
    ledger->consuming = false;
    ledger->batch = NULL;
    consumer_on_conn_down(ledger->outcomes);
    consumer_on_conn_down(ledger->deaths);
}

/* --- what PostgreSQL tells --- */

static void on_pg_up(void *arg)
{
    pump(arg);
}

static void on_pg_down(const char *reason, void *arg)
{
    struct ledger *ledger = arg;
    (void)reason;
    /* Committed or not: what was under way is told again. */
    answers_forget(ledger->answers);
    give_back(ledger);
}

bool ledger_is_connected(const struct ledger *ledger)
{
    return pg_session_is_up(ledger->pg);
}

/* --- birth and end --- */

static struct consumer *new_consumer(struct ledger *ledger, const struct service *service,
                                     const char *queue, const struct consumer_events *events)
{
    struct consumer_settings settings = {
        .queue = queue,
        .tag = service->connection_name,
        .kind = "outcomes",
        .prefetch = (uint16_t)service->config->producer_ledger_prefetch,
        .batch_max = JOIN_MAX,
    };
    return consumer_new(&settings, events, ledger);
}

static void make_consumers(struct ledger *ledger, const struct service *service)
{
    static const struct consumer_events of_outcomes = {
        .on_arrived = on_arrived, .check = check, .on_buried = on_buried};
    static const struct consumer_events of_deaths = {.on_arrived = on_arrived,
                                                     .check = read_death,
                                                     .is_obsolete = is_of_no_row,
                                                     .on_buried = on_buried};
    ledger->outcomes = new_consumer(ledger, service, TOPOLOGY_OUTCOMES, &of_outcomes);
    ledger->deaths = new_consumer(ledger, service, TOPOLOGY_DEATHS, &of_deaths);
    ledger->applying = ledger->deaths;
}

struct ledger *ledger_new(const struct service *service, const struct producer_metrics *metrics,
                          char *error, size_t error_size)
{
    static const struct pg_session_events events = {.on_up = on_pg_up, .on_down = on_pg_down};
    struct ledger *ledger = xcalloc(1, sizeof *ledger);
    ledger->metrics = metrics;
    ledger->patience = timer_new(service->loop, on_patience_over, ledger);
    ledger->patience_ms = service->config->amqp_heartbeat_s * 2000;
    ledger->answers = answers_new(service->config, metrics, on_pg_up, ledger);
    make_consumers(ledger, service);
    /* The broker forgets what is acked: this commit must be on disk. */
    struct pg_session_settings settings = settings_pg(service->config, service->connection_name,
                                                      "SET synchronous_commit = on; SET jit = off");
    ledger->pg = pg_session_new(service->loop, service->resolver, &settings, &events, ledger, error,
                                error_size);
    if (!ledger->pg) {
        ledger_free(ledger);
        return NULL;
    }
    return ledger;
}

void ledger_free(struct ledger *ledger)
{
    if (!ledger)
        return;
    pg_session_free(ledger->pg);
    consumer_free(ledger->outcomes);
    consumer_free(ledger->deaths);
    answers_free(ledger->answers);
    timer_free(ledger->patience);
    free(ledger->body);
    free(ledger);
}
