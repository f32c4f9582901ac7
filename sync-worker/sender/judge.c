/*
 * judge.c - an answer has come: what becomes of the event; see judge.h
 *
 * Diagnostics: each retry (retry.c), each dead event and each change of a breaker is a line with
 * event, machine and attempt.
 */
#include "judge.h"
#include "partition.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAKE_MOST     512
#define WAKE_AFTER_MS 200 /* so that a flow of successes is one look at the doubted heads */

struct judge {
    struct judge_settings settings;
    struct judge_events events;
    void *arg;
    struct timer *wake;
};

/* --- fates: the head leaves its lane --- */

static void finish_delivered(struct judge *judge, struct lane *lane, bool skipped)
{
    struct held *held = lane_pop(lane);
    held->attempts = held->blame.counted + !skipped;
    if (skipped)
        metric_add(judge->settings.metrics->skipped, 1);
    judge->events.on_delivered(held, skipped, judge->arg);
}

static void finish_dead(struct judge *judge, struct lane *lane, const char *reason)
{
    struct held *held = lane_pop(lane);
    held->attempts = held->blame.counted;
    held->reason = xstrdup(reason);
    log_error("event is dead", LF_S("event", held->envelope.event_id),
              LF_S("machine", held->envelope.machine), LF_S("type", held->envelope.type),
              LF_I("attempt", held->attempts), LF_I("probe", held->blame.probes),
              LF_S("reason", reason), LF_S("response", held->response));
    judge->events.on_dead(held, judge->arg);
}

/* --- failures: it stays --- */

void judge_put_back(struct lane *lane)
{
    partition_end_work(lane->first);
    lane_ready(lane, false);
}

bool judge_stops(const struct judge *judge)
{
    return judge->settings.stop_on_dead;
}

/* Kept as convicted (on_failure follows): whoever has it next stops as well. */
static void stop_machine(struct lane *lane, const char *reason)
{
    log_error("event would be dead; its machine stops until mtcctl resume --machine",
              LF_S("event", lane->first->envelope.event_id), LF_S("machine", lane->machine),
              LF_S("reason", reason));
    partition_end_work(lane->first);
    lane_stop(lane);
}

static void end_it(struct judge *judge, struct lane *lane, const struct http_result *result)
{
    char what[160], reason[224];
    mtconnect_describe(result, what, sizeof what);
    if (lane->first->blame.counted > 1)
        snprintf(reason, sizeof reason, "%d attempts failed, the last: %s",
                 lane->first->blame.counted, what);
    else
        snprintf(reason, sizeof reason, "%s", what);
    if (judge->settings.stop_on_dead)
        stop_machine(lane, reason);
    else
        finish_dead(judge, lane, reason);
}

static void doubt(struct judge *judge, struct lane *lane, const struct http_result *result,
                  bool is_brief)
{
    /* With its breaker open the route has pauses of its own, and others may be probes. */
    if (lane->route->breaker.state != BREAKER_CLOSED)
        judge_put_back(lane);
    else if (is_brief)
        retry_soon(&judge->settings.retry, lane, result);
    else
        retry_doubted(&judge->settings.retry, lane, result);
}

/* Whom the referee acquits, or would have to be asked about first. */
static enum referee_word ask_referee(struct judge *judge, int64_t now_ms)
{
    struct referee *referee = judge->settings.referee;
    if (!referee)
        return REFEREE_WELL;
    enum referee_word word = referee_says(referee, now_ms);
    referee_ask(referee, now_ms);
    return word;
}

/* Everybody waits (throttle.h); or it does alone, since others are not told the same. */
static void on_refused(struct judge *judge, struct lane *lane, const struct http_result *result)
{
    if (lane->first->refusals < THROTTLE_OWN)
        judge_put_back(lane);
    else
        retry_refused(&judge->settings.retry, lane, result);
}

