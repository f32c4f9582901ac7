/*
 * pause_watch.h - has an operator paused the senders?
 *
 * mtcctl pause binds the exchange mtc.control to the queue of that name, mtcctl resume unbinds it.
 * Every second two messages are sent: a question to the exchange, and behind it a fence straight to
 * a queue of our own. Only while nothing is bound does the question come back, by the exchange's
 * alternate (mtc.unpaused), and then before the fence. So "not paused" is a message that has come,
 * "paused" is a fence without one, and while the broker says nothing, what it said last holds: an
 * unknown is never "not paused". docs/decisions/0031-not-paused-is-a-message.md.
 *
 * A pause holds for all senders, those that start later included, and survives the broker's
 * restart. While it lasts nothing is sent, no attempt counts, and events wait in their lanes and
 * queues.
 */
#ifndef MTC_PAUSE_WATCH_H
#define MTC_PAUSE_WATCH_H

#include "base/loop.h"
#include "suite/publisher.h"

struct pause_watch;

/* worker: who asks, for people who look at queues. on_known is called after each answer. */
struct pause_watch *pause_watch_new(struct loop *loop, const char *worker,
                                    void (*on_known)(bool paused, void *arg), void *arg);
/* After its connection. NULL is fine. */
void pause_watch_free(struct pause_watch *watch);

/* The topology is declared on this connection: asks now, and from now on. */
void pause_watch_start(struct pause_watch *watch, struct amqp_conn *conn);
/* The connection is lost, or about to be closed. */
void pause_watch_on_conn_down(struct pause_watch *watch);

/* Whether it has been said on this connection. */
bool pause_watch_is_known(const struct pause_watch *watch);

#endif
