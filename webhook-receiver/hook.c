/*
 * hook.c - one web-hook, from its arrival to its answer; see hook.h
 *
 * Diagnostics: refusals are warnings, at most one a second; without Redis or PostgreSQL web-hooks
 * are taken unchecked, which is a warning once a minute and a metric.
 */
#include "hook.h"
#include "base/clock.h"
#include "hook_body.h"
#include "key_state.h"
#include "problem.h"
#include "base/xalloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MACHINES_MS 40 /* longest wait for a second look at the list of machines */

enum stage { CHECKING_MACHINE, LEASING, PUBLISHING, FINISHING };

struct hook {
    struct receiver *receiver;
    struct http_exchange *exchange; /* NULL: answered */
    enum stage stage;
    int callbacks; /* that will still come */
    int64_t begun_us;
    struct timer *timer;
    char *key, *traceparent;
    char fingerprint[KEY_FINGERPRINT], token[KEY_TOKEN];
    bool leased;
    int64_t first_us; /* when the key came first */
    struct hook_body body;
    struct hook *next, *previous; /* in receiver->hooks */
};

static void lease(struct hook *hook);

/* --- answering --- */

static void hook_free(struct hook *hook)
{
    struct receiver *receiver = hook->receiver;
    if (hook->previous)
        hook->previous->next = hook->next;
    else
        receiver->hooks = hook->next;
    if (hook->next)
        hook->next->previous = hook->previous;
    receiver->under_way--;
    timer_free(hook->timer);
    free(hook->key);
    free(hook->traceparent);
    free(hook);
}

void hook_free_all(struct receiver *receiver)
{
    struct hook *hook = receiver->hooks, *next;
    for (; hook; hook = next) {
        next = hook->next;
        hook_free(hook);
    }
}

static void release_if_over(struct hook *hook)
{
    struct receiver *receiver = hook->receiver;
    if (hook->exchange || hook->callbacks > 0)
        return;
    hook_free(hook);
    receiver_on_idle(receiver);
}

static void answered(struct hook *hook)
{
    metric_observe(hook->receiver->metrics.seconds, (double)(mono_us() - hook->begun_us) / 1e6);
    hook->exchange = NULL;
    timer_cancel(hook->timer);
}

static void answer_status(struct hook *hook, unsigned status, const char *word,
                          struct metric *metric)
{
    char body[48];
    int len = snprintf(body, sizeof body, "{\"status\":\"%s\"}", word);
    metric_add(metric, 1);
    http_reply(hook->exchange, status, "application/json", body, (size_t)len, NULL);
    answered(hook);
}

static void answer_problem(struct hook *hook, struct problem *problem, int64_t retry_after_s,
                           struct metric *metric)
{
    problem->retry_after_s = retry_after_s;
    metric_add(metric, 1);
    problem_reply(hook->exchange, problem);
    answered(hook);
}

static void answer_unavailable(struct hook *hook, const char *why)
{
    struct problem problem;
    problem_set(&problem, 503, NULL, "%s", why);
    answer_problem(hook, &problem, 1, hook->receiver->metrics.unavailable);
}

/* --- the key --- */

static struct key_lease lease_of(const struct hook *hook)
{
    const struct config *config = hook->receiver->service->config;
    return (struct key_lease){.key = hook->key,
                              .fingerprint = hook->fingerprint,
                              .token = hook->token,
                              .now_us = hook->first_us,
                              .lease_ms = config->receiver_lease_ms,
                              .ttl_s = config->receiver_key_ttl_s};
}

static void on_settled(const redisReply *reply, const struct redis_error *error, void *arg)
{
    (void)error;
    (void)reply; /* a lease that was not given back ends by itself */
    struct hook *hook = arg;
    hook->callbacks--;
    if (!hook->receiver->stopping)
        release_if_over(hook);
}

/* Nothing was published, as far as we know: the retry need not wait for the end of the lease. */
static void release_lease(struct hook *hook)
{
    struct key_lease record = lease_of(hook);
    if (hook->leased && key_state_release(hook->receiver->redis, &record, on_settled, hook))
        hook->callbacks++;
    hook->leased = false;
}

