/*
 * ledger.h - outcomes from the broker into the outbox
 *
 * Every producer, active or standing by, takes batches of outcomes from mtc.outcomes and has
 * PostgreSQL apply them. A batch is acked only after its commit; telling PostgreSQL twice changes
 * nothing. While PostgreSQL is down the batches wait in the broker; delivery does not.
 */
#ifndef MTC_LEDGER_H
#define MTC_LEDGER_H

#include "net/amqp_chan.h"
#include "suite/service.h"

struct ledger;

struct ledger *ledger_new(struct service *service, char *error, size_t error_size);
void ledger_free(struct ledger *ledger);

/* The connection is up and the topology declared: open a channel and consume. */
void ledger_start(struct ledger *ledger, struct amqp_conn *conn);
void ledger_on_conn_down(struct ledger *ledger);

/* True when no batch is under way. */
bool ledger_is_idle(const struct ledger *ledger);
bool ledger_is_connected(const struct ledger *ledger);

#endif
