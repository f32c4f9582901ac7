/*
 * judge.c - an answer has come: what becomes of the event; see judge.h
 *
 * Diagnostics: each retry (retry.c), each dead event and each change of the breaker is a line with
 * event, machine and attempt.
 */
#include "judge.h"
#include "partition.h"
#include "retry.h"
#include "verdict.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"

#include <stdio.h>
#include <stdlib.h>

struct judge {
    struct judge_settings settings;
    struct judge_events events;
    void *arg;
    struct retry retry;
};

/* --- fates: the head leaves its lane --- */

static void finish_delivered(struct judge *judge, struct lane *lane, bool skipped)
{
    struct held *held = lane_pop(lane);
    if (skipped)
        metric_add(judge->settings.metrics->skipped, 1);
    judge->events.on_delivered(held, skipped, judge->arg);
}

static void finish_dead(struct judge *judge, struct lane *lane, const char *reason)
{
    struct held *held = lane_pop(lane);
    held->reason = xstrdup(reason);
    log_error("event is dead", LF_S("event", held->envelope.event_id),
              LF_S("machine", held->envelope.machine), LF_S("type", held->envelope.type),
              LF_I("attempt", held->attempts), LF_S("reason", reason),
              LF_S("response", held->response));
    judge->events.on_dead(held, judge->arg);
}

/* --- failures: it stays --- */

void judge_put_back(struct lane *lane)
{
    partition_end_work(lane->first);
    lane_ready(lane, false);
}

static void count_failure(struct judge *judge, struct lane *lane, const struct http_result *result)
{
    if (retry_later(&judge->retry, lane, result))
        return;
    char what[160], reason[224];
    mtconnect_describe(result, what, sizeof what);
    snprintf(reason, sizeof reason, "%d attempts failed, the last: %s", lane->first->attempts,
             what);
    finish_dead(judge, lane, reason);
}

/* --- the destination --- */

/*
 * It was the destination, not the events: what this streak cost them is given back, and nobody
 * waits alone.
 */
static void on_breaker_opened(struct judge *judge, const struct http_result *result)
{
    const struct judge_settings *settings = &judge->settings;
    char what[160];
    mtconnect_describe(result, what, sizeof what);
    log_error("breaker open: MTConnect does not take events; they wait", LF_S("reason", what),
              LF_I("failures", settings->breaker->failures), LF_I("lanes", settings->lanes->count));
    metric_add(settings->metrics->breaker_opened, 1);
    lanes_forgive(settings->lanes, settings->breaker->streak);
}

static void tell_breaker(struct judge *judge, const struct lane *lane,
                         const struct http_result *result)
{
    const struct judge_settings *settings = &judge->settings;
    enum breaker_state before = settings->breaker->state;
    bool opened = breaker_tell(settings->breaker, evidence_of(result), lane->fingerprint,
                               settings->lanes->count, mono_ms());
    if (opened)
        on_breaker_opened(judge, result);
    else if (before != BREAKER_CLOSED && settings->breaker->state == BREAKER_CLOSED)
        log_info("breaker closed: MTConnect takes events again",
                 LF_I("held", settings->lanes->held_count));
    if (evidence_of(result) == EVIDENCE_REFUSED) /* somebody may have put the right key there */
        mtconnect_read_api_key(settings->mtconnect);
}

/* --- verdicts --- */

static void keep_answer(struct held *held, const struct http_result *result)
{
    held->last_status = result->status;
    free(held->response);
    held->response = NULL;
    if (result->body_len && result->status / 100 != 2) {
        size_t len = result->body_len < HTTP_HEAD_BYTES ? result->body_len : HTTP_HEAD_BYTES;
        held->response = xstrndup(result->body, len);
    }
}

/* What is the same for all verdicts that are final for this request. */
static void take_answer(struct judge *judge, struct lane *lane, const struct http_result *result)
{
    lane->first->repeated = false;
    keep_answer(lane->first, result);
    tell_breaker(judge, lane, result);
}

bool judge_answer(struct judge *judge, struct lane *lane, const struct http_result *result,
                  bool may_repeat)
{
    struct held *held = lane->first;
    enum verdict verdict = verdict_of(result, !may_repeat);
    char reason[32];
    if (verdict != VERDICT_REPEAT)
        take_answer(judge, lane, result);
    switch (verdict) {
    case VERDICT_REPEAT:
        return false;
    case VERDICT_DELIVERED:
        held->attempts++;
        finish_delivered(judge, lane, false);
        break;
    case VERDICT_DEAD:
        held->attempts++;
        mtconnect_describe(result, reason, sizeof reason);
        finish_dead(judge, lane, reason);
        break;
    case VERDICT_REFUSED:
        judge_put_back(lane);
        break;
    case VERDICT_RETRY:
        if (judge->settings.breaker->state == BREAKER_CLOSED)
            count_failure(judge, lane, result);
        else
            judge_put_back(lane);
        break;
    }
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
    struct held *held = lane_pop(lane);
    if (verdict_of(result, true) == VERDICT_DELIVERED)
        judge->events.on_orphan_delivered(held, judge->arg);
    else
        held_free(held);
}

struct judge *judge_new(const struct judge_settings *settings, const struct judge_events *events,
                        void *arg)
{
    struct judge *judge = xcalloc(1, sizeof *judge);
    judge->settings = *settings;
    judge->events = *events;
    judge->arg = arg;
    judge->retry = (struct retry){.delays = settings->retry_delays,
                                  .breaker = settings->breaker,
                                  .mtconnect = settings->mtconnect,
                                  .metrics = settings->metrics};
    return judge;
}

void judge_free(struct judge *judge)
{
    free(judge);
}
