/* verdict.c - what an answer means; see verdict.h */
#include "verdict.h"

static enum verdict verdict_of_silence(const struct http_result *result, bool repeated)
{
    /* The server closes idle connections; one that died before a byte came back says nothing about
     * the event, and the key makes the repeat safe (RFC 9110, section 9.2.2). A timeout is another
     * matter. */
    if (!repeated && result->reused && result->nothing_read && result->end != HTTP_TIMED_OUT)
        return VERDICT_REPEAT;
    return VERDICT_RETRY;
}

enum verdict verdict_of(const struct http_result *result, bool repeated)
{
    long status = result->status;
    if (status < 200)
        return verdict_of_silence(result, repeated);
    if (status <= 299 || status == 409)
        return VERDICT_DELIVERED;
    if (status <= 399 || status == 401 || status == 403 || status == 407)
        return VERDICT_REFUSED;
    if (status == 408 || status == 425 || status == 429 || status >= 500)
        return VERDICT_RETRY;
    return VERDICT_DEAD;
}

enum evidence evidence_of(const struct http_result *result)
{
    switch (result->end) {
    case HTTP_NO_NAME:
    case HTTP_NO_CONNECTION:
    case HTTP_NO_TLS:
        return EVIDENCE_UNREACHABLE;
    default:
        break;
    }
    switch (verdict_of(result, true)) {
    case VERDICT_DELIVERED:
    case VERDICT_DEAD:
        return EVIDENCE_ALIVE;
    case VERDICT_REFUSED:
        return EVIDENCE_REFUSED;
    default:
        return result->status == 429 ? EVIDENCE_ALIVE : EVIDENCE_TROUBLE;
    }
}
