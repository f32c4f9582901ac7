/* test_entropy.c - base/entropy: one seed, one sequence; every number can come */
#include "unit.h"
#include "base/entropy.h"

static void a_seed_decides_what_follows(void **state)
{
    (void)state;
    uint64_t first[8];
    entropy_seed(7);
    for (int i = 0; i < 8; i++)
        first[i] = entropy_u64();
    entropy_seed(7);
    for (int i = 0; i < 8; i++)
        assert_int_equal(entropy_u64(), first[i]);
    entropy_seed(8);
    assert_int_not_equal(entropy_u64(), first[0]);
}

/* The reference: splitmix64 of seed 0, then xoshiro256**, worked out by an independent program. */
static void the_generator_is_the_published_one(void **state)
{
    (void)state;
    entropy_seed(0);
    assert_true(entropy_u64() == UINT64_C(0x99ec5f36cb75f2b4));
    assert_true(entropy_u64() == UINT64_C(0xbf6e1f784956452a));
}

static void bounds_are_included_and_kept(void **state)
{
    (void)state;
    int seen[4] = {0};
    entropy_seed(1);
    for (int i = 0; i < 1000; i++) {
        uint32_t number = entropy_up_to(3);
        assert_in_range(number, 0, 3);
        seen[number]++;
    }
    for (int i = 0; i < 4; i++)
        assert_true(seen[i] > 150); /* 250 are expected, and a seed is a seed */
    assert_int_equal(entropy_up_to(0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_decides_what_follows),
        cmocka_unit_test(the_generator_is_the_published_one),
        cmocka_unit_test(bounds_are_included_and_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