static void on_done(const redisReply *reply, const struct redis_error *error, void *arg)
{
    (void)error;
    (void)
        reply; /* without Redis the key is not known as done: a repeat is published again, and applied once */
    struct hook *hook = arg;
    hook->callbacks--;
    if (hook->receiver->stopping)
        return;
    if (hook->exchange)
        answer_status(hook, 202, "accepted", hook->receiver->metrics.accepted);
    release_if_over(hook);
}

/* --- the broker --- */

/* Here responsibility passes to the broker; from here on the sender may be told that it is done. */
static void on_published(bool confirmed, void *arg)
{
    struct hook *hook = arg;
    struct key_lease record = lease_of(hook);
    hook->callbacks--;
    if (confirmed) {
        hook->stage = FINISHING;
        if (key_state_done(hook->receiver->redis, &record, on_done, hook))
            hook->callbacks++;
        else if (hook->exchange)
            answer_status(hook, 202, "accepted", hook->receiver->metrics.accepted);
    } else if (hook->exchange) {
        release_lease(hook);
        answer_unavailable(hook, "the broker was lost before it confirmed");
    }
    release_if_over(hook);
}

static void publish(struct hook *hook)
{
    struct receiver *receiver = hook->receiver;
    char text[1600], when[UTC_TEXT], machine[1300];
    hook->stage = PUBLISHING;
    if (hook->body.machine_id) {
        snprintf(machine, sizeof machine, "%d", hook->body.machine_id);
    } else { /* PostgreSQL could not say which it is: the scheduler will ask */
        size_t at = 0;
        machine[at++] = '"';
        for (const char *c = hook->body.machine; *c; c++) {
            if (*c == '"' || *c == '\\')
                machine[at++] = '\\';
            machine[at++] = *c;
        }
        machine[at++] = '"';
        machine[at] = '\0';
    }
    int64_t observed_us = hook->body.observed_us ? hook->body.observed_us : hook->first_us;
    int len = snprintf(
        text, sizeof text,
        "{\"machine\":%s,\"cycle_time\":%.3f,\"observed_at\":\"%s\",\"source\":\"webhook\"}",
        machine, hook->body.cycle_time_s, utc_format_us(observed_us, when));
    if (publisher_send(receiver->publisher, hook->key, hook->traceparent, text, (size_t)len,
                       on_published, hook)) {
        hook->callbacks++;
        return;
    }
    release_lease(hook);
    answer_unavailable(hook, "the broker takes nothing at the moment");
    release_if_over(hook);
}

/* --- the lease --- */

static void note_no_redis(struct receiver *receiver)
{
    metric_add(receiver->metrics.unchecked_key, 1);
    if (log_limit_ok(&receiver->no_redis, 60000))
        log_warn("web-hooks are taken without a check of their keys: Redis can't say",
                 LF_I("more", receiver->no_redis.last_suppressed));
}

static void answer_verdict(struct hook *hook, const struct key_verdict *verdict)
{
    struct receiver_metrics *metrics = &hook->receiver->metrics;
    struct problem problem;
    if (verdict->answer == KEY_DONE) {
        answer_status(hook, 200, "duplicate", metrics->duplicate);
    } else if (verdict->answer == KEY_HELD) {
        problem_set(&problem, 409, "X-Idempotency-Key",
                    "a request with this key is being processed");
        answer_problem(hook, &problem, (verdict->held_ms + 999) / 1000, metrics->held);
    } else {
        problem_set(&problem, 422, "X-Idempotency-Key", "this key came with another body before");
        answer_problem(hook, &problem, 0, metrics->other);
    }
}

