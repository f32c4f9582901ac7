/* program_metrics.c - metrics.def turned into registrations and a reference; see program_metrics.h */
#include "suite/program_metrics.h"

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

struct row {
    const char *program, *type, *name, *labels, *help;
};

#define ROW(program, type, name, labels, help) {program, #type, name, labels, help},
#define PRODUCER_METRIC(type, member, ...)     ROW("mtc-producer", type, __VA_ARGS__)
#define SENDER_METRIC(type, member, ...)       ROW("mtc-sender", type, __VA_ARGS__)
#define SCHEDULER_METRIC(type, member, ...)    ROW("mtc-scheduler", type, __VA_ARGS__)
#define RECEIVER_METRIC(type, member, ...)     ROW("mtc-receiver", type, __VA_ARGS__)

static const struct row rows[] = {
#include "suite/metrics.def"
};

static const char *type_name(const char *type)
{
    return strcmp(type, "COUNTER") == 0 ? "counter"
           : strcmp(type, "GAUGE") == 0 ? "gauge"
                                        : "histogram, seconds";
}

void program_metrics_print_reference(FILE *out)
{
    const char *program = "", *name = "";
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *row = &rows[i];
        if (strcmp(program, row->program) != 0) {
            program = row->program;
            fprintf(out, "\n## %s\n", program);
        }
        if (strcmp(name, row->name) != 0) {
            name = row->name;
            fprintf(out, "\n`%s` (%s)\n: %s.\n", name, type_name(row->type), row->help);
        }
        if (row->labels)
            fprintf(out, "  - `%s`\n", row->labels);
    }
}
