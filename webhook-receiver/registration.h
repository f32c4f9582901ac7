/*
 * registration.h - tells MTConnect where its web-hooks go: POST /api/v1/webhooks
 *
 * Tried again with growing pauses until MTConnect has answered 2xx or 409, and repeated every
 * receiver.register_every_s, should MTConnect have lost it.
 */
#ifndef MTC_REGISTRATION_H
#define MTC_REGISTRATION_H

#include "suite/program_metrics.h"
#include "suite/service.h"

struct registration;

/* Borrows both for its life. NULL with a message if the API key can't be read. */
struct registration *registration_new(struct service *service,
                                      const struct receiver_metrics *metrics, char *error,
                                      size_t error_size);
void registration_free(struct registration *registration);   /* NULL is fine */
void registration_reload(struct registration *registration); /* reads the API key again */

#endif
