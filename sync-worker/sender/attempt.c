/*
 * attempt.c - sending the heads of the lanes; see attempt.h
 *
 * Diagnostics: each retry, each dead event and each change of the breaker is a line with event,
 * machine and attempt.
 */
#include "attempt.h"
#include "base/clock.h"
#include "base/log.h"
#include "settle.h"
#include "base/xalloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URL_BYTES 2048

/* A callback is given the lane; the lanes know their sender. */
static struct sender *sender_of(const struct lane *lane)
{
    return lane->lanes->arg;
}

static void send_head(struct sender *sender, struct lane *lane);

static int most_attempts(const struct sender *sender)
{
    return sender->service->config->sender_retry_delays_s.count + 1;
}

/* --- verdicts --- */

static void finish_delivered(struct sender *sender, struct lane *lane, bool skipped)
{
    struct held *held = lane_pop(lane);
    if (skipped)
        metric_add(sender->metrics.skipped, 1);
    settle_delivered(sender->settle, held, skipped);
}

static void finish_dead(struct sender *sender, struct lane *lane, const char *reason)
{
    struct held *held = lane_pop(lane);
    held->reason = xstrdup(reason);
    log_error("event is dead", LF_S("event", held->envelope.event_id),
              LF_S("machine", held->envelope.machine), LF_S("type", held->envelope.type),
              LF_I("attempt", held->attempts), LF_S("reason", reason),
              LF_S("response", held->response));
    settle_dead(sender->settle, held);
}

static void describe(const struct http_result *result, char *out, size_t size)
{
    if (result->status)
        snprintf(out, size, "HTTP %ld", result->status);
    else
        snprintf(out, size, "no answer: %s", result->error);
}

/* The head goes to the back of the run queue: other machines get their turn as probes. */
static void put_back(struct lane *lane)
{
    partition_end_work(lane->first);
    lane_ready(lane, false);
}

static void retry_later(struct sender *sender, struct lane *lane, const struct http_result *result)
{
    const struct config *config = sender->service->config;
    struct held *held = lane->first;
    char what[160];
    describe(result, what, sizeof what);
    int64_t pause = config->sender_retry_delays_s.ms[held->attempts - 1];
    int64_t asked = result->retry_after_s * 1000, most = config->sender_retry_after_max_s * 1000;
    if (asked > most)
        asked = most;
    if (asked > pause)
        pause = asked;
    metric_add(sender->metrics.retried, 1);
    log_warn("event will be retried", LF_S("event", held->envelope.event_id),
             LF_S("machine", held->envelope.machine), LF_I("attempt", held->attempts),
             LF_S("reason", what), LF_I("retry_ms", pause));
    partition_end_work(held);
    lane_wait(lane, pause);
}

static void count_failure(struct sender *sender, struct lane *lane,
                          const struct http_result *result)
{
    struct held *held = lane->first;
    held->attempts++;
    if (held->streak != sender->breaker.streak) {
        held->streak = sender->breaker.streak;
        held->streak_attempts = 0;
    }
    held->streak_attempts++;
    if (held->attempts < most_attempts(sender)) {
        retry_later(sender, lane, result);
        return;
    }
    char what[160], reason[224];
    describe(result, what, sizeof what);
    snprintf(reason, sizeof reason, "%d attempts failed, the last: %s", held->attempts, what);
    finish_dead(sender, lane, reason);
}

/* It was the destination, not the events: what this streak cost them is given back, and nobody
 * waits alone. */
static void on_breaker_opened(struct sender *sender, const struct http_result *result)
{
    char what[160];
    describe(result, what, sizeof what);
    log_error("breaker open: MTConnect does not take events; they wait", LF_S("reason", what),
              LF_I("failures", sender->breaker.failures), LF_I("lanes", sender->lanes.count));
    metric_add(sender->metrics.breaker_opened, 1);
    for (struct lane *lane = sender->lanes.table; lane; lane = lane->hh.next) {
        struct held *held = lane->first;
        if (held->streak != sender->breaker.streak)
            continue;
        held->attempts -= held->streak_attempts;
        held->streak = 0;
        held->streak_attempts = 0;
        if (lane->state == LANE_WAITING) {
            timer_cancel(lane->retry);
            lane_ready(lane, false);
        }
    }
}

static void tell_breaker(struct sender *sender, const struct lane *lane,
                         const struct http_result *result)
{
    enum breaker_state before = sender->breaker.state;
    bool opened = breaker_tell(&sender->breaker, evidence_of(result), lane->fingerprint,
                               sender->lanes.count, mono_ms());
    if (opened)
        on_breaker_opened(sender, result);
    else if (before != BREAKER_CLOSED && sender->breaker.state == BREAKER_CLOSED)
        log_info("breaker closed: MTConnect takes events again",
                 LF_I("held", sender->lanes.held_count));
    if (evidence_of(result) == EVIDENCE_REFUSED)
        sender_read_api_key(sender); /* somebody may have put the right one there */
}

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

