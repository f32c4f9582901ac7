/* programs.c - the running programs, as they tell of themselves; see programs.h */
#include "programs.h"
#include "base/xalloc.h"
#include "net/http_plain.h"
#include "suite/presence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 2000L

/* An answer comes within milliseconds; from a busy machine it takes longer. */
#define QUIET_MS 300
#define LIMIT_MS 3000
/* Whom an order does not concern says nothing, so this is how long we wait for whom it does. */
#define ORDER_MS 2000

static const char *const kinds[] = {"producer", "sender", "scheduler", "receiver"};
#define KINDS (sizeof kinds / sizeof kinds[0])

const char *program_address(const struct config *config, const char *program)
{
    const char *const addresses[KINDS] = {config->producer_listen, config->sender_listen,
                                          config->scheduler_listen, config->receiver_listen};
    for (size_t i = 0; i < KINDS; i++) {
        if (strcmp(kinds[i], program) == 0)
            return addresses[i];
    }
    return NULL;
}

void program_url(const char *address, const char *path, char *out, size_t size)
{
    const char *port = strrchr(address, ':');
    if (strncmp(address, "0.0.0.0:", 8) == 0 || strncmp(address, "[::]:", 5) == 0)
        snprintf(out, size, "http://127.0.0.1%s%s", port, path);
    else
        snprintf(out, size, "http://%s%s", address, path);
}

/* What stands for a program, and what is worth telling of it. */
static const struct {
    const char *program, *metric, *name;
} facts[] = {
    {"producer", "mtc_producer_active", "active"},
    {"producer", "mtc_producer_published_total", "published"},
    {"sender", "mtc_sender_breaker_open", "breaker_open"},
    {"sender", "mtc_sender_paused", "paused"},
    {"sender", "mtc_sender_doubted", "doubted"},
    {"sender", "mtc_sender_held", "held"},
    {"sender", "mtc_sender_in_flight", "in_flight"},
    {"sender", "mtc_sender_delivered_total", "delivered"},
    {"sender", "mtc_sender_retries_total", "retries"},
    {"scheduler", "mtc_scheduler_active", "active"},
    {"scheduler", "mtc_scheduler_failing_machines", "failing_machines"},
    {"receiver", "mtc_receiver_hooks_total{answer=\"accepted\"}", "accepted"},
    {"receiver", "mtc_receiver_registered", "registered"},
};

/* Value of a metric in Prometheus' text format; name with its labels, if it has any. */
static bool find_metric(const char *text, const char *name, double *value)
{
    size_t len = strlen(name);
    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, len) == 0 && line[len] == ' ') {
            *value = strtod(line + len + 1, NULL);
            return true;
        }
    }
    return false;
}

static void read_metrics(json_t *told, const char *text)
{
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        double value;
        if (!find_metric(text, facts[i].metric, &value))
            continue;
        json_object_set_new(told, "program", json_string(facts[i].program));
        json_object_set_new(told, facts[i].name, json_integer((json_int_t)value));
    }
}

#define NOT_RUNNING "not running"

static bool is_there(const json_t *told)
{
    const char *why = json_string_value(json_object_get(told, "ready"));
    return !why || strcmp(why, NOT_RUNNING) != 0;
}

/* address may be "": then nobody listens there. */
static json_t *ask_one(const char *address)
{
    char url[256];
    json_t *told = json_pack("{s:s, s:s}", "address", address, "program", "");
    if (!*address) {
        json_object_set_new(told, "ready", json_string(NOT_RUNNING));
        return told;
    }
    program_url(address, "/metrics", url, sizeof url);
    struct http_plain metrics = http_plain_get(url, NULL, NULL, TIMEOUT_MS);
    if (metrics.status == 200)
        read_metrics(told, metrics.body);
    program_url(address, "/readyz", url, sizeof url);
    struct http_plain ready = http_plain_get(url, NULL, NULL, TIMEOUT_MS);
    ready.body[strcspn(ready.body, "\n")] = '\0';
    json_object_set_new(told, "ready",
                        ready.status == 200   ? json_true()
                        : ready.status == 503 ? json_string(ready.body)
                                              : json_string(NOT_RUNNING));
    http_plain_free(&metrics);
    http_plain_free(&ready);
    return told;
}

/* --- through the broker --- */

static const char *kind_of(const char *program)
{
    return strncmp(program, "mtc-", 4) == 0 ? program + 4 : program;
}

/* What a peer says may be no UTF-8. */
static json_t *text_or(const char *text, const char *otherwise)
{
    json_t *string = json_string(text);
    return string ? string : json_string(otherwise);
}

