/*
 * let_go.h - an operator's order to whichever sender holds an event: it is dead, its machine goes
 * on
 */
#ifndef MTC_LET_GO_H
#define MTC_LET_GO_H

#include "ctl.h"

/*
 * by: "event", an event id: it must be the first in line of its machine; or "machine", a name: it
 * must have stopped (sender.on_dead). Prints what was done; the exit status.
 */
int let_go(const struct config *config, bool json, const char *by, const char *name);

#endif