static void judge(struct sender *sender, struct lane *lane, const struct http_result *result)
{
    struct held *held = lane->first;
    enum verdict verdict = verdict_of(result, held->repeated);
    if (verdict == VERDICT_REPEAT && !sender->draining) {
        metric_add(sender->metrics.repeats, 1);
        held->repeated = true;
        send_head(sender, lane);
        return;
    }
    held->repeated = false;
    keep_answer(held, result);
    tell_breaker(sender, lane, result);
    if (verdict == VERDICT_DELIVERED) {
        held->attempts++;
        finish_delivered(sender, lane, false);
    } else if (verdict == VERDICT_DEAD) {
        char reason[32];
        held->attempts++;
        describe(result, reason, sizeof reason);
        finish_dead(sender, lane, reason);
    } else if (verdict == VERDICT_REFUSED || sender->breaker.state != BREAKER_CLOSED) {
        put_back(lane);
    } else {
        count_failure(sender, lane, result);
    }
}

/* --- requests --- */

static void count_answer(struct sender *sender, const struct http_result *result)
{
    long hundreds = result->status / 100;
    metric_add(sender->metrics.answers[result->status == 0              ? 0
                                       : hundreds >= 2 && hundreds <= 5 ? hundreds
                                                                        : 1],
               1);
    metric_observe(sender->metrics.request_seconds, result->seconds);
}

static void on_answer(const struct http_result *result, void *arg)
{
    struct lane *lane = arg;
    struct sender *sender = sender_of(lane);
    count_answer(sender, result);
    if (held_is_ours(lane->first)) {
        judge(sender, lane, result);
    } else {
        /* The broker has taken the event back meanwhile and will deliver it again, to us or to
         * another: what it will ask then is whether this request succeeded. */
        struct held *held = lane_pop(lane);
        breaker_tell(&sender->breaker, evidence_of(result), 0, sender->lanes.count, mono_ms());
        if (verdict_of(result, true) == VERDICT_DELIVERED)
            settle_orphan(sender->settle, held);
        else
            held_free(held);
    }
    sender_run_soon(sender);
}

static void send_head(struct sender *sender, struct lane *lane)
{
    struct held *held = lane->first;
    const struct config *config = sender->service->config;
    char url[URL_BYTES], key[192], trace[192];
    struct http_request http = {.method = "POST", .url = url, .body = held->body, .len = held->len};
    int count = 0;
    size_t base = strlen(config->mtconnect_base_url);
    while (base && config->mtconnect_base_url[base - 1] == '/')
        base--;
    snprintf(url, sizeof url, "%.*s%s", (int)base, config->mtconnect_base_url, held->envelope.path);
    snprintf(key, sizeof key, "X-Idempotency-Key: %s", held->envelope.event_id);
    http.headers[count++] = "Content-Type: application/json";
    http.headers[count++] = "Expect:"; /* no 100-continue: it costs a round trip */
    http.headers[count++] = key;
    if (sender->api_key_header)
        http.headers[count++] = sender->api_key_header;
    if (held->envelope.traceparent) {
        snprintf(trace, sizeof trace, "traceparent: %s", held->envelope.traceparent);
        http.headers[count++] = trace;
    }
    http.fresh = held->repeated;
    if (!http_client_start(sender->http, &http, on_answer, lane)) {
        /* No room: its turn comes again. */
        held->repeated = false;
        put_back(lane);
        return;
    }
    breaker_on_start(&sender->breaker);
}

/* --- has it been sent before? --- */

static void on_looked_up(const redisReply *reply, const struct redis_error *error, void *arg)
{
    (void)error; /* what Redis does not know and what it can't say is sent, both */
    struct lane *lane = arg;
    struct sender *sender = sender_of(lane);
    struct held *held = lane->first;
    held->check = false;
    if (!held_is_ours(held)) {
        held_free(lane_pop(lane));
    } else if (reply && reply->type == REDIS_REPLY_STRING) {
        finish_delivered(sender, lane, true);
    } else {
        /* Not known, or Redis can't say: send it, as soon as the breaker allows. */
        partition_end_work(held);
        lane_ready(lane, true);
    }
    sender_run_soon(sender);
}

static bool look_up_sent_key(struct sender *sender, struct lane *lane)
{
    char key[HELD_NAME + sizeof SENT_KEY_PREFIX], name[HELD_NAME];
    snprintf(key, sizeof key, SENT_KEY_PREFIX "%s", held_name(lane->first, name));
    const char *words[] = {"GET", key};
    return sender->redis && redis_conn_command(sender->redis, 2, words, on_looked_up, lane);
}

static void start_head(struct sender *sender, struct lane *lane)
{
    struct held *held = lane->first;
    if (sender->handing_back) {
        lane_still(lane);
        return;
    }
    char name[HELD_NAME];
    partition_begin_work(held);
    if (recent_has(sender->recent, held_name(held, name))) {
        finish_delivered(sender, lane, true);
        return;
    }
    if (held->check && look_up_sent_key(sender, lane))
        return;
    held->check = false;
    send_head(sender, lane);
}

void attempt_run(struct sender *sender)
{
    int64_t now = mono_ms();
    while (sender->lanes.run_first && !sender->closing && !sender->paused &&
           http_client_has_room(sender->http) &&
           breaker_allows(&sender->breaker, http_client_under_way(sender->http), now))
        start_head(sender, lanes_take(&sender->lanes));
    if (sender->lanes.run_first && !sender->paused && sender->breaker.state == BREAKER_OPEN) {
        timer_in(sender->run, sender->breaker.probe_at_ms - now + 1);
    }
}
