/*
 * metrics.h - counters, gauges and histograms, rendered for Prometheus
 *
 * A metric lives as long as its registry; the pointer is kept by whoever moves it. Values are
 * doubles as in the exposition format: https://prometheus.io/docs/instrumenting/exposition_formats/
 * Metrics of one name that differ in labels are added one after the other, with the same help.
 */
#ifndef MTC_METRICS_H
#define MTC_METRICS_H

#include <stddef.h>
#include <stdio.h>

struct metrics;

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric {
    double value;    /* counter, gauge; sum of a histogram */
    double *buckets; /* histogram: observations per bucket, not cumulated */
    double count;    /* histogram */
    struct metric *next;
    const char *name, *help;
    char *labels; /* `a="b",c="d"` or NULL; owned */
    enum metric_type type;
};

struct metrics *metrics_new(void);
void metrics_free(struct metrics *metrics);

/* name and help are string constants; labels is copied and may be NULL. */
struct metric *metrics_add(struct metrics *metrics, enum metric_type type, const char *name,
                           const char *help, const char *labels);

static inline void metric_add(struct metric *metric, double n)
{
    metric->value += n;
}
static inline void metric_set(struct metric *metric, double n)
{
    metric->value = n;
}

/* Histograms hold seconds; the buckets run from 0.5 ms to 60 s. */
void metric_observe(struct metric *metric, double seconds);

/* Called before each rendering, to set gauges that are cheap to read and dear to keep. */
void metrics_on_render(struct metrics *metrics, void (*before)(void *arg), void *arg);

/* In Prometheus' text format. Caller frees. */
char *metrics_render(struct metrics *metrics, size_t *len);

#endif
