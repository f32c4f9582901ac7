/*
 * answers.h - markers that came out of a partition, applied to the ledger
 *
 * The sender's answer says which rows it holds (suite/marker.h). Of the rows noted in
 * mtc.unsettled, those of this partition that were ahead of the marker and are not held have an
 * outcome in mtc.outcomes, or are missing; what a later marker finds missing again is lost, and is
 * published again (mtc.apply_answer() in sql/functions/reconcile.sql).
 *
 * An answer is applied after the outcomes that came before it. It may be forgotten at any time: the
 * next marker brings another. So its message is acked with the others of its batch.
 *
 * Called by ledger.c, on whose session it is.
 */
#ifndef MTC_ANSWERS_H
#define MTC_ANSWERS_H

#include "net/pg_session.h"
#include "suite/config.h"
#include "suite/program_metrics.h"

#include <stdbool.h>
#include <stddef.h>

struct answers;

/* on_done: the session is idle again. All is borrowed. */
struct answers *answers_new(const struct config *config, const struct producer_metrics *metrics,
                            void (*on_done)(void *arg), void *arg);
void answers_free(struct answers *answers); /* NULL is fine */

/* The body of an answer. Outcomes that came before it are applied. */
void answers_add(struct answers *answers, const char *body, size_t len);

/* Sends the next statement, if there is one to send: then true. The session is idle. */
bool answers_run(struct answers *answers, struct pg_session *pg);

/* The session is lost: what was to be applied is forgotten. */
void answers_forget(struct answers *answers);

#endif