static void on_leased(const redisReply *reply, const struct redis_error *error, void *arg)
{
    (void)error;
    struct hook *hook = arg;
    struct key_verdict verdict = key_verdict_of(reply);
    hook->callbacks--;
    if (hook->receiver->stopping)
        return;
    if (verdict.answer == KEY_LEASED) {
        hook->leased = true;
        hook->first_us = verdict.first_us;
    }
    if (!hook->exchange) { /* too late */
        release_lease(hook);
        release_if_over(hook);
        return;
    }
    if (verdict.answer == KEY_UNKNOWN)
        note_no_redis(hook->receiver);
    if (verdict.answer == KEY_LEASED || verdict.answer == KEY_UNKNOWN) {
        publish(hook); /* may be the end of the hook */
        return;
    }
    answer_verdict(hook, &verdict);
    release_if_over(hook);
}

static void lease(struct hook *hook)
{
    struct key_lease record = lease_of(hook);
    hook->stage = LEASING;
    if (key_state_lease(hook->receiver->redis, &record, on_leased, hook)) {
        hook->callbacks++;
        return;
    }
    note_no_redis(hook->receiver);
    publish(hook);
}

/* --- the machine --- */

static void arm(struct hook *hook, int64_t ms)
{
    timer_in(hook->timer, ms);
}

static void go_on_with_machine(struct hook *hook, enum machines_answer answer)
{
    struct problem problem;
    if (answer == MACHINE_UNKNOWN) {
        if (hook->body.machine_id)
            problem_set(&problem, 422, "machine_id", "there is no machine %d",
                        hook->body.machine_id);
        else
            problem_set(&problem, 422, "machine_id", "there is no machine \"%.100s\"",
                        hook->body.machine);
        log_warn("web-hook of an unknown machine refused", LF_S("reason", problem.detail),
                 LF_S("key", hook->key));
        answer_problem(hook, &problem, 0, hook->receiver->metrics.refused);
        release_if_over(hook);
        return;
    }
    if (answer == MACHINE_CANT_SAY)
        metric_add(hook->receiver->metrics.unchecked_machine, 1);
    int64_t spent_ms = (mono_us() - hook->begun_us) / 1000;
    arm(hook, hook->receiver->service->config->receiver_answer_within_ms - spent_ms);
    lease(hook);
}

static void on_looked_again(void *arg)
{
    struct hook *hook = arg;
    hook->callbacks--;
    go_on_with_machine(
        hook, machines_find(hook->receiver->machines, &hook->body, &hook->body.machine_id));
}

static void check_machine(struct hook *hook)
{
    struct machines *machines = hook->receiver->machines;
    enum machines_answer answer = machines_find(machines, &hook->body, &hook->body.machine_id);
    hook->stage = CHECKING_MACHINE;
    if (answer != MACHINE_KNOWN && !machines_is_fresh(machines) &&
        machines_look_again(machines, on_looked_again, hook)) {
        hook->callbacks++;
        arm(hook, MACHINES_MS);
        return;
    }
    go_on_with_machine(hook, answer);
}

static void on_timer(void *arg)
{
    struct hook *hook = arg;
    switch (hook->stage) {
    case CHECKING_MACHINE:
        machines_forget(hook->receiver->machines, hook);
        hook->callbacks--;
        go_on_with_machine(hook, MACHINE_CANT_SAY);
        return;
    case LEASING: /* what Redis says later is given back */
        answer_unavailable(hook, "the key could not be checked in time");
        break;
    case PUBLISHING: /* a confirm that comes later still makes the key done */
        release_lease(hook);
        answer_unavailable(hook, "the broker did not confirm in time");
        break;
    case FINISHING:
        answer_status(hook, 202, "accepted", hook->receiver->metrics.accepted);
        break;
    }
    release_if_over(hook);
}

/* --- what must be right before anything happens --- */

static bool check_route(const struct receiver *receiver, struct http_exchange *exchange,
                        struct problem *problem)
{
    if (!receiver->service->config->receiver_use_webhook ||
        strcmp(http_path(exchange), HOOK_PATH) != 0)
        problem_set(problem, 404, NULL, "nothing is here");
    else if (strcmp(http_method(exchange), "POST") != 0)
        problem_set(problem, 405, NULL, "only POST");
    return problem->status == 0;
}

