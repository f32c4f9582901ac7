/* test_repeats.c - known rows, and the oldest after a takeover */
#include "unit.h"
#include "repeats.h"

static void repeats_are_known_rows_and_the_oldest_after_a_takeover(void **state)
{
    (void)state;
    struct repeats repeats = {0};
    assert_false(repeats_has(&repeats, 1));
    for (int64_t row = 1000; row > 0; row -= 2)
        repeats_add(&repeats, row);
    for (int64_t row = 1; row <= 1001; row++)
        assert_int_equal(repeats_has(&repeats, row), row % 2 == 0);
    repeats_clear(&repeats);
    assert_false(repeats_has(&repeats, 2));

    repeats_after_takeover(&repeats, 10);
    assert_true(repeats_has(&repeats, 3));
    assert_true(repeats_has(&repeats, 10));
    assert_false(repeats_has(&repeats, 11)); /* written after the takeover */
    repeats_after_takeover(&repeats, INT64_MAX);
    int64_t row = 0;
    while (repeats_has(&repeats, row))
        row++;
    assert_int_equal(row, REPEATS_AFTER_TAKEOVER);
    repeats_free(&repeats);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(repeats_are_known_rows_and_the_oldest_after_a_takeover),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