static void on_answer(const amqp_message_t *answer, void *arg)
{
    struct presence_told told;
    presence_read(&answer->properties, answer->body.bytes, answer->body.len, &told);
    json_t *program = json_pack("{s:o, s:o, s:o, s:o}", "address", text_or(told.listen, "?"),
                                "program", text_or(kind_of(told.program), "?"), "worker",
                                text_or(told.worker, "?"), "version", text_or(told.version, "?"));
    read_metrics(program, told.metrics);
    json_object_set_new(program, "ready",
                        told.ready ? json_true() : text_or(told.missing, "not ready"));
    json_t *remarks = json_loads(told.remarks, 0, NULL);
    if (json_is_object(remarks))
        json_object_set(program, "remarks", remarks);
    json_decref(remarks);
    json_array_append_new(arg, program);
    presence_told_free(&told);
}

static bool has_kind(const json_t *all, const char *kind)
{
    size_t i;
    json_t *told;
    json_array_foreach (all, i, told) {
        if (strcmp(json_string_value(json_object_get(told, "program")), kind) == 0)
            return true;
    }
    return false;
}

/* As people look for them: by kind, then by name. */
static int by_name(const void *left, const void *right)
{
    const json_t *const *a = left, *const *b = right;
    const char *const keys[] = {"program", "worker"};
    int order = 0;
    for (size_t i = 0; order == 0 && i < 2; i++)
        order = strcmp(json_string_value(json_object_get(*a, keys[i])),
                       json_string_value(json_object_get(*b, keys[i])));
    return order;
}

static json_t *sorted(json_t *all)
{
    size_t count = json_array_size(all), i;
    json_t **each = xcalloc(count + 1, sizeof(json_t *)), *told, *result = json_array();
    json_array_foreach (all, i, told)
        each[i] = told;
    qsort(each, count, sizeof(json_t *), by_name);
    for (i = 0; i < count; i++)
        json_array_append(result, each[i]);
    free(each);
    json_decref(all);
    return result;
}

static json_t *ask_broker(struct ctl *ctl)
{
    static const struct amqp_plain_question question = {
        .exchange = PRESENCE_EXCHANGE, .body = "", .quiet_ms = QUIET_MS, .limit_ms = LIMIT_MS};
    json_t *all = json_array();
    bool asked = !ctl->broker || amqp_plain_ask(ctl->broker, &question, on_answer, all);
    all = sorted(all);
    if (!asked)
        json_array_append_new(all, json_pack("{s:s, s:s, s:o}", "address", "RabbitMQ", "program",
                                             "", "ready",
                                             text_or(amqp_plain_error(ctl->broker), "refused")));
    return all;
}

static bool is_expected(const struct config *config, const char *kind)
{
    return strcmp(kind, "receiver") != 0 || config->receiver_use_webhook;
}

/* A kind of which none answered: one that has no connection to the broker may run here. */
static void ask_here(const struct ctl *ctl, const char *kind, json_t *all)
{
    const char *address = program_address(ctl->config, kind);
    if (has_kind(all, kind) || !is_expected(ctl->config, kind))
        return;
    json_t *told = ask_one(address);
    json_object_set_new(told, "program", json_string(kind));
    if (ctl->broker && !is_there(told))
        json_object_set_new(told, "ready", json_string("none answers, by RabbitMQ or here"));
    json_array_append_new(all, told);
}

static json_t *ask_listed(const char *addresses)
{
    json_t *all = json_array();
    char *list = xstrdup(addresses), *rest = NULL;
    for (char *word = strtok_r(list, ", ", &rest); word; word = strtok_r(NULL, ", ", &rest))
        json_array_append_new(all, ask_one(word));
    free(list);
    return all;
}

const char *program_text(const json_t *told, const char *name)
{
    const char *text = json_string_value(json_object_get(told, name));
    return text ? text : "?";
}

static void on_done(const amqp_message_t *answer, void *arg)
{
    struct presence_told told;
    presence_read(&answer->properties, answer->body.bytes, answer->body.len, &told);
    json_array_append_new(arg, json_pack("{s:o, s:o}", "worker", text_or(told.worker, "?"), "did",
                                         text_or(told.did, "?")));
    presence_told_free(&told);
}

json_t *programs_order(struct ctl *ctl, const char *order)
{
    struct amqp_plain_question question = {
        .exchange = PRESENCE_EXCHANGE, .body = order, .quiet_ms = ORDER_MS, .limit_ms = ORDER_MS};
    json_t *done = json_array();
    if (ctl_broker_did(ctl, amqp_plain_ask(ctl->broker, &question, on_done, done)))
        return done;
    json_decref(done);
    return NULL;
}

json_t *programs_ask(struct ctl *ctl)
{
    if (*ctl->config->ctl_programs)
        return ask_listed(ctl->config->ctl_programs);
    json_t *all = ask_broker(ctl);
    for (size_t i = 0; i < KINDS; i++)
        ask_here(ctl, kinds[i], all);
    return all;
}