static void on_failed(struct judge *judge, struct lane *lane, const struct http_result *result)
{
    struct held *held = lane->first;
    enum accused accused = accused_by(result);
    int64_t now = mono_ms();
    if (accused == ACCUSED_NOBODY) {
        on_refused(judge, lane, result);
        return;
    }
    enum referee_word word = ask_referee(judge, now);
    bool acquitted = word == REFEREE_ILL || word == REFEREE_UNASKED;
    held->failed_ms = now;
    enum sentence sentence = blame_on_failure(&held->route->blame, &judge->settings.rules,
                                              &held->blame, lane->fingerprint, accused, acquitted,
                                              now);
    held->blame.convicted = sentence == SENTENCE_DEAD && judge->settings.stop_on_dead;
    judge->events.on_failure(held, judge->arg);
    switch (sentence) {
    case SENTENCE_PROBE:
        /* Where only the referee's word is missing, it is there in a moment, and proof may not last
         * for longer. */
        doubt(judge, lane, result,
              word == REFEREE_UNASKED &&
                  blame_has_proof(&held->route->blame, &held->blame, lane->fingerprint, now));
        break;
    case SENTENCE_RETRY:
        retry_counted(&judge->settings.retry, lane, result);
        break;
    case SENTENCE_DEAD:
        end_it(judge, lane, result);
        break;
    }
}

/* --- the destination --- */

static enum breaker_sign sign_of(const struct http_result *result)
{
    if (verdict_of(result, true) == VERDICT_DELIVERED)
        return SIGN_OF_LIFE;
    switch (accused_by(result)) {
    case ACCUSED_NOBODY:
    case ACCUSED_EVENT:
        return SIGN_OF_LIFE;
    case ACCUSED_DESTINATION:
        return SIGN_OF_ABSENCE;
    case ACCUSED_UNCLEAR:
        break;
    }
    return SIGN_OF_TROUBLE;
}

/* Nobody waits alone: each is a probe now. */
static void on_breaker_opened(struct judge *judge, struct route *route,
                              const struct http_result *result)
{
    const struct judge_settings *settings = &judge->settings;
    char what[160];
    mtconnect_describe(result, what, sizeof what);
    log_error("breaker open: MTConnect does not take events; they wait", LF_S("path", route->path),
              LF_S("reason", what), LF_I("failures", route->breaker.failures),
              LF_I("lanes", route->heads));
    metric_add(settings->metrics->breaker_opened, 1);
    lanes_wake(settings->lanes, route, NULL, NULL);
}

static void tell_breaker(struct judge *judge, const struct lane *lane,
                         const struct http_result *result)
{
    struct route *route = lane->route;
    enum breaker_state before = route->breaker.state;
    bool opened = breaker_tell(&route->breaker, sign_of(result), lane->fingerprint, route->heads,
                               mono_ms());
    if (opened)
        on_breaker_opened(judge, route, result);
    else if (before != BREAKER_CLOSED && route->breaker.state == BREAKER_CLOSED)
        log_info("breaker closed: MTConnect takes events again", LF_S("path", route->path),
                 LF_I("lanes", route->heads));
    if (result->status == 401 || result->status == 403) /* the right key may be there by now */
        mtconnect_read_api_key(judge->settings.mtconnect);
}

static void tell_throttle(struct judge *judge, const struct held *held,
                          const struct http_result *result)
{
    if (verdict_of(result, true) == VERDICT_DELIVERED)
        throttle_on_taken(judge->settings.throttle);
    else if (accused_by(result) == ACCUSED_NOBODY)
        throttle_on_refused(judge->settings.throttle, held->refusals,
                            mtconnect_pause_ms(judge->settings.mtconnect, result, 0),
                            held->began_ms, mono_ms());
}

/* --- evidence --- */

void judge_on_news(struct judge *judge)
{
    if (!timer_is_started(judge->wake))
        timer_in(judge->wake, WAKE_AFTER_MS);
}

static void tell_evidence(struct judge *judge, const struct lane *lane,
                          const struct http_result *result)
{
    const struct held *held = lane->first;
    bool taken = verdict_of(result, true) == VERDICT_DELIVERED;
    if (taken)
        blame_on_taken(&held->route->blame, lane->fingerprint);
    if (held->blame.failed || (!taken && accused_by(result) == ACCUSED_NOBODY))
        return;
    struct witness witness = {.machine = lane->fingerprint,
                              .began_ms = held->began_ms,
                              .ended_ms = mono_ms(),
                              .taken = taken};
    evidence_hear(judge->settings.evidence, held->route, &witness);
    if (taken && held->route->doubted)
        judge_on_news(judge);
}

struct wake {
    int64_t now_ms, least_ms;
    int attempts;
    int left;     /* heads that may be looked at: each costs a walk through the witnesses */
    bool is_more; /* some were not, or may be woken a little later */
};

