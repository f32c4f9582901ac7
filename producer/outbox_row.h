/*
 * outbox_row.h - a row of mtc.relay_step() as a message
 *
 * Called by transit.c, while the publisher is ready. Row numbers are those of the result.
 */
#ifndef MTC_OUTBOX_ROW_H
#define MTC_OUTBOX_ROW_H

#include "suite/publisher.h"

#include <libpq-fe.h>

int64_t outbox_row_id(const PGresult *rows, int row);
int64_t outbox_row_created_us(const PGresult *rows, int row);  /* 0: unknown */
const char *outbox_row_machine(const PGresult *rows, int row); /* "": none */
bool outbox_row_is_unformed(const PGresult *rows, int row);    /* its event is */
bool outbox_row_was_lost(const PGresult *rows, int row);       /* by the broker */
size_t outbox_row_bytes(const PGresult *rows, int row);        /* as mtc.row_bytes() says */

struct outbox_route {
    struct publisher *publisher;
    const char *exchange;
    int partitions;
};

/* That of its machine. */
int outbox_row_partition(const PGresult *rows, int row, const struct outbox_route *route);

/*
 * Publishes the row: through the route's exchange to its machine's partition, or, if the event
 * could not be formed, to mtc.dead with the reason. Returns the publisher's tag.
 */
uint64_t outbox_row_publish(const PGresult *rows, int row, const struct outbox_route *route,
                            bool repeat);

#endif
