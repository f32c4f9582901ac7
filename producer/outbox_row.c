/* outbox_row.c - a row of mtc.relay_step() as a message; see outbox_row.h */
#include "outbox_row.h"
#include "base/log.h"
#include "suite/dead_letter.h"
#include "suite/envelope.h"
#include "suite/topology.h"

#include <stdlib.h>

enum {
    COL_ID,
    COL_EVENT_ID,
    COL_KIND,
    COL_MACHINE,
    COL_TYPE,
    COL_PATH,
    COL_BODY,
    COL_TRACE,
    COL_ERROR,
    COL_OCCURRED,
    COL_CREATED,
    COL_AGAIN,
    COL_LOST
};

static const char *text(const PGresult *rows, int row, int column)
{
    return PQgetisnull(rows, row, column) ? NULL : PQgetvalue(rows, row, column);
}

static int64_t number(const PGresult *rows, int row, int column)
{
    return PQgetisnull(rows, row, column) ? 0 : strtoll(PQgetvalue(rows, row, column), NULL, 10);
}

int64_t outbox_row_id(const PGresult *rows, int row)
{
    return number(rows, row, COL_ID);
}

int64_t outbox_row_created_us(const PGresult *rows, int row)
{
    return number(rows, row, COL_CREATED);
}

const char *outbox_row_machine(const PGresult *rows, int row)
{
    const char *machine = text(rows, row, COL_MACHINE);
    return machine ? machine : "";
}

bool outbox_row_is_unformed(const PGresult *rows, int row)
{
    return text(rows, row, COL_ERROR) != NULL;
}

bool outbox_row_was_lost(const PGresult *rows, int row)
{
    return *PQgetvalue(rows, row, COL_LOST) == 't';
}

size_t outbox_row_bytes(const PGresult *rows, int row)
{
    return (size_t)PQgetlength(rows, row, COL_BODY) + 1000;
}

int outbox_row_partition(const PGresult *rows, int row, const struct outbox_route *route)
{
    return topology_partition_of(outbox_row_machine(rows, row), route->partitions);
}

static struct envelope envelope_of(const PGresult *rows, int row, bool repeat)
{
    const char *again = text(rows, row, COL_AGAIN);
    return (struct envelope){
        .event_id = text(rows, row, COL_EVENT_ID),
        .machine = text(rows, row, COL_MACHINE),
        .kind = text(rows, row, COL_KIND),
        .type = text(rows, row, COL_TYPE),
        .path = text(rows, row, COL_PATH),
        .traceparent = text(rows, row, COL_TRACE),
        .occurred_s = number(rows, row, COL_OCCURRED),
        .seq = number(rows, row, COL_ID),
        .created_us = number(rows, row, COL_CREATED),
        .repeat = repeat,
        .again = again && *again == 't',
    };
}

static uint64_t publish_unformed(struct publisher *publisher, const struct envelope *envelope,
                                 const char *problem, const char *body, size_t len)
{
    struct dead_letter letter = dead_letter_of(envelope, problem);
    letter.attempts = 0;
    log_error("event could not be formed; it goes to the dead letters",
              LF_S("event", envelope->event_id), LF_S("machine", envelope->machine),
              LF_S("reason", problem));
    return dead_letter_send(publisher, &letter, body, len, NULL, NULL);
}

static uint64_t publish_event(const struct outbox_route *route, const struct envelope *envelope,
                              const char *body, size_t len)
{
    struct envelope_properties message;
    char partition[TOPOLOGY_NAME_BYTES];
    const char *machine = envelope->machine ? envelope->machine : "";
    envelope_write(envelope, &message);
    topology_partition_name(topology_partition_of(machine, route->partitions), partition);
    uint64_t tag = publisher_send(route->publisher, route->exchange, partition, &message.properties,
                                  body, len, NULL, NULL);
    if (tag)
        return tag;
    struct dead_letter letter = dead_letter_of(envelope, NULL);
    return dead_letter_send_bare(route->publisher, &letter, "", 0, NULL, NULL);
}

uint64_t outbox_row_publish(const PGresult *rows, int row, const struct outbox_route *route,
                            bool repeat)
{
    struct envelope envelope = envelope_of(rows, row, repeat);
    const char *problem = text(rows, row, COL_ERROR);
    const char *body = PQgetvalue(rows, row, COL_BODY);
    size_t len = (size_t)PQgetlength(rows, row, COL_BODY);
    uint64_t tag = problem ? publish_unformed(route->publisher, &envelope, problem, body, len)
                           : publish_event(route, &envelope, body, len);
    log_debug("published", LF_S("event", envelope.event_id), LF_S("machine", envelope.machine));
    return tag;
}
