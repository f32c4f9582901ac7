/*
 * pull.c - one pull: asks MTConnect for the cycle time of a number of machines; see pull.h
 *
 * Diagnostics: a machine that fails is a warning with its name when it is asked again, an error
 * when it is given up.
 */
#include "pull.h"
#include "reply.h"
#include "turns.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/timer.h"
#include "base/xalloc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define GIVE_UP_AFTER 64 /* failures, and not one answer, that say MTConnect is not there */

struct learnt { /* and not taken yet */
    struct finding finding;
    struct question question;
};

struct pull {
    const struct config *config;
    struct pull_parts parts;
    struct pull_events events;
    void *arg;
    struct timer *next_turn;
    struct machine_list machines;
    struct turns *turns;
    struct learnt *learnt; /* `learnt_count` of them, room for one of each machine */
    int learnt_count;
    bool under_way, stopped;
    int64_t started_ms;
    int answered;
    int failures; /* attempts that may succeed later, and did not */
};

/* Asks whoever is next, as soon as the callback of the request that made room is over. */
static void go_on(void *arg)
{
    struct pull *pull = arg;
    timer_soon(pull->next_turn);
}

/* --- answers --- */

static void tell(const struct pull *pull, const struct turn *turn, enum pull_outcome outcome)
{
    if (pull->events.on_over)
        pull->events.on_over(turn->machine->id, outcome, turn->wanted_ms, pull->arg);
}

/* False: something else is newer, or may be. */
static bool counts(const struct pull *pull, int machine_id, const struct question *question,
                   int64_t observed_us)
{
    enum answer_rank rank = newest_rank_answer(pull->parts.newest, machine_id, question,
                                               observed_us);
    if (rank == ANSWER_COUNTS)
        return true;
    metric_add(pull->parts.metrics->older, 1);
    if (rank == ANSWER_OVERTAKEN)
        pull->events.on_doubt(machine_id, pull->arg);
    return false;
}

static void take_value(struct pull *pull, const struct turn *turn)
{
    const struct machine *machine = turn->machine;
    const struct answer *answer = &machine->answer;
    if (!counts(pull, machine->id, &turn->question, answer->observed_us))
        return;
    newest_note_answer(pull->parts.newest, machine->id, &turn->question, answer->observed_us);
    pull->learnt[pull->learnt_count++] = (struct learnt){
        .finding = {.machine_id = machine->id,
                    .seconds = answer->seconds,
                    .observed_us = answer->observed_us,
                    .asked_us = turn->asked_us},
        .question = turn->question};
}

static void take_answer(struct pull *pull, const struct turn *turn)
{
    pull->answered++;
    if (turn->machine->answer.kind == ANSWER_VALUE)
        take_value(pull, turn);
    tell(pull, turn, PULL_ANSWERED);
}

static void give_up(struct pull *pull, struct turn *turn, enum pull_outcome outcome,
                    struct metric *reason, const char *why)
{
    metric_add(reason, 1);
    if (pull->parts.single_attempts && outcome == PULL_LATER)
        log_warn("web-hook not confirmed yet", LF_S("machine", turn->machine->name),
                 LF_S("reason", why));
    else
        log_error("machine not pulled", LF_S("machine", turn->machine->name),
                  LF_I("attempt", turn->attempts), LF_S("reason", why));
    turns_fail(turn, why);
    metric_add(pull->parts.metrics->failed, 1);
    tell(pull, turn, outcome);
}

static void read_answer(struct pull *pull, struct turn *turn, const struct http_result *result)
{
    struct scheduler_metrics *metrics = pull->parts.metrics;
    struct machine *machine = turn->machine;
    struct answer answer;
    answer_read(result->body, result->body_len, machine->name, machine->id, utc_us(), &answer);
    if (answer.kind == ANSWER_BROKEN) {
        char why[256];
        snprintf(why, sizeof why, "breach of contract: %s", answer.error);
        machine_forget(machine);
        give_up(pull, turn, PULL_NEVER, metrics->failed_contract, why);
        return;
    }
    machine_remember(machine, &answer, result->etag);
    metric_add(answer.kind == ANSWER_VALUE ? metrics->values : metrics->nothing, 1);
    take_answer(pull, turn);
}

