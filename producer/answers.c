/*
 * answers.c - markers that came out of a partition, applied to the ledger; see answers.h
 *
 * Diagnostics: events that were lost are a warning; they are published again.
 */
#include "answers.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "suite/marker.h"
#include "suite/topology.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWERS_MAX 1024 /* that wait; what comes on top is forgotten */

struct answer {
    struct marker marker;
    char *held;     /* a PostgreSQL array of rows */
    char *machines; /* ... of the partition's machines; NULL: not asked yet */
    int64_t after;  /* the row up to which it is applied */
    int64_t lost;   /* so far */
    struct answer *next;
};

struct answers {
    const struct producer_metrics *metrics;
    void (*on_done)(void *arg);
    void *arg;
    struct answer *first, **last;
    int count;
    struct pg_session *pg; /* of the statement under way */
    char patience[40];
};

static void free_answer(struct answer *answer)
{
    free(answer->held);
    free(answer->machines);
    free(answer);
}

static void drop_first(struct answers *answers)
{
    struct answer *answer = answers->first;
    answers->first = answer->next;
    if (!answers->first)
        answers->last = &answers->first;
    answers->count--;
    free_answer(answer);
}

void answers_add(struct answers *answers, const char *body, size_t len)
{
    struct answer *answer = xcalloc(1, sizeof *answer);
    if (!marker_read_answer(body, len, &answer->marker, &answer->held)) {
        log_warn("an answer to a marker can't be read; it is dropped");
        free(answer);
        return;
    }
    if (answers->count == ANSWERS_MAX) {
        free_answer(answer);
        return;
    }
    *answers->last = answer;
    answers->last = &answer->next;
    answers->count++;
}

/* --- the machines of its partition --- */

static void put_quoted(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

/* As a PostgreSQL array; the caller frees it. */
static char *machines_of(const struct marker *marker, const PGresult *rows)
{
    char *text = NULL;
    size_t len;
    bool any = false;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        out_of_memory(0);
    fputc('{', out);
    for (int row = 0; row < PQntuples(rows); row++) {
        const char *machine = PQgetvalue(rows, row, 0);
        if (topology_partition_of(machine, (int)marker->partitions) != marker->partition)
            continue;
        if (any)
            fputc(',', out);
        put_quoted(out, machine);
        any = true;
    }
    fputc('}', out);
    if (fclose(out) != 0)
        out_of_memory(0);
    return text;
}

/* Whether there was an error that ends the session; then all is forgotten with it. */
static bool failed(struct answers *answers, const struct pg_error *error)
{
    if (error)
        pg_session_fail(answers->pg, error->text);
    return error != NULL;
}

static void on_machines(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct answers *answers = arg;
    if (failed(answers, error))
        return;
    answers->first->machines = machines_of(&answers->first->marker, rows);
    answers->on_done(answers->arg);
}

/* --- applying --- */

static void on_applied(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct answers *answers = arg;
    if (failed(answers, error))
        return;
    struct answer *answer = answers->first;
    int64_t lost = strtoll(PQgetvalue(rows, 0, 1), NULL, 10);
    answer->after = strtoll(PQgetvalue(rows, 0, 0), NULL, 10);
    answer->lost += lost;
    metric_add(answers->metrics->lost, (double)lost);
    if (answer->after == 0) {
        char queue[TOPOLOGY_NAME_BYTES];
        topology_partition_name((int)answer->marker.partition, queue);
        if (answer->lost)
            log_warn("the broker has lost events; they are published again", LF_S("queue", queue),
                     LF_I("events", answer->lost));
        metric_add(answers->metrics->answers, 1);
        drop_first(answers);
    }
    answers->on_done(answers->arg);
}

static void apply(struct answers *answers)
{
    const struct answer *answer = answers->first;
    char number[24], at_us[24], partition[24], after[24];
    const char *values[] = {
        number, at_us, partition, answer->held, answer->machines, answers->patience, after};
    snprintf(number, sizeof number, "%" PRId64, answer->marker.number);
    snprintf(at_us, sizeof at_us, "%" PRId64, answer->marker.at_us);
    snprintf(partition, sizeof partition, "%" PRId64, answer->marker.partition);
    snprintf(after, sizeof after, "%" PRId64, answer->after);
    pg_session_query(answers->pg, "SELECT * FROM mtc.apply_answer($1, $2, $3, $4, $5, $6, $7)", 7,
                     values, on_applied, answers);
}

bool answers_run(struct answers *answers, struct pg_session *pg)
{
    if (!answers->first)
        return false;
    answers->pg = pg;
    if (answers->first->machines)
        apply(answers);
    else
        pg_session_query(pg, "SELECT * FROM mtc.unsettled_machines()", 0, NULL, on_machines,
                         answers);
    return true;
}

void answers_forget(struct answers *answers)
{
    while (answers->first)
        drop_first(answers);
}

/*
 * Nobody has an outcome in hand for longer than the broker takes to miss its heartbeats (up to
 * three of them), or a ledger to give back what it can't apply: what arrives waits for at most
 * three statements, its own among them, of two heartbeats each. A tenth of the period is for the
 * answer's way, so that the next marker may be the second.
 */
static int64_t patience_ms(const struct config *config)
{
    int64_t period = config->producer_reconcile_s * 900, least = config->amqp_heartbeat_s * 8000;
    return period > least ? period : least;
}

struct answers *answers_new(const struct config *config, const struct producer_metrics *metrics,
                            void (*on_done)(void *arg), void *arg)
{
    struct answers *answers = xcalloc(1, sizeof *answers);
    answers->metrics = metrics;
    answers->on_done = on_done;
    answers->arg = arg;
    answers->last = &answers->first;
    snprintf(answers->patience, sizeof answers->patience, "%" PRId64 " milliseconds",
             patience_ms(config));
    return answers;
}

void answers_free(struct answers *answers)
{
    if (!answers)
        return;
    answers_forget(answers);
    free(answers);
}
