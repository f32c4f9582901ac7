/* test_metrics.c - text as Prometheus wants it */
#include "unit.h"
#include "base/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void metrics_render_as_prometheus_wants_them(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    metric_add(metrics_add(metrics, METRIC_COUNTER, "c_total", "a counter", "a=\"b\""), 3);
    struct metric *histogram = metrics_add(metrics, METRIC_HISTOGRAM, "h_seconds", "a histogram",
                                           NULL);
    metric_observe(histogram, 0.0004);
    metric_observe(histogram, 0.3);
    metric_observe(histogram, 0.31);
    metric_observe(histogram, 1000);
    size_t len;
    char *text = metrics_render(metrics, &len);
    assert_int_equal(len, strlen(text));
    assert_non_null(
        strstr(text, "# HELP c_total a counter\n# TYPE c_total counter\nc_total{a=\"b\"} 3\n"));
    assert_non_null(strstr(text, "h_seconds_bucket{le=\"0.0005\"} 1\n"));
    assert_non_null(strstr(text, "h_seconds_bucket{le=\"0.2\"} 1\n"));
    assert_non_null(strstr(text, "h_seconds_bucket{le=\"0.3\"} 2\n"));
    assert_non_null(strstr(text, "h_seconds_bucket{le=\"0.5\"} 3\n"));
    assert_non_null(strstr(text, "h_seconds_bucket{le=\"+Inf\"} 4\n"));
    assert_non_null(strstr(text, "h_seconds_count 4\n"));
    free(text);
    metrics_free(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_render_as_prometheus_wants_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
