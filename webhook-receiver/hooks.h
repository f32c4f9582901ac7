/*
 * hooks.h - all web-hooks: taken from the HTTP server, refused, or under way
 *
 * A request that fails the checks (hook_checks.h) is answered at once; any other becomes a hook
 * (hook.h) and is under way until it is answered and nothing it asked for is outstanding.
 */
#ifndef MTC_HOOKS_H
#define MTC_HOOKS_H

#include "hook.h"

struct hooks;

/* on_idle: the last hook under way is over, also from inside hooks_on_request(). */
struct hooks *hooks_new(const struct hook_settings *settings, const struct hook_policy *policy,
                        void (*on_idle)(void *arg), void *arg);

/* From now on requests are answered 503, and their connections closed: what repeats them finds
 * another receiver. Those under way go on. */
void hooks_drain(struct hooks *hooks);

/* Before the servers of the settings are freed: what they call back then has no effect. */
void hooks_stop(struct hooks *hooks);
/* After they were freed. What is still under way is dropped without an answer. */
void hooks_free(struct hooks *hooks);

/* For http_server_new(); arg is the struct hooks. */
void hooks_on_request(struct http_exchange *exchange, void *arg);
/* For http_limits: what is under way takes all the memory there is for it, or for this client. */
void hooks_on_no_room(struct http_exchange *exchange, void *arg);

int hooks_under_way(const struct hooks *hooks);

#endif
