/*
 * allowance.h - how many bytes the sender may hold
 *
 * RabbitMQ counts a consumer's window in messages, and windows must be equal (partition.h). Bytes
 * are bounded by not reading: when what is held reaches the bound, the consuming connection is read
 * no more, until less than three quarters of it are left. TCP makes the broker wait; acks go on.
 *
 * Counted are the events, from when they have come until they are let go of (their bodies, what is
 * noted of each, and what the allocator adds), and what waits to be written to the connection that
 * publishes. What comes in is stopped behind the event that reaches the bound, so the sum is
 * exceeded by one event at most. Where nothing is held, the connection is read in any case: so an
 * event larger than the bound is taken in, alone.
 */
#ifndef MTC_ALLOWANCE_H
#define MTC_ALLOWANCE_H

#include "net/amqp_conn.h"
#include "suite/program_metrics.h"
#include "suite/publisher.h"

struct allowance;

struct allowance_settings { /* all borrowed */
    struct loop *loop;
    size_t bytes;
    struct amqp_conn *consuming; /* up or down, it makes no difference */
    const struct publisher *publisher;
    const struct sender_metrics *metrics;
    int64_t patience_ms;
};

/* on_spent: nothing has been read for patience_ms, nor will be until something is let go of. */
struct allowance *allowance_new(const struct allowance_settings *settings,
                                void (*on_spent)(void *arg), void *arg);
/* The connections are about to be freed: from now on it counts, and does nothing. NULL is fine. */
void allowance_close(struct allowance *allowance);
/* After the events. NULL is fine. */
void allowance_free(struct allowance *allowance);

/* An event of so many bytes has come in, or is gone. */
void allowance_take(struct allowance *allowance, size_t bytes);
void allowance_give(struct allowance *allowance, size_t bytes);
/* An event is so much smaller now. */
void allowance_shrink(struct allowance *allowance, size_t bytes);

/* A new connection begins by reading: not while what the last one brought is too much still. */
void allowance_on_conn_up(struct allowance *allowance);

/* What is held, and for how long nothing has been read for it: -1 while reading goes on. */
size_t allowance_bytes(const struct allowance *allowance);
int64_t allowance_spent_s(const struct allowance *allowance);

#endif
