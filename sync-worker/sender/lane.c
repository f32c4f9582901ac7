/* lane.c - the lines of events, one a machine; see lane.h */
#include "lane.h"
#include "base/hash.h"
#include "base/xalloc.h"

#include <stdlib.h>
#include <string.h>

void lanes_init(struct lanes *lanes, struct loop *loop)
{
    memset(lanes, 0, sizeof *lanes);
    lanes->loop = loop;
}

void lanes_set_worker(struct lanes *lanes, void (*on_ready)(void *worker), void *worker)
{
    lanes->on_ready = on_ready;
    lanes->worker = worker;
}

static void leave_route(struct lane *lane)
{
    if (lane->route)
        lane->route->heads--;
    lane->route = NULL;
}

/* Its head is another one: it is counted at that one's route. */
static void follow_head(struct lane *lane)
{
    struct route *route = lane->first->route;
    leave_route(lane);
    route->heads++;
    lane->route = route;
}

static void queue(struct lane *lane, bool first)
{
    struct route *route = lane->route;
    lane->state = LANE_READY;
    if (first) {
        lane->run_next = route->run_first;
        if (!route->run_first)
            route->run_last = &lane->run_next;
        route->run_first = lane;
    } else {
        lane->run_next = NULL;
        *route->run_last = lane;
        route->run_last = &lane->run_next;
    }
}

/*
 * A head that comes anew. While the route is asked by single probes, one that has not failed goes
 * before those that have: it is the likelier sign of life, and none of them should hold it up.
 */
static void queue_new_head(struct lane *lane)
{
    queue(lane, lane->route->breaker.state != BREAKER_CLOSED && !lane->first->blame.failed);
}

static void unqueue(struct lane *lane)
{
    struct route *route = lane->route;
    struct lane **at = &route->run_first;
    while (*at != lane)
        at = &(*at)->run_next;
    *at = lane->run_next;
    if (!*at)
        route->run_last = at;
}

static struct lane *lane_new(struct lanes *lanes, const char *machine)
{
    struct lane *lane = xcalloc(1, sizeof *lane);
    lane->lanes = lanes;
    lane->machine = xstrdup(machine);
    lane->fingerprint = hash_text(machine, 0);
    lane->last = &lane->first;
    HASH_ADD_KEYPTR(hh, lanes->table, lane->machine, strlen(lane->machine), lane);
    lanes->count++;
    return lane;
}

static void lane_free(struct lane *lane)
{
    leave_route(lane);
    HASH_DELETE(hh, lane->lanes->table, lane);
    lane->lanes->count--;
    if (lane->retry)
        timer_free(lane->retry);
    free(lane->machine);
    free(lane);
}

void lanes_push(struct lanes *lanes, struct held *held)
{
    struct lane *lane;
    const char *machine = held->envelope.machine;
    HASH_FIND_STR(lanes->table, machine, lane);
    bool is_new = !lane;
    if (is_new)
        lane = lane_new(lanes, machine);
    held->next = NULL;
    *lane->last = held;
    lane->last = &held->next;
    if (is_new) {
        follow_head(lane);
        queue_new_head(lane);
    }
    lanes->held_count++;
    if (lane->aside)
        held_put_aside(held);
}

int64_t lanes_oldest_us(const struct lanes *lanes)
{
    int64_t oldest_us = 0;
    for (const struct lane *lane = lanes->table; lane; lane = lane->hh.next) {
        int64_t created_us = lane->first->envelope.created_us;
        if (created_us && (!oldest_us || created_us < oldest_us))
            oldest_us = created_us;
    }
    return oldest_us;
}

struct lane *lanes_take(struct route *route)
{
    struct lane *lane = route->run_first;
    if (!lane)
        return NULL;
    route->run_first = lane->run_next;
    if (!route->run_first)
        route->run_last = &route->run_first;
    lane->state = LANE_BUSY;
    return lane;
}

