/* outbox_row.c - a row of mtc.relay_step() as a message; see outbox_row.h */
#include "outbox_row.h"
#include "suite/envelope.h"
#include "base/log.h"
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
    COL_AGAIN
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

/* For a row written past mtc.emit(), which bounds every part: what is certain to fit. */
static uint64_t publish_bare(struct amqp_chan *chan, const struct envelope *envelope)
{
    struct envelope bare = {
        .event_id = envelope->event_id, .seq = envelope->seq, .created_us = envelope->created_us};
    struct envelope_properties message;
    log_error("event does not fit into a message; it goes to the dead letters without its headers",
              LF_S("event", envelope->event_id));
    envelope_write(&bare, &message);
    envelope_add_text(&message, "reason",
                      "its headers do not fit into a message; see the outbox row");
    return amqp_chan_publish(chan, TOPOLOGY_DEAD, amqp_text(""), &message.properties, "", 0);
}

uint64_t outbox_row_publish(const PGresult *rows, int row, struct amqp_chan *chan, bool repeat,
                            bool *unformed)
{
    struct envelope envelope = {
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
        .again = text(rows, row, COL_AGAIN) && *text(rows, row, COL_AGAIN) == 't',
    };
    const char *problem = text(rows, row, COL_ERROR);
    struct envelope_properties message;
    envelope_write(&envelope, &message);
    *unformed = problem != NULL;
    if (problem) {
        envelope_add_text(&message, "reason", problem);
        envelope_add_int(&message, "attempts", 0);
        log_error("event could not be formed; it goes to the dead letters",
                  LF_S("event", envelope.event_id), LF_S("machine", envelope.machine),
                  LF_S("reason", problem));
    }
    uint64_t tag = amqp_chan_publish(chan, problem ? TOPOLOGY_DEAD : TOPOLOGY_EVENTS,
                                     amqp_text(envelope.machine ? envelope.machine : ""),
                                     &message.properties, PQgetvalue(rows, row, COL_BODY),
                                     (size_t)PQgetlength(rows, row, COL_BODY));
    if (tag == 0)
        return publish_bare(chan, &envelope);
    log_debug("published", LF_S("event", envelope.event_id), LF_S("machine", envelope.machine));
    return tag;
}