/* --- failures --- */

/* Not this machine's fault: the others would hear the same. */
static void stop_asking(struct pull *pull, const char *why)
{
    if (pull->stopped)
        return;
    pull->stopped = true;
    log_error("pull given up", LF_S("reason", why), LF_I("answered", pull->answered));
    turns_fail_rest(pull->turns, why);
}

static bool may_ask_again(const struct pull *pull, const struct turn *turn)
{
    return !pull->parts.single_attempts && !pull->stopped &&
           turn->attempts <= pull->config->scheduler_retry_delays_s.count;
}

/* After such a pause it would have answered before the next pull is due. */
static bool is_in_time(const struct pull *pull, int64_t pause_ms)
{
    return mono_ms() - pull->started_ms + pause_ms + pull->config->mtconnect_timeout_ms <
           pull->config->scheduler_period_s * 1000;
}

static struct metric *failure_metric(struct scheduler_metrics *metrics, long status)
{
    if (status == 0)
        return metrics->failed_no_answer;
    return status == 404 ? metrics->failed_unknown : metrics->failed_status;
}

/* Before it is asked again, unless that is too late for this pull. */
static void pause_turn(struct pull *pull, struct turn *turn, const char *why, struct metric *reason,
                       int64_t pause_ms)
{
    if (is_in_time(pull, pause_ms)) {
        log_warn("machine will be asked again", LF_S("machine", turn->machine->name),
                 LF_I("attempt", turn->attempts), LF_S("reason", why), LF_I("retry_ms", pause_ms));
        turns_later(turn, pause_ms);
        return;
    }
    char text[400];
    snprintf(text, sizeof text,
             "%s; a pause of %" PRId64 " s is too long for this pull: the next pull asks it", why,
             pause_ms / 1000);
    give_up(pull, turn, PULL_LATER, reason, text);
}

static void take_failure(struct pull *pull, struct turn *turn, const struct http_result *result,
                         const char *why)
{
    struct metric *reason = failure_metric(pull->parts.metrics, result->status);
    pull->failures++;
    if (!may_ask_again(pull, turn)) {
        give_up(pull, turn, PULL_LATER, reason, why);
    } else {
        int64_t ours_ms = pull->config->scheduler_retry_delays_s.ms[turn->attempts - 1];
        pause_turn(pull, turn, why, reason, turn->wanted_ms > ours_ms ? turn->wanted_ms : ours_ms);
    }
    if (pull->failures >= GIVE_UP_AFTER && pull->answered == 0)
        stop_asking(pull, why);
}

/* --- asking --- */

static void on_reply(const struct http_result *result, void *arg)
{
    struct turn *turn = arg;
    struct pull *pull = turn->owner;
    struct scheduler_metrics *metrics = pull->parts.metrics;
    turn->wanted_ms = mtconnect_pause_ms(pull->parts.mtconnect, result, 0);
    enum reply reply = reply_of(result, turn->machine->etag != NULL, turn->repeated);
    char why[256];
    reply_describe(reply, result, why, sizeof why);
    metric_observe(metrics->request_seconds, result->seconds);
    switch (reply) {
    case REPLY_ANSWER:
        read_answer(pull, turn, result);
        break;
    case REPLY_UNCHANGED:
        metric_add(metrics->unchanged, 1);
        take_answer(pull, turn);
        break;
    case REPLY_DIED_IDLE:
        turn->repeated = true;
        turn->attempts--;
        turns_at_once(turn);
        break;
    case REPLY_LATER:
        take_failure(pull, turn, result, why);
        break;
    case REPLY_NEVER:
        give_up(pull, turn, PULL_NEVER, failure_metric(metrics, result->status), why);
        break;
    case REPLY_BREACH:
        give_up(pull, turn, PULL_NEVER, metrics->failed_contract, why);
        break;
    case REPLY_REFUSED:
        give_up(pull, turn, PULL_LATER, failure_metric(metrics, result->status), why);
        stop_asking(pull, why);
        break;
    }
    go_on(pull);
}

