/*
 * marker.h - a message that goes through a partition, and what the sender answers when it comes out
 *
 * A queue can't be searched. So the active relay sends a marker through each partition from time to
 * time (producer/reconcile.h). The sender that consumes it answers to mtc.outcomes which rows of
 * the outbox it holds of that partition. Whatever was ahead of the marker is then either among
 * these, or its outcome was confirmed into mtc.outcomes before the answer, or it is lost.
 *
 *   marker  headers: kind "marker"; number: of its round; at_us: when that began, by the database's
 *           clock; partition, partitions: which of how many. No body.
 *   answer  header kind "answer"; the body is an array of one, [{"marker": {"number", "at_us",
 *           "partition", "partitions", "held": [row, ...]}}]: a producer that does not know it
 *           finds no outcome in it
 *
 * A sender of before there were markers takes one for an event without an envelope: a dead letter.
 */
#ifndef MTC_MARKER_H
#define MTC_MARKER_H

#include "suite/envelope.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct marker {
    int64_t number, at_us, partition, partitions;
};

void marker_write(const struct marker *marker, struct envelope_properties *out);

/* False: it is none. */
bool marker_read(const amqp_basic_properties_t *properties, struct marker *out);

/* The body of the answer. The caller frees it. */
char *marker_answer(const struct marker *marker, const int64_t *held, size_t count, size_t *len);

void marker_write_answer(struct envelope_properties *out);
bool marker_is_answer(const amqp_basic_properties_t *properties);

/* False: it is none. held: the rows as a PostgreSQL array, "{1,2}"; the caller frees it. */
bool marker_read_answer(const char *body, size_t len, struct marker *out, char **held);

#endif
