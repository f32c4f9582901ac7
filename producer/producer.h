/*
 * producer.h - the wiring: one connection to the broker shared by the relay and the ledger
 *
 *   outbox   -> relay  -> publisher -> mtc.events
 *   the same <- ledger <- consumer  <- mtc.outcomes
 *
 * Called by main.c through suite/service.h.
 */
#ifndef MTC_PRODUCER_H
#define MTC_PRODUCER_H

#include "suite/service.h"

/* The callbacks of service_description; see service.h. */
void *producer_start(struct service *service);
bool producer_ready(const void *state, const char **why);
void producer_drain(void *state);
void producer_stop(void *state);

#endif
