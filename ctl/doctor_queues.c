/*
 * doctor_queues.c - can a queue lose or reorder what it holds, by its arguments or by a policy?;
 * see doctor.h
 *
 * What is in force is computed as RabbitMQ does for quorum queues: of two limits the smaller one,
 * `overflow` by the policy first, where dead letters go by the argument first. Source:
 * rabbit_quorum_queue.erl of 3.10 and 4.x, gather_policy_config() and dead_letter_handler().
 */
#include "doctor.h"
#include "management.h"
#include "suite/topology.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUT_OF_REACH  1000000 /* redeliveries: from here on a limit is as good as none */
#define DEFAULT_LIMIT 20      /* RabbitMQ 4's own */
#define NAMES_MAX     8       /* queues named in one finding */

struct broker {
    int major, minor, patch;
};

struct queue {
    const char *name;
    const json_t *arguments, *policy; /* of both policies; NULL or an object */
};

/* --- what is in force --- */

static const json_t *argument(const struct queue *queue, const char *key)
{
    char name[64];
    snprintf(name, sizeof name, "x-%s", key);
    return json_object_get(queue->arguments, name);
}

static const char *text_of(const struct queue *queue, const char *key, bool policy_first)
{
    const char *told = json_string_value(argument(queue, key));
    const char *ruled = json_string_value(json_object_get(queue->policy, key));
    if (policy_first)
        return ruled ? ruled : told;
    return told ? told : ruled;
}

/* The smaller of both; false: there is none. */
static bool limit_of(const struct queue *queue, const char *key, int64_t *out)
{
    const json_t *told = argument(queue, key), *ruled = json_object_get(queue->policy, key);
    if (!json_is_integer(told) && !json_is_integer(ruled))
        return false;
    *out = json_is_integer(told) ? json_integer_value(told) : json_integer_value(ruled);
    if (json_is_integer(ruled) && json_integer_value(ruled) < *out)
        *out = json_integer_value(ruled);
    return true;
}

/* Below 0: none. If one of policy and argument is below 0, RabbitMQ 4 takes the larger of both. */
static int64_t delivery_limit_of(const struct queue *queue, const struct broker *broker)
{
    const json_t *told = argument(queue, "delivery-limit");
    const json_t *ruled = json_object_get(queue->policy, "delivery-limit");
    int64_t limit;
    if (!limit_of(queue, "delivery-limit", &limit))
        return broker->major >= 4 ? DEFAULT_LIMIT : INT64_MAX;
    if (broker->major < 4)
        return limit < 0 ? 0 : limit;
    if (limit < 0 && json_is_integer(told) && json_is_integer(ruled))
        return json_integer_value(told) > limit ? json_integer_value(told)
                                                : json_integer_value(ruled);
    return limit;
}

static bool drops_head(const struct queue *queue)
{
    const char *overflow = text_of(queue, "overflow", true);
    return !overflow || strcmp(overflow, "drop-head") == 0;
}

static bool is(const char *text, const char *wanted)
{
    return text && strcmp(text, wanted) == 0;
}

static bool is_partition(const struct queue *queue)
{
    return strncmp(queue->name, "mtc.events.", strlen("mtc.events.")) == 0;
}

static bool wants_net(const struct queue *queue)
{
    return is_partition(queue) || is(queue->name, TOPOLOGY_OUTCOMES) ||
           is(queue->name, TOPOLOGY_CYCLE_TIMES);
}

static bool has_net(const struct queue *queue)
{
    return is(text_of(queue, "dead-letter-exchange", false), TOPOLOGY_DEAD);
}

/* RabbitMQ falls back to at-most-once when the queue does not refuse what it has no room for. */
static bool is_certain(const struct queue *queue)
{
    return is(text_of(queue, "dead-letter-strategy", false), "at-least-once") &&
           is(text_of(queue, "overflow", true), "reject-publish");
}

/* --- findings: the same trouble of several queues is one --- */

