/*
 * pause_watch.h - has an operator paused the senders?
 *
 * mtcctl pause puts a message into mtc.control, mtcctl resume takes it out; how many messages the
 * queue holds is looked at every second. So a pause holds for all senders, those that start later
 * included, and survives the broker's restart. While it lasts nothing is sent, no attempt counts,
 * and events wait in their lanes and queues.
 */
#ifndef MTC_PAUSE_WATCH_H
#define MTC_PAUSE_WATCH_H

#include "base/loop.h"
#include "suite/publisher.h"

struct pause_watch;

/* Asks on the publisher's channel; on_known is called after each look, whatever it has found. */
struct pause_watch *pause_watch_new(struct loop *loop, struct publisher *publisher,
                                    void (*on_known)(bool paused, void *arg), void *arg);
void pause_watch_free(struct pause_watch *watch); /* NULL is fine */

/* Looks now, besides: the publisher has just become ready. */
void pause_watch_look(struct pause_watch *watch);

#endif
