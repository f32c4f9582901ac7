/*
 * pull.h - one pull: asks MTConnect for the cycle time of every active machine
 *
 * A bounded number of machines is asked at the same time. One that does not answer is asked again
 * after scheduler.retry_delays_s while the others go on; one that is unknown there, or answers
 * outside the contract, is not. Each failure is a line with the machine's name. If nobody answers
 * at all the pull ends early.
 *
 * What is learnt goes to its owner in batches; a pull knows nothing of PostgreSQL.
 *
 *   pull_start() --> asking --on_quiet--> pull_take_batch() ... --pull_is_over()--> pull_end()
 */
#ifndef MTC_PULL_H
#define MTC_PULL_H

#include "batch.h"
#include "machine_list.h"
#include "newest.h"
#include "suite/mtconnect.h"
#include "suite/program_metrics.h"
#include "suite/service.h"

struct pull;

struct pull_parts {              /* borrowed for the pull's whole life */
    struct mtconnect *mtconnect; /* nobody else's: an aborted pull drops its requests */
    struct newest *newest;
    struct scheduler_metrics *metrics;
};

/* on_quiet: nobody is just being asked, so there may be a batch, or the pull may be over. */
struct pull *pull_new(const struct service *service, const struct pull_parts *parts,
                      void (*on_quiet)(void *arg), void *arg);
void pull_free(struct pull *pull); /* NULL is fine */

/* Only while no pull is under way. */
void pull_start(struct pull *pull, const struct machine_name *machines, int count);
bool pull_is_under_way(const struct pull *pull);
void pull_abort(struct pull *pull); /* as if it had not been begun; nothing is called back */

/* Every machine has answered or failed. */
bool pull_is_over(const struct pull *pull);

/* What has been learnt and was not taken yet, once nobody is just being asked. */
bool pull_has_batch(const struct pull *pull);
struct batch pull_take_batch(struct pull *pull); /* the caller clears it */

struct pull_summary {
    int asked, answered, failed;
    double seconds;
};
struct pull_summary pull_summary(const struct pull *pull);
char *pull_failures(const struct pull *pull); /* JSON object, machine: why; caller frees */
void pull_end(struct pull *pull);             /* it has been recorded */

#endif
