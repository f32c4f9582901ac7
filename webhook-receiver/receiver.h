/*
 * receiver.h - web-hooks from MTConnect onto the broker
 *
 *   receiver.c      listening, start, drain, secrets
 *   hook.c          one web-hook, from its arrival to its answer
 *   hook_body.c, signature.c, problem.c   what it must be, and how it is told that it is not
 *   key_state.c     idempotency keys in Redis
 *   machines.c      which machines there are
 *   publisher.c     confirmed publishing
 *   registration.c  POST /api/v1/webhooks
 */
#ifndef MTC_RECEIVER_H
#define MTC_RECEIVER_H

#include "net/http_server.h"
#include "base/log.h"
#include "machines.h"
#include "publisher.h"
#include "net/redis_conn.h"
#include "registration.h"
#include "suite/service.h"
#include "signature.h"

struct receiver_metrics {
    struct metric *accepted, *duplicate, *held, *other, *refused, *unsigned_, *unavailable;
    struct metric *unchecked_key, *unchecked_machine, *seconds, *under_way;
};

struct receiver {
    struct service *service;
    struct http_server *server;
    struct redis_conn *redis; /* NULL: done without */
    struct publisher *publisher;
    struct machines *machines;
    struct registration *registration; /* NULL: nothing to register */
    struct signature_secret secrets[SIGNATURE_SECRETS];
    struct log_limit no_redis, refusals;
    unsigned long long next_token;
    struct hook *hooks; /* not answered, or waiting for a callback */
    int under_way;      /* how many */
    bool draining, stopping;
    struct receiver_metrics metrics;
};

/* The last hook under way is gone; a drain may wait for that. */
void receiver_on_idle(struct receiver *receiver);

/* The callbacks of service_description; see service.h. */
void *receiver_start(struct service *service);
bool receiver_ready(const void *state, const char **why);
void receiver_drain(void *state);
void receiver_reload(void *state);
void receiver_stop(void *state);

#endif
