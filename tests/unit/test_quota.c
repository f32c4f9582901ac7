/* test_quota.c - one partition, or one machine, does not stop the others */
#include "unit.h"
#include "quota.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEAD 4 /* the partition of the dead letters */

static struct quota *new_quota(void)
{
    struct quota_limits limits = {
        .partitions = 4, .window = 100, .bytes = 1000, .confirm_ms = 10000};
    return quota_new(&limits);
}

/* A row of so many bytes, of a machine of that partition. */
static bool take(struct quota *quota, struct quota_share *share, const char *machine, int partition,
                 size_t bytes, int64_t now)
{
    *share = (struct quota_share){.partition = partition, .bytes = bytes};
    return quota_take(quota, share, machine, partition, now);
}

static void expect_held(const struct quota *quota, const char *wanted)
{
    char *held = quota_held(quota);
    assert_string_equal(held, wanted);
    free(held);
}

static void rows_and_bytes_are_counted_until_they_are_confirmed(void **state)
{
    (void)state;
    struct quota *quota = new_quota();
    struct quota_share first, second;
    assert_true(take(quota, &first, "A", 1, 100, 0));
    assert_true(take(quota, &second, "B", 2, 200, 0));
    assert_int_equal(quota_taken(quota).rows, 2);
    assert_int_equal(quota_taken(quota).bytes, 300);
    assert_int_equal(quota_left(quota).rows, 98);
    assert_int_equal(quota_left(quota).bytes, 700);
    assert_false(quota_give(quota, &first, 1));
    assert_false(quota_give(quota, &second, 1));
    assert_int_equal(quota_taken(quota).bytes, 0);
    quota_free(quota);
}

static void a_partition_that_confirms_nothing_is_stopped_and_others_go_on(void **state)
{
    (void)state;
    struct quota *quota = new_quota();
    struct quota_share stuck, other;
    assert_true(take(quota, &stuck, "A", 1, 100, 0));
    for (int64_t now = 1000; now < 10000; now += 1000) {
        assert_true(take(quota, &other, "B", 2, 100, now));
        assert_false(quota_give(quota, &other, now));
        assert_false(quota_watch(quota, false, now));
    }
    assert_true(quota_watch(quota, false, 10000));
    assert_false(quota_watch(quota, false, 11000)); /* once */
    assert_int_equal(quota_stopped(quota), 1);
    assert_false(take(quota, &other, "A", 1, 1, 11000));
    assert_false(take(quota, &other, "A2", 1, 1, 11000));
    expect_held(quota, "{\"A\",\"A2\"}");
    assert_true(take(quota, &other, "B", 2, 100, 11000));
    assert_int_equal(quota_left(quota).rows, 99); /* what is stuck counts no more */
    assert_int_equal(quota_left(quota).bytes, 900);
    assert_int_equal(quota_taken(quota).rows, 2);
    assert_false(quota_give(quota, &other, 12000));
    assert_true(quota_give(quota, &stuck, 12000)); /* it lives */
    assert_int_equal(quota_stopped(quota), 0);
    expect_held(quota, "{}");
    assert_true(take(quota, &stuck, "A", 1, 100, 12000));
    assert_false(quota_watch(quota, false, 21999)); /* its time begins anew */
    quota_free(quota);
}

/* The broker has said so, or what it was to get has not left us. */
static void nobody_is_stopped_for_what_is_not_their_fault(void **state)
{
    (void)state;
    struct quota *quota = new_quota();
    struct quota_share share;
    assert_true(take(quota, &share, "A", 1, 100, 0));
    assert_false(quota_watch(quota, true, 60000));
    assert_false(quota_watch(quota, false, 69999));
    assert_true(quota_watch(quota, false, 70000));
    quota_free(quota);
}

/* Half of the window, or of the bytes: the others can't wait ten seconds for their turn. */
static void one_that_has_taken_half_is_stopped_sooner(void **state)
{
    (void)state;
    struct quota *quota = new_quota();
    struct quota_share share;
    for (int i = 0; i < 50; i++)
        assert_true(take(quota, &share, "A", 1, 1, 0));
    assert_false(quota_watch(quota, false, 999));
    assert_true(quota_watch(quota, false, 1000));
    assert_true(take(quota, &share, "B", 2, 250, 2000));
    assert_true(take(quota, &share, "C", 2, 250, 2000));
    assert_true(quota_watch(quota, false, 3000));
    assert_int_equal(quota_stopped(quota), 2);
    quota_free(quota);
}

