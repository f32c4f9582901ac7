/*
 * program_metrics.h - the metrics of each program, made from metrics.def
 *
 * A struct a program, with a member for every metric it has; its registration fills them in. They
 * live as long as the registry (base/metrics.h). To add one, add a row to metrics.def and move it
 * where something happens; docs/metrics.md follows by `mtcctl metrics`.
 */
#ifndef MTC_PROGRAM_METRICS_H
#define MTC_PROGRAM_METRICS_H

#include "base/metrics.h"

#include <stdio.h>

#define METRIC_MEMBER(type, member, name, labels, help) struct metric *member;

struct producer_metrics {
#define PRODUCER_METRIC METRIC_MEMBER
#include "suite/metrics.def"
};
struct sender_metrics {
#define SENDER_METRIC METRIC_MEMBER
#include "suite/metrics.def"
};
struct scheduler_metrics {
#define SCHEDULER_METRIC METRIC_MEMBER
#include "suite/metrics.def"
};
struct receiver_metrics {
#define RECEIVER_METRIC METRIC_MEMBER
#include "suite/metrics.def"
};
#undef METRIC_MEMBER

void producer_metrics_register(struct producer_metrics *out, struct metrics *registry);
void sender_metrics_register(struct sender_metrics *out, struct metrics *registry);
void scheduler_metrics_register(struct scheduler_metrics *out, struct metrics *registry);
void receiver_metrics_register(struct receiver_metrics *out, struct metrics *registry);

struct metric_spec {
    const char *program; /* e.g. "mtc-sender" */
    enum metric_type type;
    const char *name, *labels, *help; /* labels: NULL if it has none */
};

/* All metrics of all programs, in the order of metrics.def. */
extern const struct metric_spec metric_specs[];
extern const size_t metric_spec_count;

/* As Prometheus calls it. */
const char *metric_type_name(enum metric_type type);

/* The same as Markdown: docs/metrics.md is made from it. */
void program_metrics_print_reference(FILE *out);

#endif