/* Doubted for want of proof, which there is now; not one that may not be dead yet. */
static bool is_proven(const struct lane *lane, void *arg)
{
    struct wake *wake = arg;
    const struct held *head = lane->first;
    if (head->blame.counted >= wake->attempts)
        return false;
    if (wake->left == 0 || wake->now_ms - head->failed_ms < wake->least_ms) {
        wake->is_more = true;
        return false;
    }
    wake->left--;
    return blame_has_proof(&lane->route->blame, &head->blame, lane->fingerprint, wake->now_ms);
}

static void on_wake(void *arg)
{
    struct judge *judge = arg;
    const struct judge_settings *settings = &judge->settings;
    struct wake wake = {.now_ms = mono_ms(),
                        .least_ms = retry_least_ms(&settings->retry),
                        .attempts = settings->rules.attempts,
                        .left = WAKE_MOST};
    if (settings->referee && referee_says(settings->referee, wake.now_ms) == REFEREE_ILL)
        return; /* nothing would count: they go on with their own pauses */
    lanes_wake(settings->lanes, NULL, is_proven, &wake);
    if (wake.is_more)
        judge_on_news(judge);
    judge->events.on_ready(judge->arg);
}

/* --- verdicts --- */

static void keep_answer(struct held *held, const struct http_result *result)
{
    held->last_status = result->status;
    char what[160];
    mtconnect_describe(result, what, sizeof what);
    free(held->answer);
    held->answer = xstrdup(what);
    free(held->response);
    held->response = NULL;
    if (result->body_len && result->status / 100 != 2) {
        size_t len = result->body_len < HTTP_HEAD_BYTES ? result->body_len : HTTP_HEAD_BYTES;
        held->response = xstrndup(result->body, len);
    }
}

static void count_refusals(struct held *held, const struct http_result *result)
{
    bool refused = verdict_of(result, true) != VERDICT_DELIVERED &&
                   accused_by(result) == ACCUSED_NOBODY;
    if (refused && !held->refusals++ && !held->blame.failed)
        held->blame.since_ms = mono_ms();
    if (!refused)
        held->refusals = 0;
}

/* What is the same for all answers that are final for this request. */
static void take_answer(struct judge *judge, struct lane *lane, const struct http_result *result)
{
    lane->first->repeated = lane->first->fresh = false;
    keep_answer(lane->first, result);
    count_refusals(lane->first, result);
    tell_breaker(judge, lane, result);
    tell_throttle(judge, lane->first, result);
    tell_evidence(judge, lane, result);
}

bool judge_answer(struct judge *judge, struct lane *lane, const struct http_result *result,
                  bool may_repeat)
{
    enum verdict verdict = verdict_of(result, !may_repeat);
    if (verdict == VERDICT_REPEAT)
        return false;
    take_answer(judge, lane, result);
    if (verdict == VERDICT_DELIVERED)
        finish_delivered(judge, lane, false);
    else
        on_failed(judge, lane, result);
    return true;
}

void judge_sent_before(struct judge *judge, struct lane *lane)
{
    finish_delivered(judge, lane, true);
}

/*
 * The broker has taken the event back meanwhile and will deliver it again, to us or to another:
 * what we or it will ask then is whether this request succeeded.
 */
void judge_orphan(struct judge *judge, struct lane *lane, const struct http_result *result)
{
    tell_breaker(judge, lane, result);
    tell_throttle(judge, lane->first, result);
    struct held *held = lane_pop(lane);
    if (verdict_of(result, true) == VERDICT_DELIVERED)
        judge->events.on_orphan_delivered(held, judge->arg);
    else
        held_free(held);
}

/* --- an operator's word --- */

const char *judge_let_go(struct judge *judge, struct lane *lane)
{
    if (!partition_owns(lane->first) || lane->state == LANE_STILL)
        return "it is on its way back to the broker, and comes again";
    if (lane->first->aside)
        return "its body is not in memory; it is asked for when its turn comes";
    if (!lane_seize(lane))
        return "its request is under way";
    partition_begin_work(lane->first);
    finish_dead(judge, lane, "let go by an operator");
    judge->events.on_ready(judge->arg);
    return NULL;
}

struct judge *judge_new(const struct judge_settings *settings, const struct judge_events *events,
                        void *arg)
{
    struct judge *judge = xcalloc(1, sizeof *judge);
    judge->settings = *settings;
    judge->events = *events;
    judge->arg = arg;
    judge->wake = timer_new(settings->loop, on_wake, judge);
    return judge;
}

void judge_free(struct judge *judge)
{
    if (!judge)
        return;
    timer_free(judge->wake);
    free(judge);
}
