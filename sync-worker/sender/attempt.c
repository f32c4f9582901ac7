/* attempt.c - sending the heads of the lanes; see attempt.h */
#include "attempt.h"
#include "partition.h"
#include "base/clock.h"
#include "base/timer.h"
#include "base/xalloc.h"

#include <stdlib.h>

struct attempts {
    struct attempts_settings settings;
    struct timer *run;
    bool paused;
};

/* Callbacks are given the lane. */
static struct attempts *attempts_of(const struct lane *lane)
{
    return lane->lanes->worker;
}

static void send_head(struct attempts *attempts, struct lane *lane);

/* --- requests --- */

static struct metric *answers_of(const struct sender_metrics *metrics, long status)
{
    if (status == 0)
        return metrics->answers_none;
    switch (status / 100) {
    case 2:
        return metrics->answers_2xx;
    case 3:
        return metrics->answers_3xx;
    case 4:
        return metrics->answers_4xx;
    case 5:
        return metrics->answers_5xx;
    default:
        return metrics->answers_other;
    }
}

/* Its connection died before MTConnect could say anything: at once, uncounted, on a new one. */
static void repeat_at_once(struct attempts *attempts, struct lane *lane)
{
    metric_add(attempts->settings.metrics->repeats, 1);
    lane->first->repeated = true;
    send_head(attempts, lane);
}

static void on_answer(const struct http_result *result, void *arg)
{
    struct lane *lane = arg;
    struct held *held = lane->first;
    struct attempts *attempts = attempts_of(lane);
    const struct attempts_settings *settings = &attempts->settings;
    metric_add(answers_of(settings->metrics, result->status), 1);
    metric_observe(settings->metrics->request_seconds, result->seconds);
    held->route->under_way--;
    bool may_repeat = !held->repeated && !hand_back_is_draining(settings->hand_back);
    if (!partition_owns(held))
        judge_orphan(settings->judge, lane, result);
    else if (!judge_answer(settings->judge, lane, result, may_repeat))
        repeat_at_once(attempts, lane);
    attempts_run_soon(attempts);
}

static void send_head(struct attempts *attempts, struct lane *lane)
{
    struct held *held = lane->first;
    struct mtconnect_event event = {.path = held->envelope.path,
                                    .key = held->envelope.event_id,
                                    .traceparent = held->envelope.traceparent,
                                    .body = held->body,
                                    .len = held->len,
                                    .fresh = held->fresh || held->repeated};
    if (!mtconnect_post(attempts->settings.mtconnect, &event, on_answer, lane)) {
        /* No room: its turn comes again. */
        held->repeated = false;
        judge_put_back(lane);
        return;
    }
    if (!held->repeated)
        held->began_ms = mono_ms();
    held->route->under_way++;
    breaker_on_start(&held->route->breaker);
}

/* --- has it been sent before? --- */

static void look_is_done(struct lane *lane)
{
    struct attempts *attempts = attempts_of(lane);
    struct held *held = lane->first;
    if (--held->looking)
        return;
    held->check = false;
    if (!partition_owns(held)) {
        held_free(lane_pop(lane));
    } else if (held->found) {
        judge_sent_before(attempts->settings.judge, lane);
    } else if (held->blame.convicted && judge_stops(attempts->settings.judge)) {
        partition_end_work(held);
        lane_stop(lane);
    } else {
        /* It is sent as soon as its route may be asked. */
        partition_end_work(held);
        lane_ready(lane, true);
    }
    attempts_run_soon(attempts);
}

/* What Redis does not know and what it can't say is sent, both. */
static void on_sent_key(const redisReply *reply, const struct redis_error *error, void *arg)
{
    (void)error;
    struct lane *lane = arg;
    lane->first->found = sent_key_is_found(reply);
    look_is_done(lane);
}

static void on_suspect(const redisReply *reply, const struct redis_error *error, void *arg)
{
    (void)error;
    struct lane *lane = arg;
    suspect_read(reply, &lane->first->blame);
    look_is_done(lane);
}