void lane_ready(struct lane *lane, bool first)
{
    queue(lane, first);
}

/* What a waiting lane waited for is over. */
static void end_wait(struct lane *lane)
{
    timer_cancel(lane->retry);
    lane->route->doubted -= lane->doubted;
    lane->doubted = false;
}

static void on_retry_due(void *arg)
{
    struct lane *lane = arg;
    end_wait(lane);
    queue(lane, false);
    lane->lanes->on_ready(lane->lanes->worker);
}

void lane_wait(struct lane *lane, int64_t ms, bool doubted)
{
    if (!lane->retry)
        lane->retry = timer_new(lane->lanes->loop, on_retry_due, lane);
    timer_in(lane->retry, ms);
    lane->state = LANE_WAITING;
    lane->doubted = doubted;
    lane->route->doubted += doubted;
}

void lane_stop(struct lane *lane)
{
    lane->state = LANE_STOPPED;
}

struct lane *lanes_find(const struct lanes *lanes, const char *machine)
{
    struct lane *lane;
    HASH_FIND_STR(lanes->table, machine, lane);
    return lane;
}

bool lane_seize(struct lane *lane)
{
    switch (lane->state) {
    case LANE_BUSY:
    case LANE_STILL:
        return false;
    case LANE_READY:
        unqueue(lane);
        break;
    case LANE_WAITING:
        end_wait(lane);
        break;
    case LANE_STOPPED:
        break;
    }
    lane->state = LANE_BUSY;
    return true;
}

void lane_still(struct lane *lane)
{
    lane->state = LANE_STILL;
}

struct held *lane_pop(struct lane *lane)
{
    struct held *held = lane->first;
    lane->first = held->next;
    lane->lanes->held_count--;
    if (lane->first) {
        follow_head(lane);
        queue_new_head(lane);
    } else {
        lane_free(lane);
    }
    held->next = NULL;
    return held;
}

void lanes_wake(struct lanes *lanes, const struct route *route,
                bool (*wanted)(const struct lane *lane, void *arg), void *arg)
{
    for (struct lane *lane = lanes->table; lane; lane = lane->hh.next) {
        if (lane->state != LANE_WAITING || !lane->doubted || (route && lane->route != route))
            continue;
        if (wanted && !wanted(lane, arg))
            continue;
        end_wait(lane);
        queue(lane, false);
    }
}

/* Frees the lane's events of `partition`, from the second on if the head is worked on. */
static void drop_events(struct lane *lane, const struct partition *partition)
{
    struct held **at = &lane->first;
    if (lane->state == LANE_BUSY)
        at = &lane->first->next;
    while (*at) {
        struct held *held = *at;
        if (partition && held->partition != partition) {
            at = &held->next;
            continue;
        }
        *at = held->next;
        lane->lanes->held_count--;
        held_free(held);
    }
    lane->last = at;
    lane->aside = false;
    for (const struct held *held = lane->first; held; held = held->next)
        lane->aside |= held->aside;
}

void lanes_drop(struct lanes *lanes, const struct partition *partition)
{
    struct lane *next;
    for (struct lane *lane = lanes->table; lane; lane = next) {
        next = lane->hh.next;
        struct held *head = lane->first;
        drop_events(lane, partition);
        if (lane->state == LANE_BUSY || lane->first == head)
            continue;
        /* The head is gone, and with it what the lane was waiting for. */
        if (lane->state == LANE_READY)
            unqueue(lane);
        if (lane->state == LANE_WAITING)
            end_wait(lane);
        if (lane->first) {
            follow_head(lane);
            queue(lane, false);
        } else {
            lane_free(lane);
        }
    }
}

void lanes_free(struct lanes *lanes)
{
    struct lane *next;
    for (struct lane *lane = lanes->table; lane; lane = next) {
        next = lane->hh.next;
        while (lane->first) {
            struct held *held = lane->first;
            lane->first = held->next;
            held_free(held);
        }
        lane_free(lane);
    }
}
