/* test_rfc3339.c - times as RFC 3339 has them */
#include "unit.h"
#include "base/rfc3339.h"

#define NOW_US INT64_C(1766923953000000) /* 2025-12-28T12:12:33Z */

static void times_are_read_as_rfc_3339_has_them(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
    } good[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2025-12-28T12:12:33Z", NOW_US},
        {"2025-12-28t15:12:33.000001+03:00", NOW_US + 1},
        {"2025-12-28T07:42:33.1234567-04:30", NOW_US + 123456},
        {"2024-02-29T00:00:00z", INT64_C(1709164800000000)},
        {"2000-02-29T23:59:60Z", INT64_C(951868799999999)},
        {"1969-12-31T23:59:59Z", -1000000},
        {"0001-01-01T00:00:00Z", INT64_C(-62135596800000000)},
        {"0000-01-01T00:00:00Z", INT64_C(-62167219200000000)},
        {"9999-12-31T23:59:59Z", INT64_C(253402300799000000)},
    };
    static const char *const bad[] = {"",
                                      "2025-12-28",
                                      "2025-12-28 12:12:33Z",
                                      "2025-12-28T12:12:33",
                                      "2025-12-28T12:12Z",
                                      "2025-13-01T00:00:00Z",
                                      "2025-00-01T00:00:00Z",
                                      "2025-02-29T00:00:00Z",
                                      "1900-02-29T00:00:00Z",
                                      "2025-12-32T00:00:00Z",
                                      "2025-12-28T24:00:00Z",
                                      "2025-12-28T12:60:00Z",
                                      "2025-12-28T12:12:61Z",
                                      "2025-12-28T12:12:33.Z",
                                      "2025-12-28T12:12:33+3:00",
                                      "2025-12-28T12:12:33+24:00",
                                      "2025-12-28T12:12:33+03:60",
                                      "2025-12-28T12:12:33+0300",
                                      "2025-12-28T12:12:33Zz",
                                      "+025-12-28T12:12:33Z",
                                      "25-12-28T12:12:33Z"};
    int64_t us;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(rfc3339_parse(good[i].text, &us));
        assert_true(us == good[i].us);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(rfc3339_parse(bad[i], &us));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_read_as_rfc_3339_has_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
