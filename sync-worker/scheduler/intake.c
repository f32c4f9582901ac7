/*
 * intake.c - mtc.cycle-times: what web-hooks brought, taken in batches; see intake.h
 *
 * Diagnostics: a message that can't be read, or that names a machine nobody knows, is an error and
 * a dead letter; it is somebody's experiment or a name that drifted, and must not stop the others.
 */
#include "intake.h"
#include "shares.h"
#include "base/log.h"
#include "base/rfc3339.h"
#include "base/xalloc.h"
#include "suite/consumer.h"
#include "suite/topology.h"

#include <jansson.h>
#include <stdlib.h>

/* delivery->note; a machine of 0 is told by its name, an observation of 0 has no time */
enum { NOTE_MACHINE, NOTE_OBSERVED_US, NOTE_ARRIVED_US };

struct intake {
    struct newest *newest;
    struct scheduler_metrics *metrics;
    struct intake_events events;
    void *arg;
    struct consumer *consumer;
    const struct delivery *applying; /* the batch under way; the consumer's */
};

/* --- what a message says --- */

static bool read_time(const json_t *value, int64_t *us)
{
    const char *text = json_string_value(value);
    return text && rfc3339_parse(text, us);
}

/* Older receivers wrote one time and not whose it is: it is taken for the arrival. */
static bool read_times(const json_t *json, int64_t *note)
{
    int64_t observed_us;
    const json_t *arrived_at = json_object_get(json, "arrived_at");
    if (!read_time(json_object_get(json, "observed_at"), &observed_us))
        return false;
    if (json_is_true(json_object_get(json, "dated")))
        note[NOTE_OBSERVED_US] = observed_us;
    note[NOTE_ARRIVED_US] = observed_us;
    return !arrived_at || read_time(arrived_at, &note[NOTE_ARRIVED_US]);
}

/* Notes what is needed to know whether it is late. False: it is not what receivers write. */
static bool read_hook(struct delivery *delivery)
{
    json_t *json = json_loadb(delivery->body, delivery->len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *machine = json_object_get(json, "machine");
    bool good = (json_is_integer(machine) || json_is_string(machine)) &&
                json_is_number(json_object_get(json, "cycle_time")) &&
                json_is_string(json_object_get(json, "source")) && read_times(json, delivery->note);
    json_int_t id = json_integer_value(machine);
    delivery->note[NOTE_MACHINE] = id > 0 && id <= INT32_MAX ? id : 0;
    json_decref(json);
    return good;
}

static const char *check(struct delivery *delivery, const amqp_basic_properties_t *properties,
                         void *arg)
{
    const struct intake *intake = arg;
    (void)properties;
    metric_add(intake->metrics->hooks, 1);
    return read_hook(delivery) ? NULL : "not a cycle time";
}

static struct hook_times times_of(const struct delivery *delivery)
{
    return (struct hook_times){.machine_id = (int)delivery->note[NOTE_MACHINE],
                               .observed_us = delivery->note[NOTE_OBSERVED_US],
                               .arrived_us = delivery->note[NOTE_ARRIVED_US]};
}

static bool is_obsolete(const struct delivery *delivery, void *arg)
{
    const struct intake *intake = arg;
    struct hook_times times = times_of(delivery);
    if (!times.machine_id)
        return false;
    enum hook_rank rank = newest_rank_hook(intake->newest, &times);
    if (rank == HOOK_OVERTAKEN)
        intake->events.on_doubt(times.machine_id, intake->arg);
    if (rank != HOOK_OVERTAKEN && rank != HOOK_OLDER)
        return false;
    metric_add(intake->metrics->older, 1);
    return true;
}

static void on_buried(const struct delivery *delivery, const char *reason, void *arg)
{
    const struct intake *intake = arg;
    log_error("web-hook not applied; it goes to the dead letters", LF_S("reason", reason),
              LF_S("body", delivery->body));
    metric_add(intake->metrics->dead, 1);
}

static void on_message_arrived(void *arg)
{
    const struct intake *intake = arg;
    intake->events.on_arrived(intake->arg);
}

/* --- into PostgreSQL --- */

struct batch intake_take_batch(struct intake *intake)
{
    struct batch batch = {0};
    const struct delivery *taken = consumer_take(intake->consumer);
    if (!taken)
        return batch;
    intake->applying = taken;
    for (const struct delivery *delivery = taken; delivery; delivery = delivery->next)
        batch_add_text(&batch, delivery->body, delivery->len);
    return batch;
}

/* is_obsolete() lets pass what was told by name, since nothing was known of it: it may be older. */
static void note_hook(const struct intake *intake, const struct hook_times *times, bool by_name)
{
    enum hook_rank rank = newest_rank_hook(intake->newest, times);
    newest_note_hook(intake->newest, times);
    if (rank == HOOK_UNCLEAR || rank == HOOK_OVERTAKEN || (by_name && rank != HOOK_NEWER))
        intake->events.on_doubt(times->machine_id, intake->arg);
}

static void note_batch(const struct intake *intake, const struct cycle_applied *applied)
{
    int position = 0, unknown = 0, named = 0;
    for (const struct delivery *delivery = intake->applying; delivery; delivery = delivery->next) {
        struct hook_times times = times_of(delivery);
        if (unknown < applied->unknown_count && applied->unknown[unknown] == position) {
            unknown++;
        } else {
            bool by_name = !times.machine_id && named < applied->named_count;
            if (by_name)
                times.machine_id = applied->named[named++];
            note_hook(intake, &times, by_name);
        }
        position++;
    }
}

void intake_applied(struct intake *intake, const struct cycle_applied *applied)
{
    if (consumer_is_applying(intake->consumer)) /* the broker may have taken all back meanwhile */
        note_batch(intake, applied);
    intake->applying = NULL;
    consumer_applied(intake->consumer, applied->unknown, applied->unknown_count, "unknown machine");
}

void intake_refused(struct intake *intake, const char *reason)
{
    intake->applying = NULL;
    consumer_refused(intake->consumer, reason);
}

/* --- start and stop --- */

void intake_start(struct intake *intake, struct amqp_conn *conn)
{
    consumer_start(intake->consumer, conn);
}

void intake_stop(struct intake *intake)
{
    intake->applying = NULL;
    consumer_stop(intake->consumer);
}

void intake_on_conn_down(struct intake *intake)
{
    intake->applying = NULL;
    consumer_on_conn_down(intake->consumer);
}

size_t intake_held(const struct intake *intake)
{
    return consumer_held(intake->consumer);
}

struct intake *intake_new(const struct service *service, uint16_t prefetch, struct newest *newest,
                          struct scheduler_metrics *metrics, const struct intake_events *events,
                          void *arg)
{
    static const struct consumer_events consumer_events = {.on_arrived = on_message_arrived,
                                                           .check = check,
                                                           .is_obsolete = is_obsolete,
                                                           .on_buried = on_buried};
    const struct consumer_settings settings = {
        .queue = TOPOLOGY_CYCLE_TIMES,
        .tag = service->connection_name,
        .kind = "cycle-time",
        .prefetch = prefetch,
        .body_max = HOOK_MAX,
        .batch_max = BATCH_HOOKS_MAX,
    };
    struct intake *intake = xcalloc(1, sizeof *intake);
    intake->newest = newest;
    intake->metrics = metrics;
    intake->events = *events;
    intake->arg = arg;
    intake->consumer = consumer_new(&settings, &consumer_events, intake);
    return intake;
}

void intake_free(struct intake *intake)
{
    if (!intake)
        return;
    consumer_free(intake->consumer);
    free(intake);
}
