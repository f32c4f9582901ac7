/* hook_checks.c - what must be right of a request before anything happens; see hook_checks.h */
#include "hook_checks.h"
#include "base/clock.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define KEY_MAX         128
#define TRACEPARENT_LEN 55

static bool check_route(const struct hook_policy *policy, const struct http_exchange *exchange,
                        struct problem *problem)
{
    if (!policy->use_webhook || strcmp(http_path(exchange), HOOK_PATH) != 0)
        problem_set(problem, 404, NULL, "nothing is here");
    else if (strcmp(http_method(exchange), "POST") != 0)
        problem_set(problem, 405, NULL, "only POST");
    return problem->status == 0;
}

static bool check_signature(const struct hook_policy *policy, const struct http_exchange *exchange,
                            int64_t now_us, struct problem *problem)
{
    if (!policy->require_signature)
        return true;
    size_t len;
    const char *body = http_body(exchange, &len);
    struct signature_headers headers = {.id = http_header(exchange, "webhook-id"),
                                        .timestamp = http_header(exchange, "webhook-timestamp"),
                                        .standard = http_header(exchange, "webhook-signature"),
                                        .plain_timestamp = http_header(exchange, "X-Timestamp"),
                                        .plain = http_header(exchange, "X-Signature")};
    enum signature_verdict verdict = signature_check(policy->secrets, &headers, body, len,
                                                     now_us / 1000000, policy->tolerance_s);
    if (verdict != SIGNATURE_GOOD)
        problem_set(problem, 401, headers.standard ? "webhook-signature" : "X-Signature", "%s",
                    signature_problem(verdict));
    return verdict == SIGNATURE_GOOD;
}

static bool check_type(const struct http_exchange *exchange, struct problem *problem)
{
    static const char json[] = "application/json";
    const char *type = http_header(exchange, "Content-Type");
    size_t len = type ? strcspn(type, "; \t") : 0;
    if (len != sizeof json - 1 || strncasecmp(type, json, len) != 0)
        problem_set(problem, 415, "Content-Type", "Content-Type is not application/json");
    return problem->status == 0;
}

bool hook_key_is_good(const char *key, struct problem *problem)
{
    size_t len = key ? strlen(key) : 0;
    if (!key || len == 0) {
        problem_set(problem, 400, HOOK_KEY_HEADER, HOOK_KEY_HEADER " is %s",
                    key ? "empty" : "missing");
        return false;
    }
    if (len > KEY_MAX) {
        problem_set(problem, 400, HOOK_KEY_HEADER, HOOK_KEY_HEADER " is longer than %d characters",
                    KEY_MAX);
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (!isgraph((unsigned char)key[i])) {
            problem_set(problem, 400, HOOK_KEY_HEADER,
                        HOOK_KEY_HEADER " holds something other than visible ASCII characters");
            return false;
        }
    }
    return true;
}

static bool check_body(const struct hook_policy *policy, const struct http_exchange *exchange,
                       int64_t now_us, struct hook_body *out, struct problem *problem)
{
    struct hook_rules rules = {.now_us = now_us,
                               .future_max_s = policy->tolerance_s,
                               .cycle_time_max_s = policy->cycle_time_max_s};
    size_t len;
    const char *text = http_body(exchange, &len);
    return hook_body_read(text, len, &rules, out, problem);
}

static bool is_traceparent(const char *text)
{
    return text && strlen(text) == TRACEPARENT_LEN &&
           strspn(text, "0123456789abcdef-") == TRACEPARENT_LEN;
}

bool hook_checks_pass(const struct hook_policy *policy, const struct http_exchange *exchange,
                      struct hook_request *out, struct problem *problem)
{
    int64_t now_us = utc_us();
    const char *trace = http_header(exchange, "traceparent");
    *problem = (struct problem){0};
    out->key = http_header(exchange, HOOK_KEY_HEADER);
    out->traceparent = is_traceparent(trace) ? trace : NULL;
    return check_route(policy, exchange, problem) &&
           check_signature(policy, exchange, now_us, problem) && check_type(exchange, problem) &&
           hook_key_is_good(out->key, problem) &&
           check_body(policy, exchange, now_us, &out->body, problem);
}
