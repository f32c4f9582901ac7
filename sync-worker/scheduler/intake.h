/*
 * intake.h - mtc.cycle-times: what web-hooks brought, taken in batches
 *
 * Only the active scheduler consumes. What a message goes through is in suite/consumer.h; known
 * here is what it looks like, and when it says nothing new: one that is older than what this
 * process has seen of its machine is acked without being told to PostgreSQL.
 */
#ifndef MTC_INTAKE_H
#define MTC_INTAKE_H

#include "batch.h"
#include "newest.h"
#include "net/amqp_chan.h"
#include "suite/program_metrics.h"
#include "suite/service.h"

struct intake;

/* newest and metrics are borrowed. on_arrived: intake_take_batch() may have something. */
struct intake *intake_new(const struct service *service, struct newest *newest,
                          struct scheduler_metrics *metrics, void (*on_arrived)(void *arg),
                          void *arg);
void intake_free(struct intake *intake); /* NULL is fine */

/* Consumes from now on; conn is up and the topology is declared. */
void intake_start(struct intake *intake, struct amqp_conn *conn);
/* Gives everything back to the broker. */
void intake_stop(struct intake *intake);
/* The connection is lost, or about to be closed. */
void intake_on_conn_down(struct intake *intake);

/*
 * The batch to be applied next, for the caller to clear; count 0: there is nothing to do. Until one
 * of the following says how it went, there is no other. intake_stop() forgets it, and the broker
 * delivers it again.
 */
struct batch intake_take_batch(struct intake *intake);
/*
 * It is committed, but for the messages at these positions (from 0, ascending): nobody knows their
 * machine, and they become dead letters.
 */
void intake_applied(struct intake *intake, const int *unknown, int unknown_count);
/* PostgreSQL refuses it: it is tried one by one, and the culprit becomes a dead letter. */
void intake_refused(struct intake *intake, const char *reason);

#endif
