/*
 * partition.h - this sender's consumers, one a partition, each on a channel of its own
 *
 * Here events come in, and here they are acked. They are handed back all together, by closing the
 * connection (hand_back.h): the broker then takes back what is unacked and gives it to the next
 * consumer in one step, in order. (A consumer that is merely cancelled would let the next one start
 * while we still hold earlier events.) Order needs one thing more, that every sender has the same
 * prefetch: what is returned goes behind what was returned before and is not out again yet, so the
 * next consumer must be able to take all of it at once. Seen on 3.10.8; docs/operations.md says
 * what follows.
 *
 * The generation of a partition counts its channels; an event of an earlier one is no longer ours
 * to ack.
 */
#ifndef MTC_PARTITION_H
#define MTC_PARTITION_H

#include "held.h"
#include "net/amqp_chan.h"
#include "suite/marker.h"
#include "suite/program_metrics.h"

struct partition;
struct partitions;

struct partitions_settings { /* all borrowed */
    int count;
    uint16_t prefetch;
    const char *consumer_tag;    /* for management UIs */
    const char *worker_name;     /* see rendezvous.h */
    struct allowance *allowance; /* of what comes in */
    const struct sender_metrics *metrics;
};

struct partitions_events {
    /* An event has come in; it is the callee's. */
    void (*on_event)(struct held *held, void *arg);
    /*
     * A message without a usable envelope has come in, and what is wrong with it. It is the
     * callee's and counts as worked on; its envelope is empty. The properties are valid during the
     * call.
     */
    void (*on_unreadable)(struct held *held, const amqp_basic_properties_t *properties,
                          const char *problem, void *arg);
    /* A marker of the reconciler has come in; it is the callee's and counts as worked on. */
    void (*on_marker)(struct held *held, const struct marker *marker, void *arg);
    /* What came over this channel is no longer ours. */
    void (*on_channel_lost)(const struct partition *partition, void *arg);
    /* One event less is worked on. */
    void (*on_work_done)(void *arg);
};

struct partitions *partitions_new(const struct partitions_settings *settings,
                                  const struct partitions_events *events, void *arg);
/* After the events, which point to their partitions, and the connection. NULL is fine. */
void partitions_free(struct partitions *partitions);

/* Consumes, unless it does so already. */
void partitions_consume(struct partitions *partitions, struct amqp_conn *conn);
bool partitions_are_consuming(const struct partitions *partitions);

/* The connection is gone, and the channels with it. */
void partitions_on_conn_down(struct partitions *partitions);

/* From now on nothing that has come in is ours any more: nothing of it will be acked. */
void partitions_disown(struct partitions *partitions);

/* True when no event is looked up, requested or being settled. */
bool partitions_are_idle(const struct partitions *partitions);

/* True while the broker still counts on us for this event. */
bool partition_owns(const struct held *held);

/* The event is being worked on, or no longer is; those that are not ours don't count. */
void partition_begin_work(struct held *held);
void partition_end_work(struct held *held);

/* The rows of the outbox of all events of this partition that are ours, in any order; the caller
 * frees them. */
int64_t *partition_rows(const struct partition *partition, size_t *count);

/* The last step of all: the broker may forget the event. It ends the work on it. */
void partition_ack(struct held *held);

#endif
