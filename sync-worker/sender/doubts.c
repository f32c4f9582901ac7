/* doubts.c - what operators are told of events that fail, and may order; see doubts.h */
#include "doubts.h"
#include "aside.h"
#include "outcome.h"
#include "base/clock.h"
#include "base/xalloc.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* --- remarks --- */

static json_t *clean_string(const char *text)
{
    char *clean = outcome_clean_text(text ? text : "");
    json_t *string = json_string(clean);
    free(clean);
    return string;
}

static json_t *remark(const struct lane *lane, int64_t now_ms)
{
    const struct held *head = lane->first;
    const struct blame_case *event = &head->blame;
    json_t *told = json_object();
    json_object_set_new(told, "machine", clean_string(lane->machine));
    json_object_set_new(told, "event", clean_string(head->envelope.event_id));
    json_object_set_new(told, "path", clean_string(head->envelope.path));
    json_object_set_new(told, "for_s", json_integer((now_ms - event->since_ms) / 1000));
    json_object_set_new(told, "answer", clean_string(head->answer));
    json_object_set_new(told, "counted", json_integer(event->counted));
    json_object_set_new(told, "probes", json_integer(event->probes));
    json_object_set_new(told, "stopped", json_boolean(lane->state == LANE_STOPPED));
    return told;
}

/* Puts the lane where it belongs among those that have failed longest; one may fall out. */
static void rank(const struct lane *each[DOUBTS_MAX], int *count, const struct lane *lane)
{
    int at = *count;
    while (at > 0 && each[at - 1]->first->blame.since_ms > lane->first->blame.since_ms)
        at--;
    if (at == DOUBTS_MAX)
        return;
    int last = *count < DOUBTS_MAX ? (*count)++ : DOUBTS_MAX - 1;
    for (int i = last; i > at; i--)
        each[i] = each[i - 1];
    each[at] = lane;
}

static bool is_in_trouble(const struct held *head)
{
    return head->blame.failed || head->refusals >= THROTTLE_OWN;
}

/* The machine with the most bytes, those put aside included. */
static const struct lane *find_largest(const struct lanes *lanes, size_t *bytes)
{
    const struct lane *largest = NULL;
    *bytes = 0;
    for (const struct lane *lane = lanes->table; lane; lane = lane->hh.next) {
        size_t sum = 0;
        for (const struct held *held = lane->first; held; held = held->next)
            sum += held->len;
        if (!largest || sum > *bytes) {
            largest = lane;
            *bytes = sum;
        }
    }
    return largest;
}

/* NULL: there is enough. */
static json_t *memory_remark(const struct lanes *lanes, const struct allowance *allowance)
{
    int aside = aside_count(lanes);
    int64_t unread_s = allowance_spent_s(allowance);
    size_t bytes;
    const struct lane *largest = find_largest(lanes, &bytes);
    if (!largest || (unread_s < 0 && !aside))
        return NULL;
    json_t *told = json_object();
    json_object_set_new(told, "unread_s", json_integer(unread_s));
    json_object_set_new(told, "held_bytes", json_integer((json_int_t)allowance_bytes(allowance)));
    json_object_set_new(told, "aside", json_integer(aside));
    json_object_set_new(told, "machine", clean_string(largest->machine));
    json_object_set_new(told, "machine_bytes", json_integer((json_int_t)bytes));
    return told;
}

char *doubts_remarks(const struct lanes *lanes, const struct allowance *allowance)
{
    const struct lane *each[DOUBTS_MAX] = {NULL};
    int count = 0, all = 0;
    for (const struct lane *lane = lanes->table; lane; lane = lane->hh.next) {
        if (is_in_trouble(lane->first)) {
            rank(each, &count, lane);
            all++;
        }
    }
    json_t *memory = memory_remark(lanes, allowance);
    if (!all && !memory)
        return NULL;
    json_t *waiting = json_array();
    int64_t now = mono_ms();
    for (int i = 0; i < count; i++)
        json_array_append_new(waiting, remark(each[i], now));
    json_t *remarks = json_pack("{s:o, s:i, s:o*}", "waiting", waiting, "more", all - count,
                                "memory", memory);
    char *text = remarks ? json_dumps(remarks, JSON_COMPACT) : NULL;
    json_decref(remarks);
    if (!text)
        out_of_memory(0);
    return text;
}

/* --- orders --- */

static struct lane *find_head(const struct lanes *lanes, const char *event_id)
{
    for (struct lane *lane = lanes->table; lane; lane = lane->hh.next) {
        if (strcmp(lane->first->envelope.event_id, event_id) == 0)
            return lane;
    }
    return NULL;
}

static struct lane *find_stopped(const struct lanes *lanes, const char *machine)
{
    struct lane *lane = lanes_find(lanes, machine);
    return lane && lane->state == LANE_STOPPED ? lane : NULL;
}

static char *let_go(struct judge *judge, struct lane *lane)
{
    char *machine = xstrdup(lane->machine), *event_id = xstrdup(lane->first->envelope.event_id);
    const char *why = judge_let_go(judge, lane);
    char *said = why ? xasprintf("not done: %s", why)
                     : xasprintf("event %s of %s is a dead letter", event_id, machine);
    free(machine);
    free(event_id);
    return said;
}

char *doubts_order(struct lanes *lanes, struct judge *judge, const char *order)
{
    json_t *told = json_loads(order, 0, NULL);
    const json_t *wanted = json_object_get(told, "let_go");
    const char *event_id = json_string_value(json_object_get(wanted, "event"));
    const char *machine = json_string_value(json_object_get(wanted, "machine"));
    struct lane *lane = event_id  ? find_head(lanes, event_id)
                        : machine ? find_stopped(lanes, machine)
                                  : NULL;
    json_decref(told);
    return lane ? let_go(judge, lane) : NULL;
}
