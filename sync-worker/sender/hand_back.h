/*
 * hand_back.h - everything held goes back to the broker, to begin anew or to end
 *
 *   serving --begin--> handing back --idle--> connection restarted --> serving
 *      |                    |
 *      '-----drain----------'--> draining --idle, or out of time--> closing --> drained
 *
 * Handing back, nothing new is started; what is under way is finished and acked. Then, in one step,
 * the connection is closed, and the broker gives all the rest to the next consumer, in order
 * (partition.h says why not otherwise).
 *
 * It begins by itself when an event has been held for long: the broker closes the channel of a
 * consumer that holds a delivery for 30 minutes (consumer_timeout). What nears that goes back
 * first, and is delivered again at once, with the clock started anew. A drain (SIGTERM) ends the
 * program.
 *
 * It begins as well when nothing has been read for long, the allowance being spent (allowance.h):
 * RabbitMQ resets a connection to which it could not write for 30 s (ranch's send_timeout). That
 * would come in the midst of requests.
 */
#ifndef MTC_HAND_BACK_H
#define MTC_HAND_BACK_H

#include "allowance.h"
#include "lane.h"
#include "partition.h"
#include "base/loop.h"
#include "net/amqp_conn.h"

#include <stdbool.h>
#include <stdint.h>

struct hand_back;

struct hand_back_settings { /* borrowed */
    struct loop *loop;
    struct amqp_conn *consuming;  /* which is closed, ... */
    struct amqp_conn *publishing; /* ... at the end this one as well */
    const struct allowance *allowance;
    const struct partitions *partitions; /* whose work is to be finished */
    int64_t drain_ms;                    /* for how long a drain waits for that */
    const struct lanes *lanes;           /* where events are held, ... */
    int64_t hold_max_ms;                 /* ... and for how long they may be */
};

struct hand_back_events {
    void (*on_begun)(void *arg);       /* what waits for company should go now */
    void (*on_out_of_time)(void *arg); /* draining: what is under way is given up */
    void (*on_drained)(void *arg);     /* the connections are closed */
};

struct hand_back *hand_back_new(const struct hand_back_settings *settings,
                                const struct hand_back_events *events, void *arg);
void hand_back_free(struct hand_back *hand_back); /* NULL is fine */

/* Hands back, unless that is under way. */
void hand_back_begin(struct hand_back *hand_back, const char *why);

/* Hands back, then ends. */
void hand_back_drain(struct hand_back *hand_back);

/* Work on an event has been finished; the consuming connection is lost: was it all? */
void hand_back_on_work_done(struct hand_back *hand_back);
void hand_back_on_conn_down(struct hand_back *hand_back);

/* Each implies the one before: nothing new is started; nothing is repeated; all is over. */
bool hand_back_is_begun(const struct hand_back *hand_back);
bool hand_back_is_draining(const struct hand_back *hand_back);
bool hand_back_is_closing(const struct hand_back *hand_back);

#endif
