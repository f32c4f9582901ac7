/*
 * marker.h - what this sender answers to the reconciler's markers
 *
 * A marker comes out of a partition behind all events that were published before it. The answer
 * says which of the partition's events are in this sender's hands at that moment, those whose
 * outcome is told and not yet confirmed among them (suite/marker.h). The marker is acked when the
 * answer is confirmed.
 *
 * Called by sender.c.
 */
#ifndef MTC_SENDER_MARKER_H
#define MTC_SENDER_MARKER_H

#include "held.h"
#include "suite/marker.h"
#include "suite/publisher.h"

/* held: the marker itself, counted as worked on; it is taken over. */
void marker_told(struct publisher *publisher, struct held *held, const struct marker *marker);

#endif
