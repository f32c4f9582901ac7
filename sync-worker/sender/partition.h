/*
 * partition.h - this sender's consumers, one a partition, each on a channel of its own
 *
 * A channel of its own means a partition can be handed back by closing it: the broker then takes back
 * everything unacked, in order, in one step. The generation counts channels; an event of an earlier one is no
 * longer ours to ack.
 */
#ifndef MTC_PARTITION_H
#define MTC_PARTITION_H

#include "amqp_chan.h"
#include "topology.h"

struct sender;
struct held;

struct partition {
    struct sender *sender;
    int index;
    char name[TOPOLOGY_NAME_BYTES];
    struct amqp_chan *chan; /* NULL: not consuming */
    uint64_t generation;
    bool handing_back; /* nothing new is started; the channel closes when nothing is under way */
    int working;       /* events looked up, requested or being settled */
};

/* Opens a channel and consumes. */
void partition_start(struct partition *partition);

/* Finishes what is under way, then closes the channel; sender_on_handed_back() follows. */
void partition_hand_back(struct partition *partition);

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
