/*
 * receiver.h - mtc-receiver: web-hooks from MTConnect onto the broker
 *
 *   receiver      the wiring: start, ready, drain, reload, stop
 *   hooks         all web-hooks: taken, refused, or under way
 *   hook          one that passed the checks: machine, key, broker, answer
 *   hook_checks   what must be right before anything happens: route, signature, type, key, body
 *   hook_body     the body: as it comes, and as it goes on to mtc.cycle-times
 *   hook_answer   what it is answered with, counted and timed
 *   signature     HMAC over time and body; secrets: from their files
 *   problem       errors as application/problem+json
 *   key_state     idempotency keys in Redis
 *   machines      which machines there are
 *   registration  tells MTConnect where its web-hooks go
 *
 * These are the callbacks of service_description; see suite/service.h.
 */
#ifndef MTC_RECEIVER_H
#define MTC_RECEIVER_H

#include "suite/service.h"

void *receiver_start(struct service *service);
bool receiver_ready(const void *state, const char **why);
void receiver_drain(void *state);
void receiver_reload(void *state);
void receiver_stop(void *state);

#endif
