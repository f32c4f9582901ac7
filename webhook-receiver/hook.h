/*
 * hook.h - one web-hook, from its arrival to its answer
 *
 *   signature, headers, body    400, 401, 404, 405, 413, 415, 422: refused, nothing has happened
 *   machine                     422 if there is none such
 *   lease of the key            200 duplicate, 409 in progress, 422 other body
 *   publish, confirm            503 if the broker does not confirm within receiver.answer_within_ms
 *   key done                    202 accepted
 *
 * What is answered 503 may have been published all the same: its sender repeats it, and PostgreSQL
 * applies it once, since both carry the same time of observation.
 */
#ifndef MTC_HOOK_H
#define MTC_HOOK_H

#include "receiver.h"

#define HOOK_PATH "/api/hooks/cycle-time"

/* For http_server_new(); arg is the struct receiver. */
void hook_on_request(struct http_exchange *exchange, void *arg);

/* Forgets all that are under way; the servers they wait for must be gone. */
void hook_free_all(struct receiver *receiver);

#endif
