/* test_common.c - configuration, secrets, logs, metrics, time, backoff */
#include "unit.h"
#include "base/secret.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "suite/config.h"
#include "base/log.h"
#include "base/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void every_option_has_a_good_default_and_a_unique_name(void **state)
{
    (void)state;
    struct config config;
    char error[512];
    assert_true(config_load(&config, NULL, error, sizeof error));
    assert_int_equal(config.sender_retry_delays_s.count,
                     4); /* the plan: 1, 4, 10, 10; five attempts */
    assert_int_equal(config.sender_retry_delays_s.ms[0], 1000);
    assert_int_equal(config.sender_retry_delays_s.ms[3], 10000);
    assert_int_equal(config.sender_sent_key_ttl_s, 604800);
    assert_int_equal(config.mtconnect_timeout_ms, 3000);
    for (size_t i = 0; i < option_spec_count; i++) {
        assert_true(strlen(option_specs[i].help) > 10);
        for (size_t j = i + 1; j < option_spec_count; j++)
            assert_false(option_specs[i].offset == option_specs[j].offset);
    }
    config_free(&config);
}

static char *load_text(const char *text, struct config *config)
{
    static char error[512];
    char path[] = "/tmp/mtc-unit-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    bool ok = config_load(config, path, error, sizeof error);
    unlink(path);
    return ok ? NULL : error;
}

static void lists_are_read_in_seconds(void **state)
{
    (void)state;
    struct config config;
    assert_null(load_text("sender: { retry_delays_s = \"0.05,2,86400\"; };", &config));
    assert_int_equal(config.sender_retry_delays_s.count, 3);
    assert_int_equal(config.sender_retry_delays_s.ms[0], 50);
    config_free(&config);
    static const char *const bad[] = {"",   "1,",  ",1",  "1;2",
                                      "-1", "nan", "1e9", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "sender: { retry_delays_s = \"%s\"; };", bad[i]);
        assert_non_null(load_text(text, &config));
        config_free(&config);
    }
}

static void passwords_are_redacted(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {"amqp://user:secret@host:5672/v", "amqp://user:***@host:5672/v"},
        {"amqp://user:se@cret@host/", "amqp://user:***@host/"},
        {"amqp://host/", "amqp://host/"},
        {"redis://:secret@host/1", "redis://:***@host/1"},
        {"postgresql://u@h/db?password=secret&x=1", "postgresql://u@h/db?password=***&x=1"},
        {"host=h password=secret dbname=d", "host=h password=*** dbname=d"},
        {"host=h password = secret dbname=d", "host=h password = *** dbname=d"},
        {"host=h password='sec\\' ret' dbname=d", "host=h password=*** dbname=d"},
        {"sslpassword=one password=two", "sslpassword=*** password=***"},
        {"http://h/a:b@c", "http://h/a:b@c"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char *safe = secret_redact(table[i][0]);
        assert_string_equal(safe, table[i][1]);
        free(safe);
    }
}

static void secrets_are_first_lines(void **state)
{
    (void)state;
    char path[] = "/tmp/mtc-unit-XXXXXX", error[256];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_null(secret_read(path, error, sizeof error));
    assert_non_null(strstr(error, "is empty"));
    assert_int_equal(write(fd, "key with space \r\nsecond\n", 24), 24);
    char *secret = secret_read(path, error, sizeof error);
    assert_string_equal(secret, "key with space ");
    free(secret);
    close(fd);
    unlink(path);
    assert_null(secret_read(path, error, sizeof error));
    assert_non_null(strstr(error, "No such file"));
}

/* What log_write() puts on standard error. */
static void captured(char *out, size_t size, const char *value)
{
    int pipes[2], saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(pipes), 0);
    dup2(pipes[1], STDERR_FILENO);
    log_warn("a message", LF_S("field", value), LF_I("n", -7));
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(pipes[1]);
    ssize_t len = read(pipes[0], out, size - 1);
    assert_true(len > 0);
    out[len] = '\0';
    close(pipes[0]);
}

static void a_log_line_is_one_line_whatever_a_peer_says(void **state)
{
    (void)state;
    char line[8192];
    captured(line, sizeof line, "plain");
    assert_non_null(strstr(line, " level=warn "));
    assert_non_null(strstr(line, " msg=\"a message\" field=plain n=-7\n"));
    captured(line, sizeof line, "x\nlevel=error msg=\"forged\"\x1b[2J");
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    assert_non_null(strstr(line, "field=\"x\\nlevel=error msg=\\\"forged\\\"\\x1b[2J\""));
    captured(line, sizeof line, NULL);
    assert_non_null(strstr(line, "field=\"\""));
    char large[10000];
    memset(large, 'y', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    captured(line, sizeof line, large);
    assert_int_equal(strlen(line), 4096);
    assert_int_equal(line[4095], '\n');
}

static void limited_warnings_are_counted(void **state)
{
    (void)state;
    struct log_limit limit = {0};
    assert_true(log_limit_ok(&limit, 60000));
    for (int i = 0; i < 10; i++)
        assert_false(log_limit_ok(&limit, 60000));
    assert_int_equal(limit.suppressed, 10);
}

static void metrics_render_as_prometheus_wants_them(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    metric_add(metrics_add(metrics, METRIC_COUNTER, "c_total", "a counter", "a=\"b\""), 3);
    struct metric *histogram = metrics_add(metrics, METRIC_HISTOGRAM, "h_seconds", "a histogram",
                                           NULL);
    metric_observe(histogram, 0.0004);
    metric_observe(histogram, 0.3);
    metric_observe(histogram, 1000);
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    metrics_render(metrics, out);
    fclose(out);
    assert_non_null(
        strstr(text, "# HELP c_total a counter\n# TYPE c_total counter\nc_total{a=\"b\"} 3\n"));
    assert_non_null(strstr(text, "h_seconds_bucket{le=\"0.0005\"} 1\n"));
    assert_non_null(strstr(text, "h_seconds_bucket{le=\"0.2\"} 1\n"));
    assert_non_null(strstr(text, "h_seconds_bucket{le=\"0.5\"} 2\n"));
    assert_non_null(strstr(text, "h_seconds_bucket{le=\"+Inf\"} 3\n"));
    assert_non_null(strstr(text, "h_seconds_count 3\n"));
    free(text);
    metrics_free(metrics);
}

static void utc_is_written_as_rfc_3339(void **state)
{
    (void)state;
    char out[UTC_TEXT];
    assert_string_equal(utc_format(1766923953213999, out), "2025-12-28T12:12:33.213Z");
    assert_string_equal(utc_format(0, out), "1970-01-01T00:00:00.000Z");
}

static void pauses_grow_to_their_cap_with_jitter(void **state)
{
    (void)state;
    struct backoff backoff = {.min_ms = 100, .max_ms = 1000};
    static const int64_t caps[] = {100, 200, 400, 800, 1000, 1000};
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 6; i++)
            assert_in_range(backoff_next_ms(&backoff), caps[i] / 2, caps[i]);
        backoff_reset(&backoff);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_option_has_a_good_default_and_a_unique_name),
        cmocka_unit_test(lists_are_read_in_seconds),
        cmocka_unit_test(passwords_are_redacted),
        cmocka_unit_test(secrets_are_first_lines),
        cmocka_unit_test(a_log_line_is_one_line_whatever_a_peer_says),
        cmocka_unit_test(limited_warnings_are_counted),
        cmocka_unit_test(metrics_render_as_prometheus_wants_them),
        cmocka_unit_test(utc_is_written_as_rfc_3339),
        cmocka_unit_test(pauses_grow_to_their_cap_with_jitter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
