/* test_newest.c - what is newer, what is late, and what nobody can tell */
#include "unit.h"
#include "newest.h"

static enum hook_rank rank(const struct newest *newest, int64_t observed_us, int64_t arrived_us)
{
    const struct hook_times hook = {
        .machine_id = 1, .observed_us = observed_us, .arrived_us = arrived_us};
    return newest_rank_hook(newest, &hook);
}

static void note(struct newest *newest, int64_t observed_us, int64_t arrived_us)
{
    const struct hook_times hook = {
        .machine_id = 1, .observed_us = observed_us, .arrived_us = arrived_us};
    newest_note_hook(newest, &hook);
}

static void mtconnects_times_are_compared_with_each_other(void **state)
{
    (void)state;
    struct newest newest = {0};
    assert_int_equal(rank(&newest, 5, 1000), HOOK_UNCLEAR); /* nothing was seen yet */
    note(&newest, 10, 1000);
    note(&newest, 7, 1001);
    assert_int_equal(rank(&newest, 9, 1002), HOOK_OLDER);
    assert_int_equal(rank(&newest, 10, 1002), HOOK_OLDER);
    assert_int_equal(rank(&newest, 11, 3), HOOK_NEWER); /* whenever it arrived */
    const struct hook_times other = {.machine_id = 2, .observed_us = 9, .arrived_us = 5};
    assert_int_equal(newest_rank_hook(&newest, &other), HOOK_UNCLEAR);
    newest_clear(&newest);
    assert_int_equal(rank(&newest, 1, 1), HOOK_UNCLEAR);
}

static void what_has_no_time_is_compared_by_arrival_and_always_unclear(void **state)
{
    (void)state;
    struct newest newest = {0};
    note(&newest, 10, 1000);
    assert_int_equal(rank(&newest, 0, 5), HOOK_UNCLEAR); /* other clocks */
    note(&newest, 0, 2000);
    assert_int_equal(rank(&newest, 0, 2000), HOOK_OLDER); /* the same again */
    assert_int_equal(rank(&newest, 0, 1999), HOOK_OVERTAKEN);
    assert_int_equal(rank(&newest, 0, 2001), HOOK_UNCLEAR);
    assert_int_equal(rank(&newest, 11, 2001), HOOK_UNCLEAR); /* than what, nobody can tell */
    assert_int_equal(rank(&newest, 10, 2001), HOOK_OLDER);
    newest_clear(&newest);
}

static enum answer_rank answer(struct newest *newest, const struct question *question,
                               int64_t observed_us)
{
    enum answer_rank rank = newest_rank_answer(newest, 1, question, observed_us);
    if (rank == ANSWER_COUNTS)
        newest_note_answer(newest, 1, question, observed_us);
    return rank;
}

static void answers_are_in_the_order_of_their_questions(void **state)
{
    (void)state;
    struct newest newest = {0};
    struct question first = newest_ask(&newest, 1), second = newest_ask(&newest, 1);
    assert_int_equal(answer(&newest, &first, 0), ANSWER_COUNTS);
    assert_int_equal(answer(&newest, &first, 0), ANSWER_COUNTS); /* as long as it is the last */
    assert_int_equal(answer(&newest, &second, 0), ANSWER_COUNTS);
    assert_int_equal(answer(&newest, &first, 99), ANSWER_OLDER);
    assert_int_equal(rank(&newest, 50, 1), HOOK_UNCLEAR); /* an answer without a time came last */
    struct question third = newest_ask(&newest, 1);
    assert_int_equal(answer(&newest, &third, 40), ANSWER_COUNTS);
    assert_int_equal(rank(&newest, 39, 1), HOOK_OLDER);
    assert_int_equal(rank(&newest, 50, 1), HOOK_NEWER);
    newest_clear(&newest);
}

static void an_answer_counts_unless_something_is_newer_by_the_same_clock(void **state)
{
    (void)state;
    struct newest newest = {0};
    note(&newest, 0, 5000);
    struct question question = newest_ask(&newest, 1);
    assert_int_equal(answer(&newest, &question, 20), ANSWER_COUNTS); /* our 5000 has no say */
    note(&newest, 30, 5001);
    assert_int_equal(answer(&newest, &question, 29), ANSWER_OLDER);
    assert_int_equal(answer(&newest, &question, 30), ANSWER_COUNTS);
    question = newest_ask(&newest, 1);
    assert_int_equal(answer(&newest, &question, 0), ANSWER_COUNTS); /* the present state */
    note(&newest, 40, 5001);
    note(&newest, 0, 5002); /* what counts now can't be compared with 35, though 40 could */
    question = newest_ask(&newest, 1);
    assert_int_equal(answer(&newest, &question, 35), ANSWER_COUNTS);
    assert_int_equal(rank(&newest, 39, 5003), HOOK_OLDER);
    newest_clear(&newest);
}

static void a_web_hook_overtakes_an_answer_it_cant_be_compared_with(void **state)
{
    (void)state;
    struct newest newest = {0};
    struct question question = newest_ask(&newest, 1);
    note(&newest, 30, 5000);
    assert_int_equal(answer(&newest, &question, 0), ANSWER_OVERTAKEN);
    assert_int_equal(answer(&newest, &question, 31), ANSWER_COUNTS);
    note(&newest, 0, 5001); /* before PostgreSQL was told of the answer */
    assert_int_equal(answer(&newest, &question, 31), ANSWER_OVERTAKEN);
    question = newest_ask(&newest, 1);
    assert_int_equal(answer(&newest, &question, 0), ANSWER_COUNTS);
    newest_clear(&newest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mtconnects_times_are_compared_with_each_other),
        cmocka_unit_test(what_has_no_time_is_compared_by_arrival_and_always_unclear),
        cmocka_unit_test(answers_are_in_the_order_of_their_questions),
        cmocka_unit_test(an_answer_counts_unless_something_is_newer_by_the_same_clock),
        cmocka_unit_test(a_web_hook_overtakes_an_answer_it_cant_be_compared_with),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
