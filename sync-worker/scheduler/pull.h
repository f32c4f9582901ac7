/*
 * pull.h - one pull: asks MTConnect for the cycle time of a number of machines
 *
 * A bounded number of them is asked at the same time. One that does not answer is asked again after
 * scheduler.retry_delays_s while the others go on, or later if MTConnect wants it (Retry-After),
 * but never so late that the pull would last longer than its period: such a machine is given up,
 * and the next pull asks it again. One that is unknown there, or answers outside the contract, is
 * not asked again. Each failure is a line with the machine's name. If nobody answers at all the
 * pull ends early.
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
    bool single_attempts; /* to confirm web-hooks: it is the owner who has machines asked again */
};

enum pull_outcome {                /* of one machine */
                    PULL_ANSWERED, /* what is known of it is its present state, or newer */
                    PULL_LATER,    /* it may answer another time */
                    PULL_NEVER,    /* it will not */
};

struct pull_events {
    /* Nobody is just being asked, so there may be a batch, or the pull may be over. */
    void (*on_quiet)(void *arg);
    /* pause_ms: what MTConnect wants before it is asked again, or 0. May be NULL. */
    void (*on_over)(int machine_id, enum pull_outcome outcome, int64_t pause_ms, void *arg);
    /* A web-hook came after the question, and which is newer can't be told: its answer is dropped,
     * and the machine has to be asked again. */
    void (*on_doubt)(int machine_id, void *arg);
};

struct pull *pull_new(const struct service *service, const struct pull_parts *parts,
                      const struct pull_events *events, void *arg);
void pull_free(struct pull *pull); /* NULL is fine */

/* Only while no pull is under way. */
void pull_start(struct pull *pull, const struct machine_name *machines, int count);
bool pull_is_under_way(const struct pull *pull);
void pull_abort(struct pull *pull); /* as if it had not been begun; nothing is called back */

/* Every machine has answered or failed. */
bool pull_is_over(const struct pull *pull);

/* What has been learnt and was not taken yet, once nobody is just being asked. A batch may turn out
 * to be empty: what was in it counts no more. */
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
