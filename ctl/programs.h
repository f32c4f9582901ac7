/*
 * programs.h - the running programs, as they tell of themselves: through the broker, or by /metrics
 * and /readyz
 */
#ifndef MTC_PROGRAMS_H
#define MTC_PROGRAMS_H

#include "ctl.h"

#include <jansson.h>
#include <stddef.h>

/* The listen address of "producer", "sender", "scheduler" or "receiver"; NULL for any other
 * word. */
const char *program_address(const struct config *config, const char *program);

/* One that listens everywhere is asked on this machine. */
void program_url(const char *address, const char *path, char *out, size_t size);

/*
 * Asks all of them: at ctl.programs, if that is set; else through the broker (which ctl must have
 * connected to; presence.h), and each kind of program of which none answered at its own listen
 * address on this machine. An array of objects: program ("" if it did not answer), worker (if it is
 * known), address (where it serves /metrics), ready (why not, or true), remarks (if it has any) and
 * what matters of its metrics. Caller frees.
 */
json_t *programs_ask(struct ctl *ctl);

/* A text a program has told; "?" if it did not. */
const char *program_text(const json_t *told, const char *name);

/*
 * Gives an order (presence.h) to all, by the broker, which ctl must have connected to. An array of
 * objects, one a program that has carried it out or says why not: worker, did. NULL: it could not
 * be given, ctl->error says why. Caller frees.
 */
json_t *programs_order(struct ctl *ctl, const char *order);

#endif
