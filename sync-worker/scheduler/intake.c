/*
 * intake.c - mtc.cycle-times: what web-hooks brought, taken in batches; see intake.h
 *
 * Diagnostics: a message that can't be read, or that names a machine nobody knows, is an error and
 * a dead letter; it is somebody's experiment or a name that drifted, and must not stop the others.
 */
#include "intake.h"
#include "cycle_sql.h"
#include "base/log.h"
#include "base/rfc3339.h"
#include "base/xalloc.h"
#include "suite/consumer.h"
#include "suite/topology.h"

#include <jansson.h>
#include <stdlib.h>

enum { NOTE_MACHINE, NOTE_OBSERVED_US }; /* delivery->note; a machine of 0 is named by its name */

struct intake {
    struct newest *newest;
    struct scheduler_metrics *metrics;
    void (*on_arrived)(void *arg);
    void *arg;
    struct consumer *consumer;
    const struct delivery *applying; /* the batch under way; the consumer's */
};

/* --- what a message says --- */

/* Notes what is needed to know whether it is late. False: it is not what receivers write. */
static bool read_hook(struct delivery *delivery)
{
    json_t *json = json_loadb(delivery->body, delivery->len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *machine = json_object_get(json, "machine");
    const char *when = json_string_value(json_object_get(json, "observed_at"));
    bool good = (json_is_integer(machine) || json_is_string(machine)) &&
                json_is_number(json_object_get(json, "cycle_time")) &&
                json_is_string(json_object_get(json, "source")) && when &&
                rfc3339_parse(when, &delivery->note[NOTE_OBSERVED_US]);
    json_int_t id = json_integer_value(machine);
    delivery->note[NOTE_MACHINE] = id > 0 && id <= INT32_MAX ? id : 0;
    json_decref(json);
    return good;
}

static const char *check(struct delivery *delivery, void *arg)
{
    const struct intake *intake = arg;
    metric_add(intake->metrics->hooks, 1);
    return read_hook(delivery) ? NULL : "not a cycle time";
}

static bool is_obsolete(const struct delivery *delivery, void *arg)
{
    const struct intake *intake = arg;
    int machine_id = (int)delivery->note[NOTE_MACHINE];
    if (!machine_id ||
        !newest_is_stale(intake->newest, machine_id, delivery->note[NOTE_OBSERVED_US]))
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
    intake->on_arrived(intake->arg);
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

static void note_newest(struct intake *intake, const int *unknown, int unknown_count)
{
    int position = 0, next = 0;
    for (const struct delivery *delivery = intake->applying; delivery; delivery = delivery->next) {
        int machine_id = (int)delivery->note[NOTE_MACHINE];
        if (next < unknown_count && unknown[next] == position)
            next++;
        else if (machine_id)
            newest_note(intake->newest, machine_id, delivery->note[NOTE_OBSERVED_US]);
        position++;
    }
}

void intake_applied(struct intake *intake, const int *unknown, int unknown_count)
{
    if (consumer_is_applying(intake->consumer)) /* the broker may have taken all back meanwhile */
        note_newest(intake, unknown, unknown_count);
    intake->applying = NULL;
    consumer_applied(intake->consumer, unknown, unknown_count, "unknown machine");
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

struct intake *intake_new(const struct service *service, struct newest *newest,
                          struct scheduler_metrics *metrics, void (*on_arrived)(void *arg),
                          void *arg)
{
    static const struct consumer_events events = {.on_arrived = on_message_arrived,
                                                  .check = check,
                                                  .is_obsolete = is_obsolete,
                                                  .on_buried = on_buried};
    const struct consumer_settings settings = {
        .queue = TOPOLOGY_CYCLE_TIMES,
        .tag = service->connection_name,
        .kind = "cycle-time",
        .prefetch = (uint16_t)service->config->scheduler_prefetch,
        .batch_max = BATCH_HOOKS_MAX,
    };
    struct intake *intake = xcalloc(1, sizeof *intake);
    intake->newest = newest;
    intake->metrics = metrics;
    intake->on_arrived = on_arrived;
    intake->arg = arg;
    intake->consumer = consumer_new(&settings, &events, intake);
    return intake;
}

void intake_free(struct intake *intake)
{
    if (!intake)
        return;
    consumer_free(intake->consumer);
    free(intake);
}