/* text: what is so, with the queues' names before it. */
static void add(json_t *troubles, const struct queue *queue, enum finding_level level,
                const char *what, const char *advice, const char *text)
{
    size_t i;
    json_t *trouble;
    json_array_foreach (troubles, i, trouble) {
        if (is(json_string_value(json_object_get(trouble, "what")), what) &&
            is(json_string_value(json_object_get(trouble, "text")), text)) {
            json_array_append_new(json_object_get(trouble, "queues"), json_string(queue->name));
            return;
        }
    }
    json_array_append_new(troubles,
                          json_pack("{s:i, s:s, s:s, s:s, s:[s]}", "level", (int)level, "what",
                                    what, "advice", advice, "text", text, "queues", queue->name));
}

static void look_at_length(json_t *troubles, const struct queue *queue)
{
    static const char advice[] = "take the limit out of the policy, or out of the queue: nothing "
                                 "here may be dropped; docs/operations.md";
    static const char *const limits[] = {"max-length", "max-length-bytes"};
    char text[128];
    int64_t limit;
    if (is(queue->name, TOPOLOGY_CONTROL))
        return; /* its one message says it all */
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        if (!limit_of(queue, limits[i], &limit))
            continue;
        const char *then = "nobody can publish to it";
        if (drops_head(queue))
            then = has_net(queue) ? "what is oldest is dead-lettered" : "what is oldest is lost";
        snprintf(text, sizeof text, "%s %" PRId64 ": when it is full, %s", limits[i], limit, then);
        add(troubles, queue, drops_head(queue) ? FINDING_ILL : FINDING_WARNING, "queue length",
            advice, text);
    }
}

static void look_at_expiry(json_t *troubles, const struct queue *queue)
{
    char text[128];
    int64_t limit;
    if (limit_of(queue, "message-ttl", &limit) && !is(queue->name, TOPOLOGY_CONTROL)) {
        snprintf(text, sizeof text, "message-ttl %" PRId64 " ms: what is older is %s", limit,
                 has_net(queue) ? "dead-lettered" : "lost");
        add(troubles, queue, FINDING_ILL, "message expiry",
            "take message-ttl out of the policy, or out of the queue; docs/operations.md", text);
    }
    if (limit_of(queue, "expires", &limit)) {
        snprintf(text, sizeof text,
                 "expires %" PRId64
                 " ms: deleted with all it holds when nobody has used it so long",
                 limit);
        add(troubles, queue, FINDING_ILL, "queue expiry",
            "take expires out of the policy, or out of the queue; docs/operations.md", text);
    }
}

static bool rewrites_its_log(const struct broker *broker)
{
    return broker->major == 4 && ((broker->minor == 0 && broker->patch >= 4) ||
                                  (broker->minor == 1 && broker->patch <= 4));
}

static void look_at_delivery_limit(json_t *troubles, const struct queue *queue,
                                   const struct broker *broker)
{
    static const char advice[] = "set the policies of docs/operations.md#delivery-limit";
    char text[160];
    int64_t limit = delivery_limit_of(queue, broker);
    if (is(queue->name, TOPOLOGY_CONTROL))
        return; /* nobody consumes it */
    if (limit < 0 && rewrites_its_log(broker)) {
        add(troubles, queue, FINDING_WARNING, "delivery limit", advice,
            "-1, at which this version of RabbitMQ writes to the queue's log without end");
    } else if (limit >= 0 && limit < OUT_OF_REACH) {
        snprintf(text, sizeof text,
                 "after %" PRId64 " redeliveries RabbitMQ gives a message up, and it is %s", limit,
                 has_net(queue) ? "dead" : "lost");
        add(troubles, queue, has_net(queue) ? FINDING_WARNING : FINDING_ILL, "delivery limit",
            advice, text);
    }
}

