/* reply.c - what MTConnect's reply means for the pull; see reply.h */
#include "reply.h"
#include "suite/mtconnect.h"

#include <stdio.h>
#include <string.h>

enum reply reply_of(const struct http_result *result, bool has_etag, bool repeated)
{
    if (mtconnect_died_idle(result) && !repeated)
        return REPLY_DIED_IDLE;
    if (result->status == 200 && result->end == HTTP_COMPLETE)
        return REPLY_ANSWER;
    if (result->status == 304 && has_etag)
        return REPLY_UNCHANGED;
    if (result->status / 100 == 2)
        return REPLY_BREACH;
    switch (mtconnect_class_of(result)) {
    case MTCONNECT_REFUSED:
        return REPLY_REFUSED;
    case MTCONNECT_LATER:
        return REPLY_LATER;
    case MTCONNECT_TAKEN: /* a 409, which means nothing where there is no key */
    case MTCONNECT_NEVER:
        break;
    }
    return REPLY_NEVER;
}

void reply_describe(enum reply reply, const struct http_result *result, char *out, size_t size)
{
    if (reply == REPLY_BREACH) {
        snprintf(out, size, "%s",
                 result->end == HTTP_COMPLETE ? "breach of contract: not status 200"
                                              : result->error);
        return;
    }
    mtconnect_describe(result, out, size);
    size_t len = strlen(out);
    if (result->status == 404)
        snprintf(out + len, size - len, ": MTConnect does not know it");
}