static void on_next_turn(void *arg)
{
    struct pull *pull = arg;
    struct mtconnect *mtconnect = pull->parts.mtconnect;
    while (turns_are_queued(pull->turns) && mtconnect_has_room(mtconnect)) {
        struct turn *turn = turns_next(pull->turns);
        turn->asked_us = utc_us();
        turn->question = newest_ask(pull->parts.newest, turn->machine->id);
        turn->attempts++;
        mtconnect_get_cycle_time(mtconnect, turn->machine->name, turn->machine->etag,
                                 turn->repeated, ANSWER_BODY_MAX, on_reply, turn);
    }
    if (pull->under_way && mtconnect_under_way(mtconnect) == 0)
        pull->events.on_quiet(pull->arg);
}

/* --- from the beginning to the end --- */

void pull_end(struct pull *pull)
{
    pull->under_way = pull->stopped = false;
    pull->answered = pull->failures = 0;
    turns_clear(pull->turns);
    free(pull->learnt);
    pull->learnt = NULL;
    pull->learnt_count = 0;
}

void pull_start(struct pull *pull, const struct machine_name *machines, int count)
{
    pull->under_way = true;
    pull->started_ms = mono_ms();
    turns_begin(pull->turns, count);
    pull->learnt = xcalloc((size_t)count + 1, sizeof *pull->learnt); /* none is not NULL */
    machine_list_begin(&pull->machines);
    for (int i = 0; i < count; i++)
        turns_add(pull->turns, machine_list_add(&pull->machines, &machines[i]));
    machine_list_end(&pull->machines);
    go_on(pull);
}

void pull_abort(struct pull *pull)
{
    if (!pull->under_way)
        return;
    pull_end(pull);
    mtconnect_abort(pull->parts.mtconnect);
}

bool pull_is_under_way(const struct pull *pull)
{
    return pull->under_way;
}

static bool is_quiet(const struct pull *pull)
{
    return mtconnect_under_way(pull->parts.mtconnect) == 0;
}

bool pull_is_over(const struct pull *pull)
{
    return pull->under_way && !turns_are_queued(pull->turns) && !turns_are_waiting(pull->turns) &&
           is_quiet(pull);
}

bool pull_has_batch(const struct pull *pull)
{
    return pull->learnt_count > 0 && is_quiet(pull);
}

struct batch pull_take_batch(struct pull *pull)
{
    struct batch batch = {0};
    for (int i = 0; i < pull->learnt_count; i++) {
        const struct finding *finding = &pull->learnt[i].finding;
        if (counts(pull, finding->machine_id, &pull->learnt[i].question, finding->observed_us))
            batch_add(&batch, finding);
    }
    pull->learnt_count = 0;
    return batch;
}

struct pull_summary pull_summary(const struct pull *pull)
{
    return (struct pull_summary){.asked = turns_count(pull->turns),
                                 .answered = pull->answered,
                                 .failed = turns_failed(pull->turns),
                                 .seconds = (double)(mono_ms() - pull->started_ms) / 1000.0};
}

char *pull_failures(const struct pull *pull)
{
    return turns_failures(pull->turns);
}

struct pull *pull_new(const struct service *service, const struct pull_parts *parts,
                      const struct pull_events *events, void *arg)
{
    struct pull *pull = xcalloc(1, sizeof *pull);
    pull->config = service->config;
    pull->parts = *parts;
    pull->events = *events;
    pull->arg = arg;
    pull->turns = turns_new(service->loop, go_on, pull);
    pull->next_turn = timer_new(service->loop, on_next_turn, pull);
    return pull;
}

void pull_free(struct pull *pull)
{
    if (!pull)
        return;
    free(pull->learnt);
    turns_free(pull->turns);
    timer_free(pull->next_turn);
    machine_list_clear(&pull->machines);
    free(pull);
}
