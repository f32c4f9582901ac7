/* verdict.c - what an answer means; see verdict.h */
#include "verdict.h"

enum verdict verdict_of(const struct http_result *result, bool repeated)
{
    if (mtconnect_class_of(result) == MTCONNECT_TAKEN)
        return VERDICT_DELIVERED;
    return !repeated && mtconnect_died_idle(result) ? VERDICT_REPEAT : VERDICT_FAILED;
}

static enum accused accused_by_silence(enum http_end end)
{
    switch (end) {
    case HTTP_NO_NAME:
    case HTTP_NO_CONNECTION:
    case HTTP_NO_TLS:
        return ACCUSED_DESTINATION;
    case HTTP_COMPLETE:
    case HTTP_TIMED_OUT:
    case HTTP_BROKEN:
        break;
    }
    return ACCUSED_UNCLEAR;
}

enum accused accused_by(const struct http_result *result)
{
    long status = result->status;
    if (status / 100 == 3)
        return ACCUSED_DESTINATION;
    switch (status) {
    case 0:
        return accused_by_silence(result->end);
    case 400:
    case 413:
    case 415:
    case 422:
        return ACCUSED_EVENT;
    case 401:
    case 403:
    case 407:
    case 502:
    case 503:
    case 504:
        return ACCUSED_DESTINATION;
    case 429:
        return ACCUSED_NOBODY;
    default:
        return ACCUSED_UNCLEAR;
    }
}
