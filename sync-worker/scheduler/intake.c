/*
 * intake.c - mtc.cycle-times: what web-hooks brought, taken in batches; see intake.h
 *
 * Diagnostics: a message that can't be read, or that names a machine nobody knows, is an error and
 * a dead letter; it is somebody's experiment or a name that drifted, and must not stop the others.
 */
#include "intake.h"
#include "suite/envelope.h"
#include "base/log.h"
#include "base/rfc3339.h"
#include "suite/topology.h"
#include "base/xalloc.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_MAX 500

struct hook {
    uint64_t delivery_tag;
    uint64_t burial_tag; /* confirm that acks it; 0: not among the dead */
    char *body;
    size_t len;
    int machine_id; /* 0: named by its name, or not at all */
    int64_t observed_us;
    struct hook *next;
};

struct intake {
    struct service *service;
    struct scheduler_metrics *metrics;
    struct newest *newest;
    void (*arrived)(void *arg);
    void *arg;
    struct amqp_chan *chan;
    struct hook *first, **last; /* waiting, in order of arrival */
    struct hook *applying;      /* the batch under way */
    struct hook *buried;        /* dead letters the broker has not confirmed yet */
    bool one_by_one;
};

static void hook_free(struct hook *hook)
{
    free(hook->body);
    free(hook);
}

static void free_all(struct hook **list)
{
    while (*list) {
        struct hook *hook = *list;
        *list = hook->next;
        hook_free(hook);
    }
}

static void forget_all(struct intake *intake)
{
    free_all(&intake->first);
    free_all(&intake->applying);
    free_all(&intake->buried);
    intake->last = &intake->first;
    intake->one_by_one = false;
}

static struct hook *take_first(struct intake *intake)
{
    struct hook *hook = intake->first;
    intake->first = hook->next;
    if (!intake->first)
        intake->last = &intake->first;
    hook->next = NULL;
    return hook;
}

static void ack(struct intake *intake, struct hook *hook)
{
    amqp_chan_ack(intake->chan, hook->delivery_tag, false);
    hook_free(hook);
}

/* Acked when the broker has confirmed the copy. */
static void bury(struct intake *intake, struct hook *hook, const char *reason)
{
    struct envelope envelope = {.kind = "cycle-time"};
    struct envelope_properties message;
    log_error("web-hook not applied; it goes to the dead letters", LF_S("reason", reason),
              LF_S("body", hook->body));
    metric_add(intake->metrics->dead, 1);
    envelope_write(&envelope, &message);
    envelope_add_text(&message, "reason", reason);
    hook->burial_tag = amqp_chan_publish(intake->chan, TOPOLOGY_DEAD, amqp_text(""),
                                         &message.properties, hook->body, hook->len);
    if (!hook->burial_tag) {
        amqp_conn_fail(amqp_chan_conn(intake->chan), "a dead letter does not fit into a frame");
        hook->burial_tag = UINT64_MAX;
    }
    hook->next = intake->buried;
    intake->buried = hook;
}

/* --- from the broker --- */

