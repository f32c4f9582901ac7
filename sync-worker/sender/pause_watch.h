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

struct sender;
struct pause;

struct pause *pause_new(struct sender *sender);
void pause_free(struct pause *pause);

/* Looks now, besides: the publishing channel has just been opened. */
void pause_look(struct pause *pause);

#endif
