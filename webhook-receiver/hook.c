/*
 * hook.c - one web-hook that passed the checks, until it is answered; see hook.h
 *
 * Diagnostics: without Redis or PostgreSQL web-hooks are taken unchecked, which is a warning once a
 * minute and a metric.
 */
#include "hook.h"
#include "hook_answer.h"
#include "key_state.h"
#include "base/clock.h"
#include "base/timer.h"
#include "base/xalloc.h"
#include "suite/envelope.h"
#include "suite/topology.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRAFFIC_BYTES 1024 /* frames and properties of a message, two commands, their callbacks */
#define MACHINES_MS   40   /* longest wait for a second look at the list of machines */

enum stage { CHECKING_MACHINE, LEASING, PUBLISHING, FINISHING };

struct hook {
    struct hook_shared *shared;
    struct hook_answer answer;
    enum stage stage;
    int callbacks; /* that will still come */
    struct timer *timer;
    char *key, *traceparent;
    struct key_lease lease;
    bool leased;
    struct hook_body body;
    void (*on_over)(void *arg);
    void *arg;
};

/* To be called last by whatever may have answered, or was waited for. */
static void end_if_over(struct hook *hook)
{
    if (!hook_answer_is_given(&hook->answer))
        return;
    timer_cancel(hook->timer);
    if (hook->callbacks == 0)
        hook->on_over(hook->arg);
}

/* --- the key is done, or given back --- */

/* Whatever Redis says: a lease that was not given back ends by itself. */
static void on_released(const redisReply *reply, const struct redis_error *error, void *arg)
{
    (void)reply;
    (void)error;
    struct hook *hook = arg;
    hook->callbacks--;
    if (!hook->shared->stopping)
        end_if_over(hook);
}

/* Nothing was published, as far as we know: the retry need not wait for the end of the lease. */
static void release_lease(struct hook *hook)
{
    if (hook->leased &&
        key_state_release(hook->shared->settings.redis, &hook->lease, on_released, hook))
        hook->callbacks++;
    hook->leased = false;
}

/*
 * Whatever Redis says: a key that is not known as done is published again when it is repeated, and
 * applied once.
 */
static void on_done(const redisReply *reply, const struct redis_error *error, void *arg)
{
    (void)reply;
    (void)error;
    struct hook *hook = arg;
    hook->callbacks--;
    if (hook->shared->stopping)
        return;
    if (!hook_answer_is_given(&hook->answer))
        hook_answer_accepted(&hook->answer);
    end_if_over(hook);
}

/* --- the broker --- */

/* Here responsibility passes to the broker; from here on the sender may be told that it is done. */
static void on_published(bool confirmed, void *arg)
{
    struct hook *hook = arg;
    hook->callbacks--;
    if (confirmed) {
        hook->stage = FINISHING;
        if (key_state_done(hook->shared->settings.redis, &hook->lease, on_done, hook))
            hook->callbacks++;
        else if (!hook_answer_is_given(&hook->answer))
            hook_answer_accepted(&hook->answer);
    } else if (!hook_answer_is_given(&hook->answer)) {
        release_lease(hook);
        hook_answer_unavailable(&hook->answer, "the broker was lost before it confirmed");
    }
    end_if_over(hook);
}

/* False: the broker is not there, or takes nothing, or too many are waiting for it. */
static bool send_to_broker(struct hook *hook)
{
    struct publisher *publisher = hook->shared->settings.publisher;
    if (!publisher_is_ready(publisher) || publisher_is_blocked(publisher) ||
        publisher_waiting(publisher) >= hook->shared->settings.pending_max)
        return false;
    char text[HOOK_BODY_TEXT];
    size_t len = hook_body_write(&hook->body, hook->lease.first_us, text);
    struct envelope envelope = {
        .event_id = hook->key, .kind = "cycle-time", .traceparent = hook->traceparent};
    struct envelope_properties message;
    envelope_write(&envelope, &message);
    return publisher_send(publisher, "", TOPOLOGY_CYCLE_TIMES, &message.properties, text, len,
                          on_published, hook) != 0;
}

static void publish(struct hook *hook)
{
    hook->stage = PUBLISHING;
    if (send_to_broker(hook)) {
        hook->callbacks++;
        return;
    }
    release_lease(hook);
    hook_answer_unavailable(&hook->answer, "the broker takes nothing at the moment");
    end_if_over(hook);
}

/* --- the lease --- */

static void note_no_redis(struct hook_shared *shared)
{
    metric_add(shared->settings.metrics->unchecked_key, 1);
    if (log_limit_ok(&shared->no_redis, 60000))
        log_warn("web-hooks are taken without a check of their keys: Redis can't say",
                 LF_I("more", shared->no_redis.last_suppressed));
}

/* The key is ours, or somebody's. Publishing may be the end of the hook. */
static void go_on_with_key(struct hook *hook, const struct key_verdict *verdict)
{
    switch (verdict->answer) {
    case KEY_UNKNOWN:
        note_no_redis(hook->shared);
        publish(hook);
        return;
    case KEY_LEASED:
        publish(hook);
        return;
    case KEY_DONE:
        hook_answer_duplicate(&hook->answer);
        break;
    case KEY_HELD:
        hook_answer_held(&hook->answer, verdict->held_ms);
        break;
    case KEY_OTHER:
        hook_answer_other_body(&hook->answer);
        break;
    }
    end_if_over(hook);
}

