/*
 * reply.h - what MTConnect's reply to "what is this machine's cycle time?" means for the pull
 *
 * mtconnect.h knows what a status means whatever was asked; here is what it means to this question,
 * where nothing but a 200 or a 304 is an answer, and a 404 says that the machine has another name
 * there. What a 200 says is read by answer.h.
 */
#ifndef MTC_REPLY_H
#define MTC_REPLY_H

#include "net/http_client.h"

#include <stdbool.h>
#include <stddef.h>

enum reply {
    REPLY_ANSWER,    /* a whole 200: its body is to be read */
    REPLY_UNCHANGED, /* 304: as the last time */
    REPLY_DIED_IDLE, /* no reply at all, and no attempt: to be asked again at once */
    REPLY_LATER,     /* it may answer if it is asked again after a pause */
    REPLY_NEVER,     /* it will not answer, whatever the others do */
    REPLY_BREACH,    /* neither; that is outside the contract, and asking again would not mend it */
    REPLY_REFUSED,   /* MTConnect does not want us: the others would hear the same */
};

/* has_etag: the last answer is known. repeated: its one repeat has been used up. */
enum reply reply_of(const struct http_result *result, bool has_etag, bool repeated);

/* Why there is no answer, for the log and for mtc.cycle_run. */
void reply_describe(enum reply reply, const struct http_result *result, char *out, size_t size);

#endif
