/*
 * hook.h - one web-hook that passed the checks, until it is answered
 *
 *   CHECKING_MACHINE   422 if there is no such machine
 *   LEASING            200 duplicate, 503 in progress, 422 other body
 *   PUBLISHING         503 if the broker does not confirm within receiver.answer_within_ms
 *   FINISHING          the key is marked as done in Redis; 202 accepted
 *
 * What is answered 503 may have been published all the same: its sender repeats it, and PostgreSQL
 * applies it once, since both carry the same time of observation. A hook may outlive its answer: it
 * is over when every callback it asked for has come. hooks.c makes them and frees them.
 */
#ifndef MTC_HOOK_H
#define MTC_HOOK_H

#include "hook_checks.h"
#include "machines.h"
#include "base/budget.h"
#include "base/log.h"
#include "base/loop.h"
#include "net/redis_conn.h"
#include "suite/program_metrics.h"
#include "suite/publisher.h"

#include <stdbool.h>
#include <stdint.h>

struct hook_settings { /* all borrowed */
    struct loop *loop;
    struct redis_conn *redis; /* NULL: done without */
    struct publisher *publisher;
    struct machines *machines;
    const struct receiver_metrics *metrics;
    int64_t answer_within_ms;
    struct budget *budget;
    int64_t pending_max; /* web-hooks waiting for the broker; further ones are answered 503 */
    int64_t lease_ms, key_ttl_s;
};

struct hook_shared { /* what all hooks have in common */
    struct hook_settings settings;
    unsigned long long next_token;
    struct log_limit no_redis;
    bool stopping; /* the servers are being freed: what they still call back has no effect */
};

struct hook;

/* What one takes besides its request, until it is over: what was copied, what is on its way to the
 * broker and to Redis, and what will be called back. */
size_t hook_bytes(const struct hook_request *request);

/*
 * The request has passed the checks; its strings are copied. on_over is called once, as the last
 * thing the hook does, perhaps from inside hook_start(); it may free the hook.
 */
struct hook *hook_new(struct hook_shared *shared, struct http_exchange *exchange,
                      const struct hook_request *request, void (*on_over)(void *arg), void *arg);
void hook_start(struct hook *hook);

/* Before the hook is over only when the servers it waits for are gone. */
void hook_free(struct hook *hook);

#endif
