/* test_budget.c - bytes that several clients share */
#include "unit.h"
#include "base/budget.h"
#include "base/hash.h"

#include <stdio.h>

static void one_client_has_at_most_a_quarter(void **state)
{
    (void)state;
    struct budget *budget = budget_new(1000);
    assert_true(budget_take(budget, "a", 200));
    assert_true(budget_take(budget, "a", 50));
    assert_false(budget_take(budget, "a", 1));
    assert_true(budget_take(budget, "b", 250)); /* another does not notice */
    assert_int_equal(budget_held(budget), 500);
    budget_give_back(budget, "a", 50);
    assert_true(budget_take(budget, "a", 50));
    budget_free(budget);
}

static void all_of_them_have_no_more_than_there_is(void **state)
{
    (void)state;
    struct budget *budget = budget_new(1000);
    const char *const clients[] = {"a", "b", "c", "d"};
    for (int i = 0; i < 4; i++)
        assert_true(budget_take(budget, clients[i], 250));
    assert_false(budget_take(budget, "e", 1));
    budget_give_back(budget, "c", 250);
    assert_true(budget_take(budget, "e", 1));
    assert_true(budget_take(budget, "c", 249));
    assert_false(budget_take(budget, "c", 1)); /* there is no room, though it has less */
    assert_int_equal(budget_held(budget), 1000);
    budget_free(budget);
}

static void a_single_large_piece_is_taken(void **state)
{
    (void)state;
    struct budget *budget = budget_new(1000);
    assert_true(budget_take(budget, "a", 700)); /* more than its quarter, and all it has */
    assert_false(budget_take(budget, "a", 1));
    assert_false(budget_take(budget, "b", 301));
    assert_true(budget_take(budget, "b", 300));
    budget_give_back(budget, "a", 700);
    budget_give_back(budget, "b", 300);
    assert_true(budget_take(budget, "b", 5000)); /* more than there is, and alone */
    assert_false(budget_take(budget, "a", 1));
    budget_give_back(budget, "b", 5000);
    assert_int_equal(budget_held(budget), 0);
    assert_true(budget_take(budget, "a", 0));
    budget_free(budget);
}

/* A long random walk: neither bound is ever broken, and what was given back can be taken. */
static void bounds_hold_whatever_is_taken(void **state)
{
    (void)state;
    struct budget *budget = budget_new(1000);
    size_t held[8] = {0}, all = 0;
    for (int step = 0; step < 100000; step++) {
        char name[16], number[16];
        snprintf(number, sizeof number, "%d", step);
        uint64_t dice = hash_text(number, 7);
        size_t who = dice % 8, bytes = dice / 8 % 120 + 1;
        snprintf(name, sizeof name, "c%zu", who);
        if (dice >> 60 & 1) {
            bool may = held[who] + bytes <= 250 && all + bytes <= 1000;
            assert_int_equal(budget_take(budget, name, bytes), may);
            held[who] += may ? bytes : 0;
            all += may ? bytes : 0;
        } else if (held[who]) {
            bytes = bytes < held[who] ? bytes : held[who];
            budget_give_back(budget, name, bytes);
            held[who] -= bytes;
            all -= bytes;
        }
        assert_int_equal(budget_held(budget), all);
    }
    budget_free(budget);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_client_has_at_most_a_quarter),
        cmocka_unit_test(all_of_them_have_no_more_than_there_is),
        cmocka_unit_test(a_single_large_piece_is_taken),
        cmocka_unit_test(bounds_hold_whatever_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
