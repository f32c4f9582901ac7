/*
 * cycle_sql.h - the statements about cycle times, and what their rows say
 *
 *   mtc.cycle_run_due()      when the next pull is due
 *   mtc.active_machine       whom to ask
 *   mtc.apply_cycle_times()  observations, of a pull or from web-hooks; telling them twice changes
 *                            nothing
 *   mtc.unconfirmed()        machines whose web-hooks MTConnect has not confirmed
 *   mtc.machine              what MTConnect calls machines that are known by number
 *   mtc.finish_cycle_run()   the last observations of a pull and the record of it, in one
 *                            transaction
 *
 * All go through the election's session, so that none is run by who is not active, and are to be
 * called only while election_is_idle(). Each statement has a reader for the rows its `done` is
 * given. The functions themselves are in sql/.
 */
#ifndef MTC_CYCLE_SQL_H
#define MTC_CYCLE_SQL_H

#include "batch.h"
#include "machine_list.h"
#include "suite/election.h"
#include "suite/program_metrics.h"

void cycle_sql_ask_due(struct election *election, int64_t period_s, pg_done done, void *arg);
double cycle_sql_read_due(const PGresult *rows); /* seconds from now; 0 or less: it is due */

void cycle_sql_list_machines(struct election *election, pg_done done, void *arg);
/* An array, which the caller frees; the names are valid as long as the rows. */
struct machine_name *cycle_sql_read_machines(const PGresult *rows, int *count);

void cycle_sql_list_unconfirmed(struct election *election, pg_done done, void *arg);
int cycle_sql_read_id(const PGresult *rows, int row);

/* Read as cycle_sql_list_machines() is, whether they are active or not. */
void cycle_sql_name_machines(struct election *election, const int *machine_ids, int count,
                             pg_done done, void *arg);

/* The batch is closed and cleared. */
void cycle_sql_apply(struct election *election, struct batch *batch, pg_done done, void *arg);

struct cycle_pull { /* the record of a pull; strings are borrowed */
    double seconds;
    const char *worker;
    int asked, answered;
    int changed;          /* by its batches before this one */
    const char *failures; /* JSON object, machine: why */
};

/* The batch is closed and cleared. */
void cycle_sql_finish_pull(struct election *election, struct batch *batch,
                           const struct cycle_pull *pull, pg_done done, void *arg);

struct cycle_applied { /* what came of a batch */
    int changed, same, older;
    int unknown[BATCH_HOOKS_MAX]; /* positions whose machine nobody knows, from 0, ascending */
    int unknown_count;
    int named
        [BATCH_HOOKS_MAX]; /* numbers of those that were told by name, and are known, in order */
    int named_count;
};

/* Of both statements that apply a batch. */
struct cycle_applied cycle_sql_read_applied(const PGresult *rows);
void cycle_sql_count(const struct cycle_applied *applied, struct scheduler_metrics *metrics);

#endif
