/* test_rendezvous.c - weights spread, and move little */
#include "unit.h"
#include "rendezvous.h"

#include <stdio.h>

static void weights_spread_and_move_little(void **state)
{
    (void)state;
    int owned[4] = {0}, moved = 0;
    char names[4][16];
    for (int w = 0; w < 4; w++)
        snprintf(names[w], sizeof names[w], "host:%d", 1000 + w);
    for (int partition = 0; partition < 1000; partition++) {
        int best = 0, best_of_three = 0;
        for (int w = 1; w < 4; w++) {
            int32_t weight = rendezvous_weight(names[w], partition);
            assert_in_range(weight, 0, 1048575);
            if (weight > rendezvous_weight(names[best], partition))
                best = w;
            if (w < 3 && weight > rendezvous_weight(names[best_of_three], partition))
                best_of_three = w;
        }
        owned[best]++;
        moved += best != 3 &&
                 best != best_of_three; /* only what the fourth had may move when it goes */
    }
    for (int w = 0; w < 4; w++)
        assert_in_range(owned[w], 180, 320);
    assert_int_equal(moved, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_spread_and_move_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
