/*
 * ledger.h - outcomes and deaths from the broker into the outbox
 *
 * Every producer, active or standing by, takes batches of outcomes from mtc.outcomes and copies of
 * dead letters from mtc.deaths (see deaths.h), and has PostgreSQL apply them (mtc.apply_outcomes),
 * on a session of its own. A batch is acked only after its commit; telling PostgreSQL twice changes
 * nothing. While PostgreSQL is down the batches wait in the broker; delivery does not.
 *
 * Called by producer.c. How a batch is taken, acked and buried is suite/consumer.h's business.
 */
#ifndef MTC_LEDGER_H
#define MTC_LEDGER_H

#include "net/amqp_conn.h"
#include "suite/program_metrics.h"
#include "suite/service.h"

struct ledger;

/* Both are borrowed. NULL with a message if the connection string can't be parsed. */
struct ledger *ledger_new(const struct service *service, const struct producer_metrics *metrics,
                          char *error, size_t error_size);
void ledger_free(struct ledger *ledger); /* NULL is fine */

/* The connection is up and the topology declared: consumes from now on. */
void ledger_start(struct ledger *ledger, struct amqp_conn *conn);
/* The connection is lost, or about to be closed. */
void ledger_on_conn_down(struct ledger *ledger);

bool ledger_is_connected(const struct ledger *ledger);

#endif
