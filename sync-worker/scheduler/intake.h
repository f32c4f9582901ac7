/*
 * intake.h - mtc.cycle-times: what web-hooks brought, taken in batches
 *
 * Only the active scheduler consumes. A message is acked when PostgreSQL has committed what it says
 * (or when it turned out to say nothing new), or when the broker has confirmed its copy among the
 * dead letters, with the reason.
 */
#ifndef MTC_INTAKE_H
#define MTC_INTAKE_H

#include "net/amqp_chan.h"
#include "batch.h"
#include "scheduler.h"

#include <libpq-fe.h>

struct intake;

/* arrived: intake_take_batch() may have something. */
struct intake *intake_new(struct service *service, struct scheduler_metrics *metrics,
                          struct newest *newest, void (*arrived)(void *arg), void *arg);
void intake_free(struct intake *intake);

/* Consumes from now on; conn is up and the topology is declared. */
void intake_start(struct intake *intake, struct amqp_conn *conn);
/* Gives everything back to the broker. */
void intake_stop(struct intake *intake);
/* The connection is lost, and the channel with it. */
void intake_on_conn_down(struct intake *intake);
bool intake_is_started(const struct intake *intake);

/* The batch to be applied next; count 0: nothing to do. Until it is told how that went, there is no
 * other. */
struct batch intake_take_batch(struct intake *intake);
void intake_applied(struct intake *intake, const int *unknown, int unknown_count);
/* PostgreSQL refuses what the batch says. The batch is tried one by one; a single one becomes a
 * dead letter. */
void intake_refused(struct intake *intake, const char *reason);
/* Nobody knows: it is told again. */
void intake_uncertain(struct intake *intake);

#endif
