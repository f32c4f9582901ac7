/* metrics.c - counters, gauges and histograms, rendered for Prometheus; see metrics.h */
#include "base/metrics.h"
#include "base/xalloc.h"

#include <stdlib.h>
#include <string.h>

/* 0.2 and 0.3 s are what is promised: whether a share is below them must not be interpolated. */
static const double bounds[] = {0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2,
                                0.3,    0.5,   1,     2,     5,    10,   20,   60};
#define BOUNDS (sizeof bounds / sizeof bounds[0])

struct metrics {
    struct metric *first, **last;
    void (*before)(void *arg);
    void *before_arg;
};

struct metrics *metrics_new(void)
{
    struct metrics *metrics = xcalloc(1, sizeof *metrics);
    metrics->last = &metrics->first;
    return metrics;
}

void metrics_free(struct metrics *metrics)
{
    if (!metrics)
        return;
    while (metrics->first) {
        struct metric *metric = metrics->first;
        metrics->first = metric->next;
        free(metric->buckets);
        free(metric->labels);
        free(metric);
    }
    free(metrics);
}

struct metric *metrics_add(struct metrics *metrics, enum metric_type type, const char *name,
                           const char *help, const char *labels)
{
    struct metric *metric = xcalloc(1, sizeof *metric);
    metric->type = type;
    metric->name = name;
    metric->help = help;
    metric->labels = labels ? xstrdup(labels) : NULL;
    if (type == METRIC_HISTOGRAM)
        metric->buckets = xcalloc(BOUNDS, sizeof *metric->buckets);
    *metrics->last = metric;
    metrics->last = &metric->next;
    return metric;
}

void metric_observe(struct metric *metric, double seconds)
{
    for (size_t i = 0; i < BOUNDS; i++) {
        if (seconds <= bounds[i]) {
            metric->buckets[i]++;
            break;
        }
    }
    metric->count++;
    metric->value += seconds;
}

void metrics_on_render(struct metrics *metrics, void (*before)(void *arg), void *arg)
{
    metrics->before = before;
    metrics->before_arg = arg;
}

static void render_histogram(const struct metric *metric, FILE *out)
{
    const char *labels = metric->labels ? metric->labels : "";
    const char *comma = *labels ? "," : "";
    double cumulated = 0;
    for (size_t i = 0; i < BOUNDS; i++) {
        cumulated += metric->buckets[i];
        fprintf(out, "%s_bucket{%s%sle=\"%g\"} %.17g\n", metric->name, labels, comma, bounds[i],
                cumulated);
    }
    fprintf(out, "%s_bucket{%s%sle=\"+Inf\"} %.17g\n", metric->name, labels, comma, metric->count);
    const char *open = *labels ? "{" : "", *close = *labels ? "}" : "";
    fprintf(out, "%s_sum%s%s%s %.17g\n", metric->name, open, labels, close, metric->value);
    fprintf(out, "%s_count%s%s%s %.17g\n", metric->name, open, labels, close, metric->count);
}

static void render_all(const struct metrics *metrics, FILE *out)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    const char *name = "";
    for (const struct metric *metric = metrics->first; metric; metric = metric->next) {
        if (strcmp(name, metric->name) != 0) {
            name = metric->name;
            fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, metric->help, name,
                    types[metric->type]);
        }
        if (metric->type == METRIC_HISTOGRAM)
            render_histogram(metric, out);
        else if (metric->labels)
            fprintf(out, "%s{%s} %.17g\n", name, metric->labels, metric->value);
        else
            fprintf(out, "%s %.17g\n", name, metric->value);
    }
}

char *metrics_render(struct metrics *metrics, size_t *len)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, len);
    if (!out)
        out_of_memory(0);
    if (metrics->before)
        metrics->before(metrics->before_arg);
    render_all(metrics, out);
    if (fclose(out) != 0)
        out_of_memory(0);
    return text;
}
