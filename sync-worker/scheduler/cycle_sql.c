/* cycle_sql.c - the statements about cycle times, and what their rows say; see cycle_sql.h */
#include "cycle_sql.h"
#include "base/xalloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int number(const PGresult *rows, int row, int column)
{
    return (int)strtol(PQgetvalue(rows, row, column), NULL, 10);
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

void cycle_sql_ask_due(struct election *election, int64_t period_s, pg_done done, void *arg)
{
    char period[32];
    snprintf(period, sizeof period, "%" PRId64 " seconds", period_s);
    const char *values[] = {period};
    election_query(election, "SELECT mtc.cycle_run_due($1)", 1, values, done, arg);
}

double cycle_sql_read_due(const PGresult *rows)
{
    return strtod(PQgetvalue(rows, 0, 0), NULL);
}

void cycle_sql_list_machines(struct election *election, pg_done done, void *arg)
{
    election_query(election,
                   "SELECT machine_id, machine FROM mtc.active_machine ORDER BY machine_id", 0,
                   NULL, done, arg);
}

struct machine_name *cycle_sql_read_machines(const PGresult *rows, int *count)
{
    *count = PQntuples(rows);
    struct machine_name *machines = xcalloc((size_t)*count + 1, sizeof *machines);
    for (int row = 0; row < *count; row++) {
        machines[row].id = number(rows, row, 0);
        machines[row].name = PQgetvalue(rows, row, 1);
    }
    return machines;
}

void cycle_sql_list_unconfirmed(struct election *election, pg_done done, void *arg)
{
    election_query(election, "SELECT machine_id FROM mtc.unconfirmed()", 0, NULL, done, arg);
}

int cycle_sql_read_id(const PGresult *rows, int row)
{
    return number(rows, row, 0);
}

void cycle_sql_name_machines(struct election *election, const int *machine_ids, int count,
                             pg_done done, void *arg)
{
    size_t room = (size_t)count * 12 + 3, len = 0;
    char *ids = xmalloc(room);
    for (int i = 0; i < count; i++)
        len += (size_t)snprintf(ids + len, room - len, "%c%d", i ? ',' : '{', machine_ids[i]);
    snprintf(ids + len, room - len, "}");
    const char *values[] = {ids};
    election_query(election,
                   "SELECT DISTINCT ON (machine_id) machine_id, machine FROM mtc.machine"
                   " WHERE machine_id = ANY ($1::integer[]) ORDER BY machine_id",
                   1, values, done, arg);
    free(ids);
}

void cycle_sql_apply(struct election *election, struct batch *batch, pg_done done, void *arg)
{
    const char *values[] = {batch_close(batch)};
    election_query(election, "SELECT * FROM mtc.apply_cycle_times($1)", 1, values, done, arg);
    batch_clear(batch);
}

void cycle_sql_finish_pull(struct election *election, struct batch *batch,
                           const struct cycle_pull *pull, pg_done done, void *arg)
{
    char seconds[32], asked[16], answered[16], changed[16];
    snprintf(seconds, sizeof seconds, "%.3f", pull->seconds);
    snprintf(asked, sizeof asked, "%d", pull->asked);
    snprintf(answered, sizeof answered, "%d", pull->answered);
    snprintf(changed, sizeof changed, "%d", pull->changed);
    const char *values[] = {batch_close(batch), seconds, pull->worker,  asked,
                            answered,           changed, pull->failures};
    election_query(election, "SELECT * FROM mtc.finish_cycle_run($1, $2, $3, $4, $5, $6, $7)", 7,
                   values, done, arg);
    batch_clear(batch);
}

struct cycle_applied cycle_sql_read_applied(const PGresult *rows)
{
    struct cycle_applied applied = {
        .changed = number(rows, 0, 0), .same = number(rows, 0, 1), .older = number(rows, 0, 2)};
    applied.unknown_count = read_array(PQgetvalue(rows, 0, 3), applied.unknown, BATCH_HOOKS_MAX);
    if (PQnfields(rows) > 4)
        applied.named_count = read_array(PQgetvalue(rows, 0, 4), applied.named, BATCH_HOOKS_MAX);
    return applied;
}

void cycle_sql_count(const struct cycle_applied *applied, struct scheduler_metrics *metrics)
{
    metric_add(metrics->changed, applied->changed);
    metric_add(metrics->same, applied->same);
    metric_add(metrics->older, applied->older);
}
