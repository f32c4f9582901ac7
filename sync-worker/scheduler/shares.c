/* shares.c - what of scheduler.memory_mib is for what; see shares.h */
#include "shares.h"
#include "answer.h"
#include "confirm.h"

static int64_t at_least_one(int64_t wanted, int64_t most)
{
    int64_t count = wanted < most ? wanted : most;
    return count > 1 ? count : 1;
}

struct shares shares_of(const struct config *config)
{
    int64_t bytes = config->scheduler_memory_mib << 20;
    int64_t answers = bytes / 2 / ANSWER_BODY_MAX, hooks = bytes / 4 / HOOK_MAX;
    struct shares shares;
    shares.confirm_connections = at_least_one(CONFIRM_CONNECTIONS, answers / 4);
    shares.pull_connections = at_least_one(config->scheduler_connections,
                                           answers - shares.confirm_connections);
    shares.prefetch = (uint16_t)at_least_one(config->scheduler_prefetch, hooks);
    return shares;
}
