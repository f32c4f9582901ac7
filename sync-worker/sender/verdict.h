/*
 * verdict.h - what an answer means for the event, and for the destination
 *
 *   2xx                  delivered
 *   409                  delivered: this key was applied before
 *   401, 403, 3xx, 407   refused, the destination's fault: the event waits, nothing counts
 *   408, 425, 429, 5xx   retry
 *   no answer            retry; or repeat, at once and uncounted, if a reused connection died under
 *                        the request
 *   anything else        dead: the same request will never be taken
 *
 * The classes of status are those of suite/mtconnect.h; here stands what the sender makes of them.
 */
#ifndef MTC_VERDICT_H
#define MTC_VERDICT_H

#include "suite/mtconnect.h"

enum verdict { VERDICT_DELIVERED, VERDICT_RETRY, VERDICT_REPEAT, VERDICT_DEAD, VERDICT_REFUSED };

/* What the answer says about the destination; see breaker.h. */
enum evidence {
    EVIDENCE_ALIVE,       /* it did its work, whatever it thought of the event */
    EVIDENCE_TROUBLE,     /* it, or this event, is in trouble */
    EVIDENCE_UNREACHABLE, /* nobody was there */
    EVIDENCE_REFUSED,     /* it does not want us */
};

/* `repeated`: this attempt already was an uncounted repeat. */
enum verdict verdict_of(const struct http_result *result, bool repeated);
enum evidence evidence_of(const struct http_result *result);

#endif
