/*
 * publisher.h - web-hooks onto mtc.cycle-times, with confirms
 */
#ifndef MTC_PUBLISHER_H
#define MTC_PUBLISHER_H

#include "suite/service.h"

struct publisher;

/* confirmed: the broker has it. Not confirmed: the connection is lost, and nobody knows. */
typedef void (*publisher_done)(bool confirmed, void *arg);

/* NULL with a message if the broker's address can't be used. */
struct publisher *publisher_new(struct service *service, char *error, size_t error_size);
void publisher_free(struct publisher *publisher); /* those waiting are not called back */

bool publisher_is_ready(const struct publisher *publisher);

/*
 * key becomes the message id. False: the broker takes nothing now (it is not there, or blocks, or
 * too many are waiting); done will not be called.
 */
bool publisher_send(struct publisher *publisher, const char *key, const char *traceparent,
                    const char *text, size_t len, publisher_done done, void *arg);

/* Politely; done is called when it is over. Those waiting for a confirm are not called back. */
void publisher_close(struct publisher *publisher, void (*done)(void *arg), void *arg);

#endif
