/* rounds.c - a round of the reconciler's markers, asked for by a person; see rounds.h */
#include "rounds.h"
#include "base/clock.h"
#include "suite/topology.h"

#include <stdlib.h>

#define LOOK_MS  250
#define LIMIT_MS 8000 /* for all of it: a relay that is busy, a sender with much in hand */

enum { COL_ROUND, COL_PARTITION, COL_SENT, COL_ANSWERED, COL_UNANSWERED };

static long long cell(const PGresult *result, int row, int column)
{
    return strtoll(PQgetvalue(result, row, column), NULL, 10);
}

/* A marker comes out where somebody consumes. */
static bool is_consumed(struct ctl *ctl, int partition, bool *consumed)
{
    char name[TOPOLOGY_NAME_BYTES];
    struct amqp_plain_count count;
    if (!ctl_broker(ctl) ||
        !ctl_broker_did(
            ctl, amqp_plain_count(ctl->broker, topology_partition_name(partition, name), &count)))
        return false;
    *consumed = count.consumers > 0;
    return true;
}

/* hope: more may be known soon. */
static bool look(struct ctl *ctl, long long after, struct rounds *rounds, bool *hope)
{
    PGresult *result = ctl_query(ctl, "SELECT * FROM mtc.markers()", 0, NULL);
    if (!result)
        return false;
    *rounds = (struct rounds){.partitions = 0};
    *hope = cell(result, 0, COL_ROUND) <= after;
    bool ok = true;
    for (int row = 0; ok && row < PQntuples(result); row++) {
        if (PQgetisnull(result, row, COL_PARTITION))
            continue;
        rounds->partitions++;
        rounds->on_their_way += cell(result, row, COL_UNANSWERED);
        if (cell(result, row, COL_ANSWERED) > after)
            continue;
        bool consumed = false;
        ok = is_consumed(ctl, (int)cell(result, row, COL_PARTITION), &consumed);
        *hope = *hope || consumed;
        rounds->open++;
    }
    PQclear(result);
    return ok;
}

bool rounds_run(struct ctl *ctl, struct rounds *rounds)
{
    PGresult *result = ctl_query(ctl, "SELECT mtc.ask_round()", 0, NULL);
    if (!result)
        return false;
    bool is_begun = !PQgetisnull(result, 0, 0);
    long long after = is_begun ? cell(result, 0, 0) : INT64_MAX;
    bool ok, hope;
    PQclear(result);
    for (int64_t waited = 0;; waited += LOOK_MS) {
        ok = look(ctl, after, rounds, &hope);
        if (!ok || !is_begun || !hope || waited >= LIMIT_MS)
            return ok;
        clock_sleep_ms(LOOK_MS);
    }
}

PGresult *rounds_missing(struct ctl *ctl)
{
    return ctl_query(ctl, "SELECT event_id FROM mtc.missing()", 0, NULL);
}
