/*
 * import.h - newline-delimited JSON events through mtc.emit
 *
 * A line is an object: kind, machine, type (text) and payload (object) are wanted; event_id (UUID),
 * occurred_at (RFC 3339) and traceparent (text) may be there; nothing else may. Bad lines are
 * reported by number on standard error.
 */
#ifndef MTC_IMPORT_H
#define MTC_IMPORT_H

#include "suite/config.h"

#include <stdbool.h>

/*
 * Reads `path` ("-": standard input). Strict: all lines or none. Returns the exit status: 0 if
 * every line went in, 1 if some (or, strict, any) did not, or nothing could be done at all.
 */
int import_run(const struct config *config, const char *path, bool strict);

#endif
