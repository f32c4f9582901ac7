/*
 * shares.h - what of scheduler.memory_mib is for what
 *
 *   a half      answers under way: each may be as large as answer.h takes one
 *   a quarter   web-hooks taken from mtc.cycle-times: each may have HOOK_MAX bytes
 *   the rest    one batch for PostgreSQL, and one answer that is being read
 *
 * Where scheduler.connections or scheduler.prefetch would exceed that, less of them is used; at
 * least one of each always is.
 */
#ifndef MTC_SHARES_H
#define MTC_SHARES_H

#include "suite/config.h"

#include <stdint.h>

/* Bytes: 16 times what mtc-receiver writes. A larger one is nobody's web-hook. */
#define HOOK_MAX 16384

struct shares {
    int64_t pull_connections, confirm_connections; /* requests at once */
    uint16_t prefetch;                             /* messages */
};

struct shares shares_of(const struct config *config);

#endif
