/*
 * deaths.h - dead letters as the ledger reads them
 *
 * Whoever gives an event up (the sender, the relay, RabbitMQ itself by a limit or an expiry), its
 * letter comes to the exchange mtc.dead, and a copy of it to the queue mtc.deaths. Here the copy
 * becomes an outcome, as mtc.apply_outcomes() in sql/functions/ledger.sql takes it. So the ledger
 * hears of a death by the sender twice, and of one by RabbitMQ at all; telling twice changes
 * nothing. The letter itself stays in mtc.dead, for people.
 *
 * Called by ledger.c, from the events of its consumer of mtc.deaths.
 */
#ifndef MTC_DEATHS_H
#define MTC_DEATHS_H

#include "suite/consumer.h"
#include "suite/program_metrics.h"

/*
 * Puts the outcome, in a JSON array of one, in the place of the letter's body, which is the event's
 * and of no use here. Logs and counts what RabbitMQ itself gave up.
 */
void deaths_read(struct delivery *delivery, const amqp_basic_properties_t *properties,
                 const struct producer_metrics *metrics);

/* The letter is of no row of the outbox: there is nothing to apply. */
bool deaths_is_of_no_row(const struct delivery *delivery);

#endif
