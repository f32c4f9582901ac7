/*
 * hook_answer.h - what a web-hook that passed the checks is answered with
 *
 *   accepted       202  the broker has it
 *   duplicate      200  the same body was taken with this key before
 *   held           503  a request with this key is being processed; Retry-After says for how long
 *   other body     422  this key came with another body before
 *   no machine     422  there is none of this number or name
 *   unavailable    503  the broker does not confirm, or the key could not be checked, in time
 *
 * Each is counted under its metric, and the time since the request was whole is observed. To be
 * called once: hook_answer_is_given() tells. An answer need not be given: when the server is freed
 * it closes the exchange.
 */
#ifndef MTC_HOOK_ANSWER_H
#define MTC_HOOK_ANSWER_H

#include "hook_body.h"
#include "net/http_server.h"
#include "suite/program_metrics.h"

#include <stdbool.h>
#include <stdint.h>

struct hook_answer {
    struct http_exchange *exchange; /* NULL: given */
    int64_t begun_us;               /* of the monotonic clock */
    const struct receiver_metrics *metrics;
};

/* An answer to be given, from now on. */
struct hook_answer hook_answer_begin(struct http_exchange *exchange,
                                     const struct receiver_metrics *metrics);
bool hook_answer_is_given(const struct hook_answer *answer);

/* Milliseconds since hook_answer_begin(). */
int64_t hook_answer_waited_ms(const struct hook_answer *answer);

void hook_answer_accepted(struct hook_answer *answer);
void hook_answer_duplicate(struct hook_answer *answer);
void hook_answer_held(struct hook_answer *answer, int64_t held_ms);
void hook_answer_other_body(struct hook_answer *answer);
/* key is for the log, which gets a warning. */
void hook_answer_no_machine(struct hook_answer *answer, const struct hook_body *body,
                            const char *key);
void hook_answer_unavailable(struct hook_answer *answer, const char *why);

#endif
