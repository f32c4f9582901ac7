/* test_silence.c - a broker is given up only if nothing moves */
#include "unit.h"
#include "silence.h"

static void it_is_over_when_nothing_is_confirmed_in_time(void **state)
{
    (void)state;
    struct silence silence = {.limit_ms = 10000};
    silence_on_channel(&silence, 0, 1000);
    assert_false(silence_is_over(&silence, false, 0, 60000)); /* nothing waits, or it is blocked */
    assert_false(silence_is_over(&silence, true, 0, 69999));
    silence_on_confirmed(&silence, 69999);
    assert_false(silence_is_over(&silence, true, 0, 79998));
    assert_true(silence_is_over(&silence, true, 0, 79999));
    assert_false(silence_is_over(&silence, true, 0, 80000)); /* once */
}

static void what_leaves_us_slowly_is_no_silence(void **state)
{
    (void)state;
    struct silence silence = {.limit_ms = 10000};
    silence_on_channel(&silence, 0, 0);
    silence_on_published(&silence, 8000000);
    for (int64_t now = 0; now < 60000; now += 1000)
        assert_false(silence_is_over(&silence, true, 8000000 - (size_t)now, now));
    silence_on_published(&silence, 1000); /* what goes into our own buffer moves nothing */
    assert_false(silence_is_over(&silence, true, 8000000 - 59000 + 1000, 68000));
    assert_true(silence_is_over(&silence, true, 8000000 - 59000 + 1000, 69000));
}

static void each_connection_in_vain_is_given_twice_the_time(void **state)
{
    (void)state;
    struct silence silence = {.limit_ms = 10000};
    int64_t now = 0, waited = 10000;
    for (int i = 0; i < 9; i++) {
        silence_on_channel(&silence, 0, now);
        assert_false(silence_is_over(&silence, true, 0, now + waited - 1));
        now += waited;
        assert_true(silence_is_over(&silence, true, 0, now));
        waited = waited * 2 < SILENCE_LIMIT_MAX_MS ? waited * 2 : SILENCE_LIMIT_MAX_MS;
    }
    silence_on_confirmed(&silence, now);
    assert_false(silence_is_over(&silence, true, 0, now + 9999));
    assert_true(silence_is_over(&silence, true, 0, now + 10000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_over_when_nothing_is_confirmed_in_time),
        cmocka_unit_test(what_leaves_us_slowly_is_no_silence),
        cmocka_unit_test(each_connection_in_vain_is_given_twice_the_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
