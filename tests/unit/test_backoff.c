/* test_backoff.c - pauses grow to their cap, with jitter */
#include "unit.h"
#include "base/backoff.h"

static void pauses_grow_to_their_cap_with_jitter(void **state)
{
    (void)state;
    struct backoff backoff = {.min_ms = 100, .max_ms = 1000};
    static const int64_t caps[] = {100, 200, 400, 800, 1000, 1000};
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 6; i++)
            assert_in_range(backoff_next_ms(&backoff), caps[i] / 2, caps[i]);
        backoff_reset(&backoff);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pauses_grow_to_their_cap_with_jitter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