/* Neither done is called from inside its call. */
static bool look_up(struct attempts *attempts, struct lane *lane)
{
    const struct attempts_settings *settings = &attempts->settings;
    struct held *held = lane->first;
    held->looking = sent_key_look_up(settings->sent_keys, held, on_sent_key, lane);
    held->looking += suspect_look_up(settings->redis, held, on_suspect, lane);
    return held->looking > 0;
}

static void start_head(struct attempts *attempts, struct lane *lane)
{
    struct held *held = lane->first;
    struct sent_keys *sent_keys = attempts->settings.sent_keys;
    /* One that is no longer ours goes when its connection is told to be down. */
    if (hand_back_is_begun(attempts->settings.hand_back) || !partition_owns(held)) {
        lane_still(lane);
        return;
    }
    if (held->aside) { /* it comes again with its body */
        lane_still(lane);
        hand_back_begin(attempts->settings.hand_back, "the next event was put aside");
        return;
    }
    partition_begin_work(held);
    if (sent_key_is_recent(sent_keys, held)) {
        judge_sent_before(attempts->settings.judge, lane);
        return;
    }
    if (held->check && look_up(attempts, lane))
        return;
    held->check = false;
    send_head(attempts, lane);
}

/* --- running --- */

static bool may_start(const struct attempts *attempts, int64_t now_ms)
{
    const struct attempts_settings *settings = &attempts->settings;
    return !attempts->paused && !hand_back_is_closing(settings->hand_back) &&
           mtconnect_has_room(settings->mtconnect) &&
           throttle_allows(settings->throttle, mtconnect_under_way(settings->mtconnect), now_ms);
}

/* One lane of each route that has one and may be asked. False: there was none. */
static bool run_round(struct attempts *attempts, int64_t now_ms)
{
    bool any = false;
    struct route *route = routes_first(attempts->settings.routes);
    for (; route; route = routes_next(attempts->settings.routes, route)) {
        if (!lanes_has_ready(route) || !breaker_allows(&route->breaker, route->under_way, now_ms) ||
            !may_start(attempts, now_ms))
            continue;
        start_head(attempts, lanes_take(route));
        any = true;
    }
    return any;
}

/* When something that is ready may go without anything else happening; 0: now, or never. */
static int64_t next_time(const struct attempts *attempts, int64_t now_ms)
{
    int64_t held_until = throttle_holds_until(attempts->settings.throttle, now_ms), next = 0;
    if (!held_until && !may_start(attempts, now_ms))
        return 0; /* an answer, or whoever stopped us, calls again */
    const struct route *route = routes_first(attempts->settings.routes);
    for (; route; route = routes_next(attempts->settings.routes, route)) {
        if (!lanes_has_ready(route))
            continue;
        int64_t at = held_until;
        if (route->breaker.state == BREAKER_OPEN && route->breaker.probe_at_ms > at)
            at = route->breaker.probe_at_ms;
        if (at && (!next || at < next))
            next = at;
    }
    return next;
}

static void attempts_run(void *arg)
{
    struct attempts *attempts = arg;
    int64_t now = mono_ms();
    while (run_round(attempts, now))
        ;
    int64_t next = next_time(attempts, now);
    if (next)
        timer_in(attempts->run, next - now + 1);
}

void attempts_run_soon(struct attempts *attempts)
{
    timer_soon(attempts->run);
}

static void on_lane_ready(void *worker)
{
    attempts_run_soon(worker);
}

void attempts_pause(struct attempts *attempts, bool paused)
{
    attempts->paused = paused;
}

bool attempts_are_paused(const struct attempts *attempts)
{
    return attempts->paused;
}

struct attempts *attempts_new(const struct attempts_settings *settings)
{
    struct attempts *attempts = xcalloc(1, sizeof *attempts);
    attempts->settings = *settings;
    attempts->run = timer_new(settings->loop, attempts_run, attempts);
    lanes_set_worker(settings->lanes, on_lane_ready, attempts);
    return attempts;
}

void attempts_free(struct attempts *attempts)
{
    if (!attempts)
        return;
    timer_free(attempts->run);
    free(attempts);
}
