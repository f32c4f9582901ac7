/* test_config.c - every option's default, what the file may say, what is not shown */
#include "unit.h"
#include "suite/config.h"

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

static void what_cannot_be_read_is_named_with_its_reason(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"/nowhere/mtc.conf", "No such file or directory"},
                                           {"/tmp", "it is not a file"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config config;
        char error[512], wanted[128];
        snprintf(wanted, sizeof wanted, "%s: cannot be read: %s", cases[i][0], cases[i][1]);
        assert_false(config_load(&config, cases[i][0], error, sizeof error));
        assert_string_equal(error, wanted);
        config_free(&config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_option_has_a_good_default_and_a_unique_name),
        cmocka_unit_test(lists_are_read_in_seconds),
        cmocka_unit_test(what_cannot_be_read_is_named_with_its_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
