/*
 * intake.h - mtc.cycle-times: what web-hooks brought, taken in batches
 *
 * Only the active scheduler consumes. What a message goes through is in suite/consumer.h; known
 * here is what it looks like, and when it says nothing new: one that is older than what this
 * process has seen of its machine is acked without being told to PostgreSQL. Where it can't be told
 * which is newer, the machine is in doubt: its owner then has MTConnect confirm it.
 */
#ifndef MTC_INTAKE_H
#define MTC_INTAKE_H

#include "cycle_sql.h"
#include "newest.h"
#include "net/amqp_chan.h"
#include "suite/program_metrics.h"
#include "suite/service.h"

struct intake;

struct intake_events {
    void (*on_arrived)(void *arg); /* intake_take_batch() may have something */
    void (*on_doubt)(int machine_id, void *arg);
};

/* newest and metrics are borrowed; prefetch: most messages held. */
struct intake *intake_new(const struct service *service, uint16_t prefetch, struct newest *newest,
                          struct scheduler_metrics *metrics, const struct intake_events *events,
                          void *arg);
void intake_free(struct intake *intake); /* NULL is fine */

/* Consumes from now on; conn is up and the topology is declared. */
void intake_start(struct intake *intake, struct amqp_conn *conn);
/* Gives everything back to the broker. */
void intake_stop(struct intake *intake);
/* The connection is lost, or about to be closed. */
void intake_on_conn_down(struct intake *intake);

size_t intake_held(const struct intake *intake); /* bytes of messages */

/*
 * The batch to be applied next, for the caller to clear; count 0: there is nothing to do. Until one
 * of the following says how it went, there is no other. intake_stop() forgets it, and the broker
 * delivers it again.
 */
struct batch intake_take_batch(struct intake *intake);
/*
 * It is committed, but for the messages whose machine nobody knows, which become dead letters.
 */
void intake_applied(struct intake *intake, const struct cycle_applied *applied);
/* PostgreSQL refuses it: it is tried one by one, and the culprit becomes a dead letter. */
void intake_refused(struct intake *intake, const char *reason);

#endif