static bool check_signature(const struct receiver *receiver, struct http_exchange *exchange,
                            struct problem *problem)
{
    const struct config *config = receiver->service->config;
    if (!config->receiver_require_signature)
        return true;
    size_t len;
    const char *body = http_body(exchange, &len);
    struct signature_headers headers = {.id = http_header(exchange, "webhook-id"),
                                        .timestamp = http_header(exchange, "webhook-timestamp"),
                                        .standard = http_header(exchange, "webhook-signature"),
                                        .plain_timestamp = http_header(exchange, "X-Timestamp"),
                                        .plain = http_header(exchange, "X-Signature")};
    enum signature_verdict verdict = signature_check(
        receiver->secrets, &headers, body, len, utc_us() / 1000000, config->receiver_tolerance_s);
    if (verdict != SIGNATURE_GOOD)
        problem_set(problem, 401, headers.standard ? "webhook-signature" : "X-Signature", "%s",
                    signature_problem(verdict));
    return verdict == SIGNATURE_GOOD;
}

static bool check_type(struct http_exchange *exchange, struct problem *problem)
{
    static const char json[] = "application/json";
    const char *type = http_header(exchange, "Content-Type");
    size_t len = type ? strcspn(type, "; \t") : 0;
    if (len != sizeof json - 1 || strncasecmp(type, json, len) != 0)
        problem_set(problem, 415, "Content-Type", "Content-Type is not application/json");
    return problem->status == 0;
}

static bool check_request(struct receiver *receiver, struct http_exchange *exchange,
                          struct hook_body *body, struct problem *problem)
{
    const struct config *config = receiver->service->config;
    struct hook_rules rules = {.now_us = utc_us(),
                               .future_max_s = config->receiver_tolerance_s,
                               .cycle_time_max_s = config->receiver_cycle_time_max_s};
    size_t len;
    const char *text = http_body(exchange, &len);
    return check_route(receiver, exchange, problem) &&
           check_signature(receiver, exchange, problem) && check_type(exchange, problem) &&
           hook_key_is_good(http_header(exchange, "X-Idempotency-Key"), problem) &&
           hook_body_read(text, len, &rules, body, problem);
}

static void refuse(struct receiver *receiver, struct http_exchange *exchange,
                   const struct problem *problem)
{
    metric_add(problem->status == 401 ? receiver->metrics.unsigned_ : receiver->metrics.refused, 1);
    if (problem->status != 404 && log_limit_ok(&receiver->refusals, 1000))
        log_warn("web-hook refused", LF_I("status", problem->status),
                 LF_S("reason", problem->detail),
                 LF_S("key", http_header(exchange, "X-Idempotency-Key")),
                 LF_I("more", receiver->refusals.last_suppressed));
    problem_reply(exchange, problem);
}

static bool is_traceparent(const char *text)
{
    return text && strlen(text) == 55 && strspn(text, "0123456789abcdef-") == 55;
}

void hook_on_request(struct http_exchange *exchange, void *arg)
{
    struct receiver *receiver = arg;
    struct problem problem = {0};
    struct hook_body body;
    if (!check_request(receiver, exchange, &body, &problem)) {
        refuse(receiver, exchange, &problem);
        return;
    }
    size_t len;
    const char *text = http_body(exchange, &len), *trace = http_header(exchange, "traceparent");
    struct hook *hook = xcalloc(1, sizeof *hook);
    hook->receiver = receiver;
    hook->exchange = exchange;
    hook->begun_us = mono_us();
    hook->first_us = utc_us();
    hook->body = body;
    hook->key = xstrdup(http_header(exchange, "X-Idempotency-Key"));
    hook->traceparent = is_traceparent(trace) ? xstrdup(trace) : NULL;
    key_fingerprint(text, len, hook->fingerprint);
    snprintf(hook->token, sizeof hook->token, "%" PRIx64 ".%llx", (uint64_t)utc_us(),
             receiver->next_token++);
    hook->timer = timer_new(receiver->service->loop, on_timer, hook);
    hook->next = receiver->hooks;
    if (receiver->hooks)
        receiver->hooks->previous = hook;
    receiver->hooks = hook;
    receiver->under_way++;
    check_machine(hook);
}