/* What is needed to know whether it is late. False: it is not what receivers write. */
static bool read_hook(struct hook *hook)
{
    json_t *json = json_loadb(hook->body, hook->len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *machine = json_object_get(json, "machine");
    const char *when = json_string_value(json_object_get(json, "observed_at"));
    bool good = (json_is_integer(machine) || json_is_string(machine)) &&
                json_is_number(json_object_get(json, "cycle_time")) &&
                json_is_string(json_object_get(json, "source")) && when &&
                rfc3339_parse(when, &hook->observed_us);
    json_int_t id = json_integer_value(machine);
    hook->machine_id = id > 0 && id <= INT32_MAX ? (int)id : 0;
    json_decref(json);
    return good;
}

static void on_delivery(struct amqp_chan *chan, struct amqp_incoming *incoming, void *arg)
{
    struct intake *intake = arg;
    if (chan != intake->chan) /* one that is being closed: the broker has it back */
        return;
    struct hook *hook = xcalloc(1, sizeof *hook);
    hook->delivery_tag = incoming->delivery_tag;
    hook->body = incoming->body;
    hook->len = incoming->len;
    incoming->body = NULL;
    metric_add(intake->metrics->hooks, 1);
    if (!read_hook(hook)) {
        bury(intake, hook, "not a cycle time");
        return;
    }
    *intake->last = hook;
    intake->last = &hook->next;
    intake->arrived(intake->arg);
}

static void on_confirm(struct amqp_chan *chan, uint64_t tag, bool multiple, bool is_ack, void *arg)
{
    struct intake *intake = arg;
    if (chan != intake->chan)
        return;
    if (!is_ack) {
        amqp_conn_fail(amqp_chan_conn(chan), "the broker refused a dead letter");
        return;
    }
    for (struct hook **at = &intake->buried; *at;) {
        struct hook *hook = *at;
        if (hook->burial_tag == tag || (multiple && hook->burial_tag < tag)) {
            *at = hook->next;
            ack(intake, hook);
        } else {
            at = &hook->next;
        }
    }
}

static void on_return(struct amqp_chan *chan, struct amqp_incoming *incoming, void *arg)
{
    (void)incoming;
    (void)arg;
    amqp_conn_fail(amqp_chan_conn(chan), "mtc.dead has no queue");
}

static void on_closed(struct amqp_chan *chan, int code, const char *text, void *arg)
{
    struct intake *intake = arg;
    if (chan != intake->chan) /* intake_stop() asked for it */
        return;
    (void)code;
    intake_on_conn_down(intake);
    amqp_conn_fail(amqp_chan_conn(chan), text);
}

static void on_cancelled(struct amqp_chan *chan, void *arg)
{
    (void)arg;
    amqp_conn_fail(amqp_chan_conn(chan), "the broker cancelled the consumer of mtc.cycle-times");
}

void intake_start(struct intake *intake, struct amqp_conn *conn)
{
    static const struct amqp_chan_events events = {.on_closed = on_closed,
                                                   .on_delivery = on_delivery,
                                                   .on_confirm = on_confirm,
                                                   .on_return = on_return,
                                                   .on_cancelled = on_cancelled};
    intake->chan = amqp_chan_open(conn, &events, intake);
    if (!intake->chan) {
        amqp_conn_fail(conn, "no channel left");
        return;
    }
    amqp_chan_confirm_select(intake->chan);
    amqp_chan_consume(intake->chan, TOPOLOGY_CYCLE_TIMES, intake->service->connection_name,
                      (uint16_t)intake->service->config->scheduler_prefetch, 0, NULL, NULL);
}

void intake_stop(struct intake *intake)
{
    struct amqp_chan *chan = intake->chan;
    intake_on_conn_down(intake);
    if (chan)
        amqp_chan_close(chan);
}

void intake_on_conn_down(struct intake *intake)
{
    intake->chan = NULL;
    forget_all(intake);
}

bool intake_is_started(const struct intake *intake)
{
    return intake->chan != NULL;
}

/* --- into PostgreSQL --- */

static bool is_stale(struct intake *intake, const struct hook *hook)
{
    return hook->machine_id && newest_is_stale(intake->newest, hook->machine_id, hook->observed_us);
}

struct batch intake_take_batch(struct intake *intake)
{
    struct batch batch = {0};
    struct hook **end = &intake->applying;
    if (intake->applying)
        return batch;
    int most = intake->one_by_one ? 1 : BATCH_MAX;
    while (intake->first && batch.count < most) {
        struct hook *hook = take_first(intake);
        if (is_stale(intake, hook)) {
            metric_add(intake->metrics->older, 1);
            ack(intake, hook);
            continue;
        }
        batch_add_text(&batch, hook->body, hook->len);
        *end = hook;
        end = &hook->next;
    }
    return batch;
}

static bool is_among(int wanted, const int *numbers, int count)
{
    for (int i = 0; i < count; i++) {
        if (numbers[i] == wanted)
            return true;
    }
    return false;
}

void intake_applied(struct intake *intake, const int *unknown, int unknown_count)
{
    for (int n = 0; intake->applying; n++) {
        struct hook *hook = intake->applying;
        intake->applying = hook->next;
        if (is_among(n, unknown, unknown_count)) {
            bury(intake, hook, "unknown machine");
            continue;
        }
        if (hook->machine_id)
            newest_note(intake->newest, hook->machine_id, hook->observed_us);
        ack(intake, hook);
    }
    intake->one_by_one = intake->one_by_one && intake->first;
}

/* Puts the batch back where it was taken from. */
void intake_uncertain(struct intake *intake)
{
    if (!intake->applying)
        return;
    struct hook *end = intake->applying;
    while (end->next)
        end = end->next;
    end->next = intake->first;
    if (!intake->first)
        intake->last = &end->next;
    intake->first = intake->applying;
    intake->applying = NULL;
}

void intake_refused(struct intake *intake, const char *reason)
{
    if (intake->applying && !intake->applying->next) {
        struct hook *hook = intake->applying;
        intake->applying = NULL;
        bury(intake, hook, reason);
        return;
    }
    intake->one_by_one = true;
    intake_uncertain(intake);
}

struct intake *intake_new(struct service *service, struct scheduler_metrics *metrics,
                          struct newest *newest, void (*arrived)(void *arg), void *arg)
{
    struct intake *intake = xcalloc(1, sizeof *intake);
    intake->service = service;
    intake->metrics = metrics;
    intake->newest = newest;
    intake->arrived = arrived;
    intake->arg = arg;
    intake->last = &intake->first;
    return intake;
}

void intake_free(struct intake *intake)
{
    if (!intake)
        return;
    forget_all(intake);
    free(intake);
}
