/* hook_answer.c - what a web-hook that passed the checks is answered with; see hook_answer.h */
#include "hook_answer.h"
#include "hook_checks.h"
#include "problem.h"
#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>

struct hook_answer hook_answer_begin(struct http_exchange *exchange,
                                     const struct receiver_metrics *metrics)
{
    return (struct hook_answer){.exchange = exchange, .begun_us = mono_us(), .metrics = metrics};
}

bool hook_answer_is_given(const struct hook_answer *answer)
{
    return answer->exchange == NULL;
}

int64_t hook_answer_waited_ms(const struct hook_answer *answer)
{
    return (mono_us() - answer->begun_us) / 1000;
}

static void note_given(struct hook_answer *answer, struct metric *metric)
{
    metric_add(metric, 1);
    metric_observe(answer->metrics->seconds, (double)(mono_us() - answer->begun_us) / 1e6);
    answer->exchange = NULL;
}

static void give_status(struct hook_answer *answer, unsigned status, const char *word,
                        struct metric *metric)
{
    char body[48];
    int len = snprintf(body, sizeof body, "{\"status\":\"%s\"}", word);
    http_reply(answer->exchange, status, "application/json", body, (size_t)len, NULL);
    note_given(answer, metric);
}

static void give_problem(struct hook_answer *answer, const struct problem *problem,
                         struct metric *metric)
{
    problem_reply(answer->exchange, problem);
    note_given(answer, metric);
}

void hook_answer_accepted(struct hook_answer *answer)
{
    give_status(answer, 202, "accepted", answer->metrics->accepted);
}

void hook_answer_duplicate(struct hook_answer *answer)
{
    give_status(answer, 200, "duplicate", answer->metrics->duplicate);
}

void hook_answer_held(struct hook_answer *answer, int64_t held_ms)
{
    struct problem problem;
    problem_set(&problem, 503, HOOK_KEY_HEADER, "a request with this key is being processed");
    problem.retry_after_s = (held_ms + 999) / 1000;
    give_problem(answer, &problem, answer->metrics->held);
}

void hook_answer_other_body(struct hook_answer *answer)
{
    struct problem problem;
    problem_set(&problem, 422, HOOK_KEY_HEADER, "this key came with another body before");
    give_problem(answer, &problem, answer->metrics->other_body);
}

void hook_answer_no_machine(struct hook_answer *answer, const struct hook_body *body,
                            const char *key)
{
    struct problem problem;
    if (body->machine_id)
        problem_set(&problem, 422, "machine_id", "there is no machine %d", body->machine_id);
    else
        problem_set(&problem, 422, "machine_id", "there is no machine \"%.100s\"", body->machine);
    log_warn("web-hook of an unknown machine refused", LF_S("reason", problem.detail),
             LF_S("key", key));
    give_problem(answer, &problem, answer->metrics->refused);
}

void hook_answer_unavailable(struct hook_answer *answer, const char *why)
{
    struct problem problem;
    problem_set(&problem, 503, NULL, "%s", why);
    problem.retry_after_s = 1;
    give_problem(answer, &problem, answer->metrics->unavailable);
}
