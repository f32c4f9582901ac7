/* test_recent.c - the last ids and no more */
#include "unit.h"
#include "recent.h"

#include <stdio.h>

static void recent_holds_the_last_ids_and_no_more(void **state)
{
    (void)state;
    struct recent *recent = recent_new();
    char id[40];
    for (int i = 0; i < 5 * RECENT_IDS; i++) {
        snprintf(id, sizeof id, "event-%d", i);
        assert_false(recent_has(recent, id));
        recent_add(recent, id);
        recent_add(recent, id); /* twice is once */
        assert_true(recent_has(recent, id));
    }
    int found = 0;
    for (int i = 0; i < 5 * RECENT_IDS; i++) {
        snprintf(id, sizeof id, "event-%d", i);
        bool has = recent_has(recent, id);
        assert_int_equal(has, i >= 4 * RECENT_IDS);
        found += has;
    }
    assert_int_equal(found, RECENT_IDS);
    recent_free(recent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recent_holds_the_last_ids_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
