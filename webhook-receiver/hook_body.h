/*
 * hook_body.h - the body of a web-hook, held against the contract (contract/webhook.yaml)
 *
 *   {"machine_id": 12 or "SR-26", "cycle_time": 298.2, "observed_at": "2025-12-28T12:12:33Z"}
 *
 * observed_at may be missing; nothing else may be there. What is no JSON is 400, what breaks the
 * contract is 422 and names the field.
 */
#ifndef MTC_HOOK_BODY_H
#define MTC_HOOK_BODY_H

#include "problem.h"

#include <stdbool.h>

#define MACHINE_NAME_MAX 200 /* bytes */

struct hook_body {
    int machine_id; /* 0: machine says it by name */
    char machine[MACHINE_NAME_MAX + 1];
    double cycle_time_s;
    int64_t observed_us; /* 0: not told */
};

struct hook_rules {
    int64_t now_us, future_max_s, cycle_time_max_s;
};

bool hook_body_read(const char *body, size_t len, const struct hook_rules *rules,
                    struct hook_body *out, struct problem *problem);

/* Key of the request: 1 to 128 visible ASCII characters. */
bool hook_key_is_good(const char *key, struct problem *problem);

#endif
