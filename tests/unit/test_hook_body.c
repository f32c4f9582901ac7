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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_bodies_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
