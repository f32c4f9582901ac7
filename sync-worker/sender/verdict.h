/*
 * verdict.h - what an answer means for the event, and whom it accuses
 *
 *   2xx, 409                       delivered; 409: this key was applied before
 *   400, 413, 415, 422             failed; accuses the event
 *   401, 403, 407, 3xx, 502-504,   failed; accuses the destination
 *   no name, no connection (or
 *   none in time), no TLS
 *   429                            failed; accuses nobody: too much at once
 *   any other status, a timeout    failed; unclear
 *   past connecting, a broken
 *   answer
 *   a reused connection that died  repeat, at once and uncounted, on a new connection
 *   before a byte came
 *
 * An accusation is no conviction: blame.h says what counts. A status that a proxy may have given
 * (404 of a default backend, 502) says nothing of the event.
 */
#ifndef MTC_VERDICT_H
#define MTC_VERDICT_H

#include "suite/mtconnect.h"

enum verdict { VERDICT_DELIVERED, VERDICT_FAILED, VERDICT_REPEAT };

enum accused { ACCUSED_NOBODY, ACCUSED_DESTINATION, ACCUSED_EVENT, ACCUSED_UNCLEAR };

/* `repeated`: this attempt already was an uncounted repeat. */
enum verdict verdict_of(const struct http_result *result, bool repeated);

/* Whom a failure accuses. */
enum accused accused_by(const struct http_result *result);

#endif
