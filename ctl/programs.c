/* programs.c - the running programs, as their /metrics and /readyz tell of them; see programs.h */
#include "programs.h"
#include "base/xalloc.h"
#include "net/http_plain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 2000L

const char *program_address(const struct config *config, const char *program)
{
    const struct {
        const char *name, *listen;
    } programs[] = {{"producer", config->producer_listen},
                    {"sender", config->sender_listen},
                    {"scheduler", config->scheduler_listen},
                    {"receiver", config->receiver_listen}};
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        if (strcmp(programs[i].name, program) == 0)
            return programs[i].listen;
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

static json_t *ask_one(const char *address)
{
    char url[256];
    json_t *told = json_pack("{s:s, s:s}", "address", address, "program", "");
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
                                              : json_string("not running"));
    http_plain_free(&metrics);
    http_plain_free(&ready);
    return told;
}

json_t *programs_ask(const struct config *config)
{
    json_t *all = json_array();
    const char *const own[] = {config->producer_listen, config->sender_listen,
                               config->scheduler_listen, config->receiver_listen};
    if (!*config->ctl_programs) {
        for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
            if (*own[i])
                json_array_append_new(all, ask_one(own[i]));
        }
        return all;
    }
    char *list = xstrdup(config->ctl_programs), *rest = NULL;
    for (char *word = strtok_r(list, ", ", &rest); word; word = strtok_r(NULL, ", ", &rest))
        json_array_append_new(all, ask_one(word));
    free(list);
    return all;
}