static void what_was_stopped_gets_one_row_on_the_next_channel(void **state)
{
    (void)state;
    struct quota *quota = new_quota();
    struct quota_share share, other;
    assert_true(take(quota, &share, "A", 1, 1, 0));
    assert_true(quota_watch(quota, false, 10000));
    quota_on_channel_lost(quota);
    assert_int_equal(quota_taken(quota).rows, 0);
    assert_int_equal(quota_stopped(quota), 0); /* nothing waits for it */
    assert_true(take(quota, &share, "A", 1, 1, 11000));
    assert_int_equal(quota_stopped(quota), 1);
    assert_false(take(quota, &other, "A", 1, 1, 11000));
    assert_false(take(quota, &other, "A2", 1, 1, 11000));
    assert_true(take(quota, &other, "B", 2, 1, 11000));
    assert_true(quota_give(quota, &share, 12000));
    assert_true(take(quota, &share, "A", 1, 1, 12000));
    assert_true(take(quota, &share, "A", 1, 1, 12000));
    quota_clear(quota);
    assert_int_equal(quota_taken(quota).rows, 0);
    quota_free(quota);
}

static void a_machine_takes_at_most_a_quarter_of_the_bytes(void **state)
{
    (void)state;
    struct quota *quota = new_quota();
    struct quota_share first, second, other;
    assert_true(take(quota, &first, "A", 1, 120, 0));
    assert_true(take(quota, &second, "A", 1, 100, 0));
    assert_false(take(quota, &other, "A", 1, 31, 0)); /* 251 */
    assert_false(take(quota, &other, "A", 1, 1, 0));  /* nor a smaller one behind it */
    expect_held(quota, "{\"A\"}");
    assert_true(take(quota, &other, "B", 1, 100, 0)); /* of the same partition */
    assert_true(quota_give(quota, &first, 1));
    expect_held(quota, "{}");
    assert_true(take(quota, &first, "A", 1, 31, 1));
    quota_free(quota);
}

static void a_row_larger_than_all_goes_alone(void **state)
{
    (void)state;
    struct quota *quota = new_quota();
    struct quota_share share, other;
    assert_true(take(quota, &share, "A", 1, 5000, 0));
    assert_int_equal(quota_left(quota).bytes, 0);
    assert_false(take(quota, &other, "A", 1, 1, 0));
    assert_true(quota_give(quota, &share, 1));
    assert_true(take(quota, &other, "A", 1, 1, 1));
    quota_free(quota);
}

/* A row of it that could not be formed waits for mtc.dead, so its next ones wait too. */
static void a_machine_waits_for_the_dead_letters_too(void **state)
{
    (void)state;
    struct quota *quota = new_quota();
    struct quota_share stuck, share = {.partition = DEAD, .bytes = 1};
    assert_true(take(quota, &stuck, "", DEAD, 1, 0));
    assert_true(quota_watch(quota, false, 10000));
    assert_false(quota_take(quota, &share, "A", 1, 10000));
    expect_held(quota, "{\"\",\"A\"}");
    assert_false(take(quota, &share, "A", 1, 1, 10000));
    assert_true(quota_give(quota, &stuck, 11000));
    expect_held(quota, "{}");
    assert_true(take(quota, &share, "A", 1, 1, 11000));
    quota_free(quota);
}

static void names_are_quoted(void **state)
{
    (void)state;
    struct quota *quota = new_quota();
    struct quota_share share;
    assert_true(take(quota, &share, "a\"b\\c, {d}", 1, 1, 0));
    assert_true(quota_watch(quota, false, 10000));
    expect_held(quota, "{\"a\\\"b\\\\c, {d}\"}");
    quota_free(quota);
}

/* Nothing is remembered of who has nothing on its way and need not wait. */
static void machines_are_forgotten(void **state)
{
    (void)state;
    struct quota *quota = new_quota();
    struct quota_share share, stuck;
    char name[20];
    for (int i = 0; i < QUOTA_MACHINES_MAX + 10; i++) {
        snprintf(name, sizeof name, "M-%d", i);
        assert_true(take(quota, &share, name, 1, 1, 0));
        quota_give(quota, &share, 0);
    }
    assert_false(quota_is_crowded(quota));
    assert_true(take(quota, &stuck, "A", 1, 1, 0));
    assert_true(quota_watch(quota, false, 10000));
    for (int i = 0; i < QUOTA_MACHINES_MAX; i++) {
        snprintf(name, sizeof name, "M-%d", i);
        assert_false(take(quota, &share, name, 1, 1, 10000));
    }
    assert_true(quota_is_crowded(quota));
    assert_true(quota_give(quota, &stuck, 11000));
    assert_false(quota_is_crowded(quota));
    quota_free(quota);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_and_bytes_are_counted_until_they_are_confirmed),
        cmocka_unit_test(a_partition_that_confirms_nothing_is_stopped_and_others_go_on),
        cmocka_unit_test(nobody_is_stopped_for_what_is_not_their_fault),
        cmocka_unit_test(one_that_has_taken_half_is_stopped_sooner),
        cmocka_unit_test(what_was_stopped_gets_one_row_on_the_next_channel),
        cmocka_unit_test(a_machine_takes_at_most_a_quarter_of_the_bytes),
        cmocka_unit_test(a_row_larger_than_all_goes_alone),
        cmocka_unit_test(a_machine_waits_for_the_dead_letters_too),
        cmocka_unit_test(names_are_quoted),
        cmocka_unit_test(machines_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
