/* test_clock.c - UTC as text */
#include "unit.h"
#include "base/clock.h"

static void utc_is_written_as_rfc_3339(void **state)
{
    (void)state;
    char out[UTC_TEXT];
    assert_string_equal(utc_format(1766923953213999, out), "2025-12-28T12:12:33.213Z");
    assert_string_equal(utc_format(0, out), "1970-01-01T00:00:00.000Z");
}

static void an_age_is_never_negative(void **state)
{
    (void)state;
    int64_t now = utc_us();
    assert_true(age_s(now - 5000000) >= 5 && age_s(now - 5000000) < 60);
    assert_true(age_s(now + 60000000) == 0);
    assert_true(age_s(0) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utc_is_written_as_rfc_3339),
        cmocka_unit_test(an_age_is_never_negative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
