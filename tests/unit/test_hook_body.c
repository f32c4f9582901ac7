/* test_hook_body.c - what a web-hook's body may be */
#include "unit.h"
#include "hook_body.h"

#include <string.h>

static bool read_body(const char *text, struct hook_body *body, struct problem *problem)
{
    struct hook_rules rules = {.now_us = INT64_C(1766923953000000),
                               .future_max_s = 300,
                               .cycle_time_max_s = 86400}; /* 2025-12-28T12:12:33Z */
    return hook_body_read(text, strlen(text), &rules, body, problem);
}

static void good_bodies_are_read(void **state)
{
    (void)state;
    struct hook_body body;
    struct problem problem;
    assert_true(read_body("{\"machine_id\": 12, \"cycle_time\": 298.2}", &body, &problem));
    assert_int_equal(body.machine_id, 12);
    assert_true(body.cycle_time_s > 298.19 && body.cycle_time_s < 298.21);
    assert_int_equal(body.observed_us, 0);
    assert_true(read_body(
        "{\"cycle_time\":1,\"observed_at\":\"2025-12-28T15:12:33+03:00\",\"machine_id\":\"SR-26\"}",
        &body, &problem));
    assert_int_equal(body.machine_id, 0);
    assert_string_equal(body.machine, "SR-26");
    assert_int_equal(body.observed_us, INT64_C(1766923953000000));
    assert_true(read_body("{\"machine_id\":\"\\u0422-1\",\"cycle_time\":86400}", &body, &problem));
    assert_string_equal(body.machine, "\xd0\xa2-1");
}

static void what_goes_on_has_both_clocks_times(void **state)
{
    (void)state;
    char text[HOOK_BODY_TEXT];
    struct hook_body body = {.machine_id = 12, .cycle_time_s = 298.2};
    size_t len = hook_body_write(&body, INT64_C(1766923953000007), text);
    assert_int_equal(len, strlen(text));
    assert_string_equal(text, "{\"machine\":12,\"cycle_time\":298.200,"
                              "\"observed_at\":\"2025-12-28T12:12:33.000007Z\",\"dated\":false,"
                              "\"arrived_at\":\"2025-12-28T12:12:33.000007Z\","
                              "\"source\":\"webhook\"}");
    body = (struct hook_body){.machine = "a\"b", .cycle_time_s = 1, .observed_us = 1000000};
    hook_body_write(&body, 2000000, text);
    assert_string_equal(text, "{\"machine\":\"a\\\"b\",\"cycle_time\":1.000,"
                              "\"observed_at\":\"1970-01-01T00:00:01.000000Z\",\"dated\":true,"
                              "\"arrived_at\":\"1970-01-01T00:00:02.000000Z\","
                              "\"source\":\"webhook\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_bodies_are_read),
        cmocka_unit_test(what_goes_on_has_both_clocks_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
