/*
 * programs.h - the running programs, as their /metrics and /readyz tell of them
 */
#ifndef MTC_PROGRAMS_H
#define MTC_PROGRAMS_H

#include "suite/config.h"

#include <jansson.h>
#include <stddef.h>

/* The listen address of "producer", "sender", "scheduler" or "receiver"; NULL for any other
 * word. */
const char *program_address(const struct config *config, const char *program);

/* One that listens everywhere is asked on this machine. */
void program_url(const char *address, const char *path, char *out, size_t size);

/*
 * Asks all of them (ctl.programs, or each program's own address). An array of objects: address,
 * program ("" if it did not answer), ready (why not, or true), and what matters of its metrics.
 * Caller frees.
 */
json_t *programs_ask(const struct config *config);

#endif
