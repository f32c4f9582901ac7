/* marker.c - what this sender answers to the reconciler's markers; see marker.h */
#include "marker.h"
#include "partition.h"
#include "suite/topology.h"

#include <stdlib.h>

/*
 * Responsibility for the marker ends here: the answer is in mtc.outcomes. If we died one line
 * earlier, another sender would answer it again, for what it holds then.
 */
static void on_confirmed(bool confirmed, void *arg)
{
    struct held *held = arg;
    if (confirmed)
        partition_ack(held);
    else
        partition_end_work(held);
    held_free(held);
}

void marker_told(struct publisher *publisher, struct held *held, const struct marker *marker)
{
    size_t count, len;
    if (!publisher_is_ready(
            publisher)) { /* the connection is about to go, and the marker with it */
        partition_end_work(held);
        held_free(held);
        return;
    }
    int64_t *rows = partition_rows(held->partition, &count);
    char *body = marker_answer(marker, rows, count, &len);
    struct envelope_properties message; /* so small that it fits into every frame */
    marker_write_answer(&message);
    publisher_send(publisher, "", TOPOLOGY_OUTCOMES, &message.properties, body, len, on_confirmed,
                   held);
    free(body);
    free(rows);
}