static void on_leased(const redisReply *reply, const struct redis_error *error, void *arg)
{
    (void)error; /* there is no reply then, which is KEY_UNKNOWN */
    struct hook *hook = arg;
    struct key_verdict verdict = key_verdict_of(reply);
    hook->callbacks--;
    if (hook->shared->stopping)
        return;
    if (verdict.answer == KEY_LEASED) {
        hook->leased = true;
        hook->lease.first_us = verdict.first_us;
    }
    if (hook_answer_is_given(&hook->answer)) { /* too late */
        release_lease(hook);
        end_if_over(hook);
        return;
    }
    go_on_with_key(hook, &verdict);
}

static void lease(struct hook *hook)
{
    hook->stage = LEASING;
    if (key_state_lease(hook->shared->settings.redis, &hook->lease, on_leased, hook))
        hook->callbacks++;
    else
        go_on_with_key(hook, &(struct key_verdict){.answer = KEY_UNKNOWN});
}

/* --- the machine --- */

static void go_on_with_machine(struct hook *hook, enum machines_answer answer)
{
    switch (answer) {
    case MACHINE_UNKNOWN:
        hook_answer_no_machine(&hook->answer, &hook->body, hook->key);
        end_if_over(hook);
        return;
    case MACHINE_CANT_SAY:
        metric_add(hook->shared->settings.metrics->unchecked_machine, 1);
        break;
    case MACHINE_KNOWN:
        break;
    }
    timer_in(hook->timer,
             hook->shared->settings.answer_within_ms - hook_answer_waited_ms(&hook->answer));
    lease(hook);
}

static void on_looked_again(void *arg)
{
    struct hook *hook = arg;
    struct machines *machines = hook->shared->settings.machines;
    hook->callbacks--;
    go_on_with_machine(hook, machines_find(machines, &hook->body, &hook->body.machine_id));
}

void hook_start(struct hook *hook)
{
    struct machines *machines = hook->shared->settings.machines;
    enum machines_answer answer = machines_find(machines, &hook->body, &hook->body.machine_id);
    if (answer != MACHINE_KNOWN && !machines_is_fresh(machines) &&
        machines_look_again(machines, on_looked_again, hook)) {
        hook->callbacks++;
        timer_in(hook->timer, MACHINES_MS);
        return;
    }
    go_on_with_machine(hook, answer);
}

/* --- time is over --- */

static void on_timer(void *arg)
{
    struct hook *hook = arg;
    switch (hook->stage) {
    case CHECKING_MACHINE:
        machines_forget(hook->shared->settings.machines, hook);
        hook->callbacks--;
        go_on_with_machine(hook, MACHINE_CANT_SAY);
        return;
    case LEASING: /* what Redis says later is given back */
        hook_answer_unavailable(&hook->answer, "the key could not be checked in time");
        break;
    case PUBLISHING: /* a confirm that comes later still makes the key done */
        release_lease(hook);
        hook_answer_unavailable(&hook->answer, "the broker did not confirm in time");
        break;
    case FINISHING:
        hook_answer_accepted(&hook->answer);
        break;
    }
    end_if_over(hook);
}

size_t hook_bytes(const struct hook_request *request)
{
    return sizeof(struct hook) + strlen(request->key) + 1 +
           (request->traceparent ? strlen(request->traceparent) + 1 : 0) + HOOK_BODY_TEXT +
           TRAFFIC_BYTES;
}

struct hook *hook_new(struct hook_shared *shared, struct http_exchange *exchange,
                      const struct hook_request *request, void (*on_over)(void *arg), void *arg)
{
    size_t len;
    const char *text = http_body(exchange, &len);
    struct hook *hook = xcalloc(1, sizeof *hook);
    hook->shared = shared;
    hook->answer = hook_answer_begin(exchange, shared->settings.metrics);
    hook->stage = CHECKING_MACHINE;
    hook->lease = (struct key_lease){.first_us = utc_us(),
                                     .lease_ms = shared->settings.lease_ms,
                                     .ttl_s = shared->settings.key_ttl_s};
    hook->lease.key = hook->key = xstrdup(request->key);
    key_fingerprint(text, len, hook->lease.fingerprint);
    snprintf(hook->lease.token, sizeof hook->lease.token, "%" PRIx64 ".%llx", (uint64_t)utc_us(),
             shared->next_token++);
    hook->body = request->body;
    hook->traceparent = request->traceparent ? xstrdup(request->traceparent) : NULL;
    hook->timer = timer_new(shared->settings.loop, on_timer, hook);
    hook->on_over = on_over;
    hook->arg = arg;
    return hook;
}

void hook_free(struct hook *hook)
{
    timer_free(hook->timer);
    free(hook->key);
    free(hook->traceparent);
    free(hook);
}
