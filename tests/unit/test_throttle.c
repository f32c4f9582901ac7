/* test_throttle.c - how much MTConnect takes at once */
#include "unit.h"
#include "throttle.h"

#include <stdlib.h>

static void a_named_time_binds_everything(void **state)
{
    (void)state;
    struct throttle throttle;
    throttle_init(&throttle, 64);
    assert_true(throttle_allows(&throttle, 63, 0));
    assert_false(throttle_allows(&throttle, 64, 0));
    throttle_on_refused(&throttle, 1, 3000, 5, 10);
    assert_false(throttle_allows(&throttle, 0, 3009));
    assert_int_equal(throttle_holds_until(&throttle, 3009), 3010);
    assert_true(throttle_allows(&throttle, 0, 3010));
    assert_int_equal(throttle_holds_until(&throttle, 3010), 0);
}

/* A burst of 64 of which 40 are refused halves the limit once, or it would be one for long. */
static void one_burst_is_one_cut(void **state)
{
    (void)state;
    struct throttle throttle;
    throttle_init(&throttle, 64);
    for (int i = 0; i < 40; i++)
        throttle_on_refused(&throttle, 1, 1000, 5, 10 + i);
    assert_true(throttle_allows(&throttle, 31, 2000));
    assert_false(throttle_allows(&throttle, 32, 2000));
    throttle_on_refused(&throttle, 1, 1000, 2001, 2002); /* sent after the cut: it is news */
    assert_false(throttle_allows(&throttle, 16, 4000));
    assert_true(throttle_allows(&throttle, 15, 4000));
}

static void successes_raise_it_by_about_one_a_round(void **state)
{
    (void)state;
    struct throttle throttle;
    throttle_init(&throttle, 64);
    throttle_on_refused(&throttle, 1, 0, 1, 1);
    int at = (int)throttle.limit;
    for (int i = 0; i <= at; i++)
        throttle_on_taken(&throttle);
    assert_int_equal((int)throttle.limit, at + 1);
    for (int i = 0; i < 10000; i++)
        throttle_on_taken(&throttle);
    assert_true(throttle.limit <= 64);
    assert_true(throttle_allows(&throttle, 63, 100000));
}

static void one_machines_own_holds_up_nobody(void **state)
{
    (void)state;
    struct throttle throttle;
    throttle_init(&throttle, 64);
    throttle_on_refused(&throttle, THROTTLE_OWN - 1, 1000, 5, 10);
    assert_int_equal(throttle_holds_until(&throttle, 10), 1010);
    throttle_on_refused(&throttle, THROTTLE_OWN, 60000, 1020, 1030);
    assert_int_equal(throttle_holds_until(&throttle, 1030), 0);
    assert_true(throttle_allows(&throttle, 15, 1030)); /* fewer at once all the same */
    assert_false(throttle_allows(&throttle, 16, 1030));
}

static void without_a_named_time_pauses_grow(void **state)
{
    (void)state;
    struct throttle throttle;
    throttle_init(&throttle, 64);
    int64_t now = 1, longest = 0;
    for (int i = 0; i < 20; i++) {
        throttle_on_refused(&throttle, 1, 0, now, now);
        int64_t until = throttle_holds_until(&throttle, now);
        assert_true(until > now);
        longest = until - now > longest ? until - now : longest;
        now = until;
    }
    assert_in_range(longest, 2500, 5000);
}

/* Whatever comes: one request may always go once the hold is over, never more than connections. */
static void property(void **state)
{
    (void)state;
    unsigned seed = 7;
    struct throttle throttle;
    throttle_init(&throttle, 16);
    int64_t now = 1;
    for (int i = 0; i < 100000; i++) {
        now += rand_r(&seed) % 50;
        if (rand_r(&seed) % 3)
            throttle_on_taken(&throttle);
        else
            throttle_on_refused(&throttle, 1, (rand_r(&seed) % 3) * 500, now - rand_r(&seed) % 100,
                                now);
        int64_t until = throttle_holds_until(&throttle, now);
        assert_true(until == 0 || (until > now && until <= now + 5000));
        assert_true(throttle_allows(&throttle, 0, until ? until : now));
        assert_false(throttle_allows(&throttle, 16, now + 10000));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_named_time_binds_everything),
        cmocka_unit_test(one_burst_is_one_cut),
        cmocka_unit_test(successes_raise_it_by_about_one_a_round),
        cmocka_unit_test(one_machines_own_holds_up_nobody),
        cmocka_unit_test(without_a_named_time_pauses_grow),
        cmocka_unit_test(property),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
