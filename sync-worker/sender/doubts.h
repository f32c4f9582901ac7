/*
 * doubts.h - what operators are told of events that fail, and what they may order
 *
 * The remarks (presence.h) are a JSON object: "waiting", the heads that have failed, the longest
 * first, at most DOUBTS_MAX: "machine", "event", "path", "for_s", "answer" (the last), "counted",
 * "probes", "stopped"; "more", how many others there are; and "memory" (absent: there is enough):
 * "held_bytes", "unread_s" (for how long nothing has been read, or -1), "aside" (events without
 * their bodies), "machine" (which has the most bytes) and "machine_bytes".
 *
 * The order is {"let_go": {"event": ID}} or {"let_go": {"machine": NAME}}: the event, which must be
 * the first in line of its machine, or the one a machine has stopped at (sender.on_dead), is
 * dead.
 */
#ifndef MTC_DOUBTS_H
#define MTC_DOUBTS_H

#include "allowance.h"
#include "judge.h"
#include "lane.h"

#define DOUBTS_MAX 16

/* NULL: nothing fails, and there is memory. Caller frees. */
char *doubts_remarks(const struct lanes *lanes, const struct allowance *allowance);

/* What was done, or why not; NULL: it is not ours. Caller frees. */
char *doubts_order(struct lanes *lanes, struct judge *judge, const char *order);

#endif
