/* verdict.c - what an answer means; see verdict.h */
#include "verdict.h"

enum verdict verdict_of(const struct http_result *result, bool repeated)
{
    switch (mtconnect_class_of(result)) {
    case MTCONNECT_TAKEN:
        return VERDICT_DELIVERED;
    case MTCONNECT_REFUSED:
        return VERDICT_REFUSED;
    case MTCONNECT_NEVER:
        return VERDICT_DEAD;
    case MTCONNECT_LATER:
        break;
    }
    return !repeated && mtconnect_died_idle(result) ? VERDICT_REPEAT : VERDICT_RETRY;
}

static bool nobody_was_there(enum http_end end)
{
    switch (end) {
    case HTTP_NO_NAME:
    case HTTP_NO_CONNECTION:
    case HTTP_NO_TLS:
        return true;
    case HTTP_COMPLETE:
    case HTTP_TIMED_OUT:
    case HTTP_BROKEN:
        break;
    }
    return false;
}

enum evidence evidence_of(const struct http_result *result)
{
    if (nobody_was_there(result->end))
        return EVIDENCE_UNREACHABLE;
    switch (mtconnect_class_of(result)) {
    case MTCONNECT_TAKEN:
    case MTCONNECT_NEVER:
        return EVIDENCE_ALIVE;
    case MTCONNECT_REFUSED:
        return EVIDENCE_REFUSED;
    case MTCONNECT_LATER:
        break;
    }
    return result->status == 429 ? EVIDENCE_ALIVE : EVIDENCE_TROUBLE;
}
