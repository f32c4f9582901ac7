/*
 * pause.h - are the senders paused?
 *
 * For mtcctl pause, resume, status and doctor. While they are paused the exchange mtc.control is
 * bound to the queue of that name; sync-worker/sender/pause_watch.h says how senders read that.
 */
#ifndef MTC_PAUSE_H
#define MTC_PAUSE_H

#include "ctl.h"

/*
 * Asks the broker, by a message: not while it blocks publishers. False: ctl->error says why it is
 * not known.
 */
bool pause_is_set(struct ctl *ctl, bool *paused);

#endif
