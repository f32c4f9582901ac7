/* program_metrics.c - metrics.def turned into registrations and a reference; see
 * program_metrics.h */
#include "suite/program_metrics.h"

#include <stdbool.h>
#include <string.h>

#define REGISTER(type, member, name, labels, help)                                                 \
    out->member = metrics_add(registry, METRIC_##type, name, help, labels);

void producer_metrics_register(struct producer_metrics *out, struct metrics *registry)
{
#define PRODUCER_METRIC REGISTER
#include "suite/metrics.def"
}

void sender_metrics_register(struct sender_metrics *out, struct metrics *registry)
{
#define SENDER_METRIC REGISTER
#include "suite/metrics.def"
}

void scheduler_metrics_register(struct scheduler_metrics *out, struct metrics *registry)
{
#define SCHEDULER_METRIC REGISTER
#include "suite/metrics.def"
}

void receiver_metrics_register(struct receiver_metrics *out, struct metrics *registry)
{
#define RECEIVER_METRIC REGISTER
#include "suite/metrics.def"
}

#define SPEC(program, type, name, labels, help) {program, METRIC_##type, name, labels, help},
#define PRODUCER_METRIC(type, member, ...)      SPEC("mtc-producer", type, __VA_ARGS__)
#define SENDER_METRIC(type, member, ...)        SPEC("mtc-sender", type, __VA_ARGS__)
#define SCHEDULER_METRIC(type, member, ...)     SPEC("mtc-scheduler", type, __VA_ARGS__)
#define RECEIVER_METRIC(type, member, ...)      SPEC("mtc-receiver", type, __VA_ARGS__)

const struct metric_spec metric_specs[] = {
#include "suite/metrics.def"
};
const size_t metric_spec_count = sizeof metric_specs / sizeof metric_specs[0];

const char *metric_type_name(enum metric_type type)
{
    switch (type) {
    case METRIC_COUNTER:
        return "counter";
    case METRIC_GAUGE:
        return "gauge";
    case METRIC_HISTOGRAM:
        return "histogram";
    }
    return "";
}

void program_metrics_print_reference(FILE *out)
{
    const char *program = "", *name = "";
    for (size_t i = 0; i < metric_spec_count; i++) {
        const struct metric_spec *spec = &metric_specs[i];
        bool is_first = strcmp(name, spec->name) != 0;
        if (strcmp(program, spec->program) != 0) {
            program = spec->program;
            fprintf(out, "\n## %s\n", program);
        }
        if (is_first) {
            name = spec->name;
            fprintf(out, "\n### %s\n\n%s\n\n%s%s\n", name, spec->help, metric_type_name(spec->type),
                    spec->type == METRIC_HISTOGRAM ? ", in seconds" : "");
        }
        if (spec->labels)
            fprintf(out, "%s- `%s`\n", is_first ? "\n" : "", spec->labels);
    }
}
