/*
 * hook_checks.h - what must be right of a request before anything happens
 *
 *   route      404  not the path of the web-hook, or web-hooks are off
 *   method     405  not POST
 *   signature  401  see signature.h
 *   type       415  not application/json
 *   key        400  X-Idempotency-Key is not 1 to 128 visible ASCII characters
 *   body       400  no JSON; 422 breaks the contract: see hook_body.h
 *
 * In this order; the first that fails is the answer. (A body that is too large is answered 413 by
 * http_server.) The checks keep no state and ask nobody, so a refused request has had no effect.
 */
#ifndef MTC_HOOK_CHECKS_H
#define MTC_HOOK_CHECKS_H

#include "hook_body.h"
#include "problem.h"
#include "signature.h"
#include "net/http_server.h"

#include <stdbool.h>
#include <stdint.h>

#define HOOK_PATH       "/api/hooks/cycle-time"
#define HOOK_KEY_HEADER "X-Idempotency-Key"

struct hook_policy {
    bool use_webhook, require_signature;
    const struct signature_secret *secrets; /* SIGNATURE_SECRETS of them; borrowed */
    int64_t tolerance_s;                    /* how far the sender's clock may be off */
    int64_t cycle_time_max_s;
};

struct hook_request { /* strings are borrowed from the exchange */
    const char *key;
    const char *traceparent; /* W3C Trace Context; NULL: none, or none that is well-formed */
    struct hook_body body;
};

/* False with the answer in *problem. */
bool hook_checks_pass(const struct hook_policy *policy, const struct http_exchange *exchange,
                      struct hook_request *out, struct problem *problem);

/* The check of the key alone; NULL is a key that is missing. */
bool hook_key_is_good(const char *key, struct problem *problem);

#endif
