/*
 * outcome.h - what became of events, as the ledger reads it
 *
 * A batch is a JSON array of {"seq", "id", "outcome": "delivered"|"dead", "at_us", "attempts",
 * "requeues", "status", "reason"}; mtc.apply_outcomes() in sql/functions/ledger.sql takes it as it
 * is.
 */
#ifndef MTC_OUTCOME_H
#define MTC_OUTCOME_H

#include "held.h"

#include <stddef.h>

/* The batch of an event and those chained to it by `next`. Caller frees. */
char *outcome_batch(const struct held *first, size_t *len);

/* A copy in which whatever is no printable UTF-8 text has become '?'. Caller frees. */
char *outcome_clean_text(const char *text);

#endif
