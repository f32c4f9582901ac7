/*
 * hooks.c - all web-hooks: taken from the HTTP server, refused, or under way; see hooks.h
 *
 * Diagnostics: refusals are warnings, at most one a second.
 */
#include "hooks.h"
#include "problem.h"
#include "base/xalloc.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    struct hooks *hooks;
    struct hook *hook;
    char *peer; /* whose it is */
    size_t bytes;
    struct entry *next, *previous;
};

struct hooks {
    struct hook_shared shared;
    struct hook_policy policy;
    struct log_limit refusals, no_room;
    struct entry *first; /* under way */
    int under_way;       /* how many */
    bool draining;
    void (*on_idle)(void *arg);
    void *arg;
};

static void refuse(struct hooks *hooks, struct http_exchange *exchange, const char *key,
                   const struct problem *problem)
{
    const struct receiver_metrics *metrics = hooks->shared.settings.metrics;
    metric_add(problem->status == 401 ? metrics->bad_signature : metrics->refused, 1);
    if (problem->status != 404 && log_limit_ok(&hooks->refusals, 1000))
        log_warn("web-hook refused", LF_I("status", problem->status),
                 LF_S("reason", problem->detail), LF_S("key", key),
                 LF_I("more", hooks->refusals.last_suppressed));
    problem_reply(exchange, problem);
}

static struct entry *add(struct hooks *hooks, const char *peer, size_t bytes)
{
    struct entry *entry = xcalloc(1, sizeof *entry);
    entry->hooks = hooks;
    entry->peer = xstrdup(peer);
    entry->bytes = bytes;
    entry->next = hooks->first;
    if (hooks->first)
        hooks->first->previous = entry;
    hooks->first = entry;
    hooks->under_way++;
    return entry;
}

static void entry_free(struct entry *entry)
{
    hook_free(entry->hook);
    free(entry->peer);
    free(entry);
}

static void drop(struct entry *entry)
{
    struct hooks *hooks = entry->hooks;
    if (entry->previous)
        entry->previous->next = entry->next;
    else
        hooks->first = entry->next;
    if (entry->next)
        entry->next->previous = entry->previous;
    hooks->under_way--;
    budget_give_back(hooks->shared.settings.budget, entry->peer, entry->bytes);
    entry_free(entry);
}

static void on_over(void *arg)
{
    struct entry *entry = arg;
    struct hooks *hooks = entry->hooks;
    drop(entry);
    if (hooks->under_way == 0)
        hooks->on_idle(hooks->arg);
}

static void turn_away(const struct hooks *hooks, struct http_exchange *exchange, const char *why)
{
    struct problem problem;
    problem_set(&problem, 503, NULL, "%s", why);
    problem.retry_after_s = 1;
    problem.closes = true;
    metric_add(hooks->shared.settings.metrics->unavailable, 1);
    problem_reply(exchange, &problem);
}

void hooks_on_no_room(struct http_exchange *exchange, void *arg)
{
    struct hooks *hooks = arg;
    if (log_limit_ok(&hooks->no_room, 10000))
        log_warn("web-hooks are turned away: those under way take receiver.memory_mib, or a client "
                 "its quarter of it",
                 LF_S("client", http_peer(exchange)),
                 LF_I("held_bytes", (int64_t)budget_held(hooks->shared.settings.budget)),
                 LF_I("more", hooks->no_room.last_suppressed));
    turn_away(hooks, exchange, "too much is under way: no memory is left for it");
}

void hooks_on_request(struct http_exchange *exchange, void *arg)
{
    struct hooks *hooks = arg;
    struct hook_request request;
    struct problem problem;
    if (hooks->draining) {
        turn_away(hooks, exchange, "this receiver is ending");
        return;
    }
    if (!hook_checks_pass(&hooks->policy, exchange, &request, &problem)) {
        refuse(hooks, exchange, request.key, &problem);
        return;
    }
    size_t bytes = hook_bytes(&request);
    if (!budget_take(hooks->shared.settings.budget, http_peer(exchange), bytes)) {
        hooks_on_no_room(exchange, hooks);
        return;
    }
    struct entry *entry = add(hooks, http_peer(exchange), bytes);
    entry->hook = hook_new(&hooks->shared, exchange, &request, on_over, entry);
    hook_start(entry->hook);
}

int hooks_under_way(const struct hooks *hooks)
{
    return hooks->under_way;
}

struct hooks *hooks_new(const struct hook_settings *settings, const struct hook_policy *policy,
                        void (*on_idle)(void *arg), void *arg)
{
    struct hooks *hooks = xcalloc(1, sizeof *hooks);
    hooks->shared.settings = *settings;
    hooks->policy = *policy;
    hooks->on_idle = on_idle;
    hooks->arg = arg;
    return hooks;
}

void hooks_drain(struct hooks *hooks)
{
    hooks->draining = true;
}

void hooks_stop(struct hooks *hooks)
{
    if (hooks)
        hooks->shared.stopping = true;
}

void hooks_free(struct hooks *hooks)
{
    if (!hooks)
        return;
    struct entry *entry = hooks->first, *next;
    for (; entry; entry = next) {
        next = entry->next;
        entry_free(entry);
    }
    free(hooks);
}
