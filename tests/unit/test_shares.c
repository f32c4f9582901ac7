/* test_shares.c - what of scheduler.memory_mib is for what */
#include "unit.h"
#include "answer.h"
#include "confirm.h"
#include "shares.h"

static struct shares of(int64_t memory_mib, int64_t connections, int64_t prefetch)
{
    const struct config config = {.scheduler_memory_mib = memory_mib,
                                  .scheduler_connections = connections,
                                  .scheduler_prefetch = prefetch};
    return shares_of(&config);
}

static void the_defaults_are_not_cut(void **state)
{
    (void)state;
    struct shares shares = of(64, 32, 1000);
    assert_int_equal(shares.pull_connections, 32);
    assert_int_equal(shares.confirm_connections, CONFIRM_CONNECTIONS);
    assert_int_equal(shares.prefetch, 1000);
}

static void what_is_held_never_exceeds_its_part(void **state)
{
    (void)state;
    for (int64_t mib = 1; mib <= 65536; mib *= 2) {
        struct shares shares = of(mib, 4096, 65535);
        int64_t answers = (shares.pull_connections + shares.confirm_connections) * ANSWER_BODY_MAX;
        int64_t hooks = (int64_t)shares.prefetch * HOOK_MAX;
        assert_true(answers <= mib * 524288);
        assert_true(hooks <= mib * 262144);
        assert_true(shares.pull_connections >= 1 && shares.confirm_connections >= 1);
        assert_true(shares.prefetch >= 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_defaults_are_not_cut),
        cmocka_unit_test(what_is_held_never_exceeds_its_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
