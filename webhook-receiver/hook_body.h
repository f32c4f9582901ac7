/*
 * hook_body.h - the body of a web-hook: as it comes, and as it goes on to the broker
 *
 * It comes as the contract has it (contract/webhook.yaml):
 *
 *   {"machine_id": 12 or "SR-26", "cycle_time": 298.2, "observed_at": "2025-12-28T12:12:33Z"}
 *
 * observed_at may be missing; nothing else may be there. What is no JSON is 400, what breaks the
 * contract is 422 and names the field.
 *
 * It goes to mtc.cycle-times, where the scheduler takes it, as
 *
 *   {"machine": 12 or "SR-26", "cycle_time": 298.200,
 *    "observed_at": "2025-12-28T12:12:33.000000Z", "dated": true,
 *    "arrived_at": "2025-12-28T12:12:34.567890Z", "source": "webhook"}
 *
 * on one line and without spaces. arrived_at is our time, when the key came first; observed_at is
 * MTConnect's if it told one (dated), else ours again; the two clocks are never compared. The
 * machine is a number unless PostgreSQL could not say which it is; the scheduler then asks.
 */
#ifndef MTC_HOOK_BODY_H
#define MTC_HOOK_BODY_H

#include "problem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MACHINE_NAME_MAX 200  /* bytes */
#define HOOK_BODY_TEXT   1024 /* enough for what hook_body_write() makes */

struct hook_body {
    int machine_id; /* 0: machine says it by name */
    char machine[MACHINE_NAME_MAX + 1];
    double cycle_time_s;
    int64_t observed_us; /* 0: not told */
};

struct hook_rules {
    int64_t now_us; /* UTC */
    int64_t future_max_s, cycle_time_max_s;
};

/* False with the answer in *problem. */
bool hook_body_read(const char *body, size_t len, const struct hook_rules *rules,
                    struct hook_body *out, struct problem *problem);

/* Returns the length. */
size_t hook_body_write(const struct hook_body *body, int64_t arrived_us, char out[HOOK_BODY_TEXT]);

#endif
