/* test_pace.c - when the relay reads: asleep and awake */
#include "unit.h"
#include "pace.h"

#define POLL_MS 1000

static struct pace started(int64_t now)
{
    struct pace pace = {0};
    pace_start(&pace, now);
    pace_on_read_sent(&pace, now);
    pace_on_read_done(&pace, false, false);
    return pace;
}

/* So many reads find rows within the second that ends at `until`; says whether it changed. */
static bool a_second_of(struct pace *pace, int reads, int64_t until)
{
    for (int i = 0; i < reads; i++) {
        pace_on_read_sent(pace, until);
        pace_on_read_done(pace, true, false);
    }
    return pace_switch(pace, until);
}

static void a_new_relay_sleeps_and_reads_at_once(void **state)
{
    (void)state;
    struct pace pace = {.awake = true, .reads_with_rows = 1000};
    pace_start(&pace, 5000);
    assert_false(pace.awake);
    assert_true(pace.read_wanted);
    assert_false(pace_switch(&pace, 5999));
    assert_false(pace_switch(&pace, 6000)); /* what was read before does not count */
}

static void asleep_it_polls_slowly_and_when_asked(void **state)
{
    (void)state;
    struct pace pace = started(5000);
    assert_false(pace.read_wanted);
    assert_int_equal(pace_poll_at(&pace, POLL_MS), 5000 + POLL_MS);
    pace_on_poll_due(&pace);
    assert_true(pace.read_wanted);
    pace_on_read_sent(&pace, 6000);
    assert_false(pace.read_wanted);
    pace_want_read(&pace);
    assert_true(pace.read_wanted);
}

static void a_full_read_is_followed_by_another(void **state)
{
    (void)state;
    struct pace pace = started(5000);
    pace_on_read_sent(&pace, 5001);
    pace_on_read_done(&pace, true, false);
    assert_false(pace.read_wanted);
    pace_on_read_done(&pace, true, true);
    assert_true(pace.read_wanted);
    pace_on_read_sent(&pace, 5002);
    pace_on_read_done(&pace, false, false); /* one that only marks says nothing */
    assert_false(pace.read_wanted);
}

static void it_wakes_when_reads_are_many_and_sleeps_when_they_are_few(void **state)
{
    (void)state;
    struct pace pace = started(0);
    assert_false(a_second_of(&pace, 149, 1000));
    assert_false(a_second_of(&pace, 150, 1999)); /* not a second yet */
    assert_true(pace_switch(&pace, 2000));
    assert_true(pace.awake);
    pace_on_told(&pace);
    assert_int_equal(pace_poll_at(&pace, POLL_MS), pace.last_read_ms + 4);
    assert_false(a_second_of(&pace, 75, 3000));
    assert_true(a_second_of(&pace, 74, 4000));
    assert_false(pace.awake);
}

static void who_saw_it_awake_is_looked_for_soon_after(void **state)
{
    (void)state;
    struct pace pace = started(0);
    assert_true(a_second_of(&pace, 150, 1000));
    pace_on_told(&pace);
    assert_true(a_second_of(&pace, 0, 2000));
    pace_on_told(&pace);
    assert_true(pace.read_wanted);
    static const int64_t pauses[] = {20, 80, 320, POLL_MS, POLL_MS}; /* 1280 would be longer */
    int64_t now = 2000;
    for (size_t i = 0; i < sizeof pauses / sizeof pauses[0]; i++) {
        pace_on_read_sent(&pace, now);
        pace_on_read_done(&pace, false, false);
        assert_int_equal(pace_poll_at(&pace, POLL_MS) - now, pauses[i]);
        now += pauses[i];
        pace_on_poll_due(&pace);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_relay_sleeps_and_reads_at_once),
        cmocka_unit_test(asleep_it_polls_slowly_and_when_asked),
        cmocka_unit_test(a_full_read_is_followed_by_another),
        cmocka_unit_test(it_wakes_when_reads_are_many_and_sleeps_when_they_are_few),
        cmocka_unit_test(who_saw_it_awake_is_looked_for_soon_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
