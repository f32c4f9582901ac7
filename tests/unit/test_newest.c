/* test_newest.c - what is late is known */
#include "unit.h"
#include "newest.h"

static void what_is_late_is_known(void **state)
{
    (void)state;
    struct newest newest = {0};
    assert_false(newest_is_stale(&newest, 1, 5));
    newest_note(&newest, 1, 10);
    newest_note(&newest, 1, 7);
    newest_note(&newest, 2, 3);
    assert_true(newest_is_stale(&newest, 1, 9));
    assert_false(newest_is_stale(&newest, 1, 10));
    assert_false(newest_is_stale(&newest, 2, 9));
    newest_clear(&newest);
    assert_false(newest_is_stale(&newest, 1, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_late_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
