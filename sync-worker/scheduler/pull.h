/*
 * pull.h - one pull: asks MTConnect for the cycle time of every active machine
 *
 * A bounded number of machines is asked at the same time. One that does not answer is asked again
 * after scheduler.retry_delays_s while the others go on; one that is unknown there, or answers
 * outside the contract, is not. Each failure is a line with the machine's name. If nobody answers
 * at all the pull ends early.
 *
 * Between pulls the entity tags of the answers are kept, so that an unchanged one costs a 304.
 */
#ifndef MTC_PULL_H
#define MTC_PULL_H

#include "batch.h"
#include "net/http_client.h"
#include "scheduler.h"

#include <libpq-fe.h>

struct run;

/* changed: there is something in run_batch(), or run_is_over(). */
struct run *run_new(struct service *service, struct scheduler_metrics *metrics,
                    struct newest *newest, void (*changed)(void *arg), void *arg);
void run_free(struct run *run);
void run_set_api_key(struct run *run, const char *header); /* borrowed; NULL for none */

/* machines: rows of machine_id, machine. Only while no pull is under way. */
void run_start(struct run *run, const PGresult *machines);
bool run_is_under_way(const struct run *run);
void run_abort(struct run *run); /* as if it had not been begun; nothing is called back */

/* Every machine has answered or failed. */
bool run_is_over(const struct run *run);

/* What has been learnt and not been applied yet, to be taken (and cleared) when nobody is just
 * being asked. */
bool run_has_batch(const struct run *run);
struct batch run_take_batch(struct run *run);

struct run_summary {
    int asked, answered, failed;
    double seconds;
    const char *stopped; /* why the pull was given up, or NULL */
};
struct run_summary run_summary(const struct run *run);
char *run_failures(const struct run *run); /* JSON object, machine: why; caller frees */
void run_end(struct run *run);             /* it has been recorded */

#endif
