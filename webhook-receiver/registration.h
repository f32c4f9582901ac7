/*
 * registration.h - tells MTConnect where its web-hooks go: POST /api/v1/webhooks
 *
 * Tried again with growing pauses until MTConnect has answered 2xx or 409, and repeated every
 * receiver.register_every_s, should MTConnect have lost it.
 */
#ifndef MTC_REGISTRATION_H
#define MTC_REGISTRATION_H

#include "suite/service.h"

struct registration;

/* NULL with a message if the API key can't be read. */
struct registration *registration_new(struct service *service, char *error, size_t error_size);
void registration_free(struct registration *registration);
bool registration_is_done(const struct registration *registration);
void registration_reload(struct registration *registration); /* reads the API key again */

#endif
