/*
 * partition.h - this sender's consumers, one a partition, each on a channel of its own
 *
 * They are handed back all together, by closing the connection: the broker then takes back what is
 * unacked and gives it to the next consumer in one step, in order. (A consumer that is merely
 * cancelled would let the next one start while we still hold earlier events.) Order needs one thing
 * more, that every sender has the same prefetch: what is returned goes behind what was returned
 * before and is not out again yet, so the next consumer must be able to take all of it at once.
 * Seen on 3.10.8; docs/operations.md says what follows. The generation counts channels; an event of
 * an earlier one is no longer ours to ack.
 */
#ifndef MTC_PARTITION_H
#define MTC_PARTITION_H

#include "net/amqp_chan.h"
#include "suite/topology.h"

struct sender;
struct held;

struct partition {
    struct sender *sender;
    int index;
    char name[TOPOLOGY_NAME_BYTES];
    struct amqp_chan *chan; /* NULL: not consuming */
    uint64_t generation;
    int working; /* events looked up, requested or being settled */
};

/* Opens a channel and consumes. */
void partition_start(struct partition *partition);

/* The connection is gone, and the channel with it. */
void partition_on_conn_down(struct partition *partition);

/* An event of this partition is being worked on, or no longer is; stale ones don't count. */
void partition_begin_work(struct held *held);
void partition_end_work(struct held *held);

/* True while the broker still counts on us for this event. */
bool held_is_ours(const struct held *held);

/* The last step of all: the broker may forget the event. */
void partition_ack(struct held *held);

#endif
