/* test_breaker.c - shall a route be asked at all? */
#include "unit.h"
#include "breaker.h"

#include <stdlib.h>

static struct breaker fresh(void)
{
    struct breaker breaker;
    breaker_init(&breaker, 5, 100, 1000, 64);
    return breaker;
}

static void open_it(struct breaker *breaker, int64_t now)
{
    for (int i = 0; i < 5; i++)
        breaker_tell(breaker, SIGN_OF_ABSENCE, 7, 9, now);
    assert_int_equal(breaker->state, BREAKER_OPEN);
}

static void one_machine_alone_never_opens_it(void **state)
{
    (void)state;
    struct breaker breaker = fresh();
    for (int i = 0; i < 1000; i++)
        assert_false(breaker_tell(&breaker, SIGN_OF_TROUBLE, 7, 64, i));
    assert_int_equal(breaker.state, BREAKER_CLOSED);
}

static void several_machines_open_it_but_not_before_the_fifth_failure(void **state)
{
    (void)state;
    struct breaker breaker = fresh();
    for (uint64_t i = 0; i < 4; i++)
        assert_false(breaker_tell(&breaker, SIGN_OF_TROUBLE, i, 64, 0));
    assert_true(breaker_tell(&breaker, SIGN_OF_TROUBLE, 4, 64, 0));
    assert_int_equal(breaker.state, BREAKER_OPEN);
}

static void two_machines_open_it_only_if_there_are_no_more(void **state)
{
    (void)state;
    struct breaker many = fresh(), two = fresh();
    bool opened = false;
    for (uint64_t i = 0; i < 20; i++) {
        assert_false(breaker_tell(&many, SIGN_OF_TROUBLE, i % 2, 3, 0));
        opened = breaker_tell(&two, SIGN_OF_TROUBLE, i % 2, 2, 0) || opened;
    }
    assert_true(opened);
}

static void nobody_there_opens_it_for_one_machine_too(void **state)
{
    (void)state;
    struct breaker breaker = fresh();
    for (int i = 0; i < 4; i++)
        assert_false(breaker_tell(&breaker, SIGN_OF_ABSENCE, 7, 1, 0));
    assert_true(breaker_tell(&breaker, SIGN_OF_ABSENCE, 7, 1, 0));
}

/* An event that alone is answered 403, among many that are taken. */
static void absence_with_life_between_never_opens_it(void **state)
{
    (void)state;
    struct breaker breaker = fresh();
    for (int i = 0; i < 1000; i++) {
        assert_false(breaker_tell(&breaker, SIGN_OF_ABSENCE, 7, 64, i));
        assert_false(breaker_tell(&breaker, SIGN_OF_LIFE, 8, 64, i));
    }
    assert_int_equal(breaker.state, BREAKER_CLOSED);
}

/* Trouble of one machine does not hide that nobody is there. */
static void trouble_among_absences_is_no_excuse(void **state)
{
    (void)state;
    struct breaker breaker = fresh();
    bool opened = false;
    for (int i = 0; i < 10; i++)
        opened = breaker_tell(&breaker, i % 2 ? SIGN_OF_ABSENCE : SIGN_OF_TROUBLE, 7, 1, i);
    assert_true(opened);
}

static void a_sign_of_life_ends_a_streak(void **state)
{
    (void)state;
    struct breaker breaker = fresh();
    for (uint64_t i = 0; i < 1000; i++) {
        assert_false(breaker_tell(&breaker, SIGN_OF_TROUBLE, i, 64, 0));
        if (i % 4 == 3)
            breaker_tell(&breaker, SIGN_OF_LIFE, i, 64, 0);
    }
    assert_int_equal(breaker.state, BREAKER_CLOSED);
}

static void open_lets_one_probe_go_after_each_growing_pause(void **state)
{
    (void)state;
    struct breaker breaker = fresh();
    int64_t now = 0, longest = 0;
    open_it(&breaker, now);
    for (int probe = 0; probe < 20; probe++) {
        int64_t pause = breaker.probe_at_ms - now;
        assert_in_range(pause, 50, 1000);
        longest = pause > longest ? pause : longest;
        assert_false(breaker_allows(&breaker, 0, breaker.probe_at_ms - 1));
        now = breaker.probe_at_ms;
        assert_true(breaker_allows(&breaker, 0, now));
        breaker_on_start(&breaker);
        assert_false(breaker_allows(&breaker, 1, now)); /* one at a time */
        assert_false(breaker_tell(&breaker, SIGN_OF_TROUBLE, 7, 9, now));
        assert_int_equal(breaker.state, BREAKER_OPEN);
    }
    assert_true(longest >= 500);
}

static void closing_ramps_up(void **state)
{
    (void)state;
    struct breaker breaker = fresh();
    open_it(&breaker, 0);
    breaker_on_start(&breaker);
    breaker_tell(&breaker, SIGN_OF_LIFE, 7, 9, 10);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
    assert_true(breaker_allows(&breaker, 1, 10));
    assert_false(breaker_allows(&breaker, 2, 10));
    for (int i = 0; i < 70; i++)
        breaker_tell(&breaker, SIGN_OF_LIFE, 7, 9, 10);
    assert_true(breaker_allows(&breaker, 63, 10));
    assert_int_equal(breaker.ramp, 0);
}

static void a_poison_event_left_alone_does_not_keep_it_open(void **state)
{
    (void)state;
    struct breaker breaker = fresh();
    open_it(&breaker, 0);
    breaker_on_start(&breaker);
    breaker_tell(&breaker, SIGN_OF_TROUBLE, 7, 1, 10);
    assert_int_equal(breaker.state, BREAKER_CLOSED);
}

/* Whatever happens in whatever order: it never lets more than one probe out while open, and life
 * always closes it. */
static void property(void **state)
{
    (void)state;
    unsigned seed = 42;
    for (int run = 0; run < 200; run++) {
        struct breaker breaker = fresh();
        int64_t now = 0;
        for (int step = 0; step < 500; step++) {
            now += rand_r(&seed) % 300;
            if (breaker_allows(&breaker, 0, now)) {
                bool was_open = breaker.state == BREAKER_OPEN;
                breaker_on_start(&breaker);
                if (was_open)
                    assert_false(breaker_allows(&breaker, 1, now));
            }
            enum breaker_sign sign = (enum breaker_sign)(rand_r(&seed) % 3);
            breaker_tell(&breaker, sign, (uint64_t)rand_r(&seed) % 4, 1 + rand_r(&seed) % 5, now);
            if (sign == SIGN_OF_LIFE)
                assert_int_equal(breaker.state, BREAKER_CLOSED);
            if (breaker.state == BREAKER_OPEN)
                assert_in_range(breaker.probe_at_ms, 1, now + 1000);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_machine_alone_never_opens_it),
        cmocka_unit_test(several_machines_open_it_but_not_before_the_fifth_failure),
        cmocka_unit_test(two_machines_open_it_only_if_there_are_no_more),
        cmocka_unit_test(nobody_there_opens_it_for_one_machine_too),
        cmocka_unit_test(absence_with_life_between_never_opens_it),
        cmocka_unit_test(trouble_among_absences_is_no_excuse),
        cmocka_unit_test(a_sign_of_life_ends_a_streak),
        cmocka_unit_test(open_lets_one_probe_go_after_each_growing_pause),
        cmocka_unit_test(closing_ramps_up),
        cmocka_unit_test(a_poison_event_left_alone_does_not_keep_it_open),
        cmocka_unit_test(property),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
