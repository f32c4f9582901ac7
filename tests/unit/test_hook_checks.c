/* test_hook_checks.c - what an idempotency key may be */
#include "unit.h"
#include "hook_checks.h"

#include <string.h>

static void keys_are_visible_and_not_long(void **state)
{
    (void)state;
    struct problem problem = {0};
    char longest[130];
    memset(longest, 'k', sizeof longest);
    longest[128] = '\0';
    assert_true(hook_key_is_good("0193f6a2-7c11-7d41-8f3b-2c5e9d7a1b44", &problem));
    assert_true(hook_key_is_good(longest, &problem));
    static const char *const bad[] = {NULL, "", "two words", "tab\there", "\xd0\xba\xd0\xbb"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(hook_key_is_good(bad[i], &problem));
        assert_int_equal(problem.status, 400);
        assert_string_equal(problem.field, "X-Idempotency-Key");
    }
    memcpy(longest + 128, "k", 2);
    assert_false(hook_key_is_good(longest, &problem));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_visible_and_not_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