static void look_at_net(json_t *troubles, const struct queue *queue)
{
    static const char advice[] = "set the policies of docs/operations.md#delivery-limit";
    char text[320];
    const char *exchange = text_of(queue, "dead-letter-exchange", false);
    if (!wants_net(queue))
        return;
    if (!has_net(queue)) {
        snprintf(text, sizeof text, "what RabbitMQ gives up is %s%.200s",
                 exchange ? "unknown to mtcctl and the ledger: it goes to exchange " : "lost",
                 exchange ? exchange : "");
        add(troubles, queue, FINDING_WARNING, "net", advice, text);
    } else if (!is_certain(queue)) {
        add(troubles, queue, FINDING_WARNING, "net", advice,
            "dead-lettered at most once: it needs dead-letter-strategy at-least-once and overflow "
            "reject-publish");
    }
}

/* --- all queues --- */

static const json_t *object_or_null(const json_t *value)
{
    return json_is_object(value) ? value : NULL; /* RabbitMQ may write an empty array */
}

static void look_at(json_t *troubles, const json_t *told, const struct broker *broker)
{
    struct queue queue = {
        .name = json_string_value(json_object_get(told, "name")),
        .arguments = object_or_null(json_object_get(told, "arguments")),
        .policy = object_or_null(json_object_get(told, "effective_policy_definition"))};
    if (!queue.name || strncmp(queue.name, "mtc.", 4) != 0 ||
        strncmp(queue.name, "mtc.programs.", strlen("mtc.programs.")) == 0 ||
        strncmp(queue.name, TOPOLOGY_CONTROL ".", strlen(TOPOLOGY_CONTROL ".")) == 0)
        return; /* those of one program each, gone with its connection */
    look_at_length(troubles, &queue);
    look_at_expiry(troubles, &queue);
    look_at_delivery_limit(troubles, &queue, broker);
    look_at_net(troubles, &queue);
}

static void join_names(const json_t *queues, char *out, size_t size)
{
    size_t i, len = 0, count = json_array_size(queues);
    json_t *name;
    out[0] = '\0';
    json_array_foreach (queues, i, name) {
        if (i == NAMES_MAX || len >= size)
            break;
        len += (size_t)snprintf(out + len, size - len, "%s%.60s", i ? ", " : "",
                                json_string_value(name));
    }
    if (count > NAMES_MAX && len < size)
        snprintf(out + len, size - len, " and %zu more", count - NAMES_MAX);
}

static void tell(struct doctor *doctor, const json_t *troubles)
{
    size_t i;
    json_t *trouble;
    json_array_foreach (troubles, i, trouble) {
        char names[300];
        join_names(json_object_get(trouble, "queues"), names, sizeof names);
        doctor_find(doctor,
                    (enum finding_level)json_integer_value(json_object_get(trouble, "level")),
                    json_string_value(json_object_get(trouble, "what")),
                    json_string_value(json_object_get(trouble, "advice")), "%s: %s", names,
                    json_string_value(json_object_get(trouble, "text")));
    }
    if (json_array_size(troubles) == 0)
        doctor_find(doctor, FINDING_OK, "queue limits", NULL, "none that could lose anything");
}

void doctor_queues(struct doctor *doctor)
{
    const struct config *config = doctor->ctl.config;
    struct broker broker = {0};
    if (!doctor->ctl.broker || !*config->ctl_management_url)
        return;
    json_t *queues = management_queues(config);
    if (!queues) {
        doctor_find(doctor, FINDING_WARNING, "queue limits",
                    "check ctl.management_url, and the tag management of the user of amqp.url",
                    "not known: RabbitMQ's management API does not answer us");
        return;
    }
    const char *version = amqp_plain_version(doctor->ctl.broker);
    char *end;
    broker.major = (int)strtol(version, &end, 10);
    broker.minor = *end == '.' ? (int)strtol(end + 1, &end, 10) : 0;
    broker.patch = *end == '.' ? (int)strtol(end + 1, NULL, 10) : 0;
    json_t *troubles = json_array(), *told;
    size_t i;
    json_array_foreach (queues, i, told) {
        look_at(troubles, told, &broker);
    }
    tell(doctor, troubles);
    json_decref(troubles);
    json_decref(queues);
}
