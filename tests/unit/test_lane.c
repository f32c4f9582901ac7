/* test_lane.c - one line a machine, and only its head at work */
#include "unit.h"
#include "lane.h"
#include "base/xalloc.h"

#include <stdio.h>
#include <string.h>

/* Lanes know partitions as tokens only. */
struct partition {
    int unused;
};
static struct partition partitions[2];

static void on_ready(void *worker)
{
    (*(int *)worker)++;
}

static struct held *make(const char *machine, int number, int partition)
{
    char id[16];
    snprintf(id, sizeof id, "%d", number);
    struct envelope envelope = {.event_id = id, .machine = machine, .path = "/p"};
    struct held *held = held_new(&envelope, xstrdup("{}"), 2);
    held->partition = &partitions[partition];
    return held;
}

struct fixture {
    struct loop *loop;
    struct lanes lanes;
    int retries;
};

static int set_up(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof *fixture);
    fixture->loop = loop_new();
    lanes_init(&fixture->lanes, fixture->loop);
    lanes_set_worker(&fixture->lanes, on_ready, &fixture->retries);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    lanes_free(&fixture->lanes);
    loop_free(fixture->loop);
    free(fixture);
    return 0;
}

static void expect_pop(struct lane *lane, const char *id)
{
    struct held *held = lane_pop(lane);
    assert_string_equal(held->envelope.event_id, id);
    held_free(held);
}

static void heads_come_in_order_and_one_at_a_time(void **state)
{
    struct lanes *lanes = &((struct fixture *)*state)->lanes;
    for (int i = 0; i < 4; i++)
        lanes_push(lanes, make(i % 2 ? "B" : "A", i, 0));
    assert_int_equal(lanes->count, 2);
    struct lane *a = lanes_take(lanes), *b = lanes_take(lanes);
    assert_string_equal(a->machine, "A");
    assert_string_equal(b->machine, "B");
    assert_null(lanes_take(lanes)); /* 2 and 3 wait behind their heads */
    expect_pop(b, "1");
    assert_ptr_equal(lanes_take(lanes), b);
    expect_pop(b, "3");
    expect_pop(a, "0");
    assert_int_equal(lanes->count, 1); /* B is gone */
    assert_ptr_equal(lanes_take(lanes), a);
    expect_pop(a, "2");
    assert_int_equal(lanes->count, 0);
    assert_int_equal(lanes->held_count, 0);
}

static void a_waiting_lane_comes_back_by_itself(void **state)
{
    struct fixture *fixture = *state;
    lanes_push(&fixture->lanes, make("A", 1, 0));
    struct lane *lane = lanes_take(&fixture->lanes);
    lane_wait(lane, 1);
    assert_null(lanes_take(&fixture->lanes));
    lanes_push(&fixture->lanes, make("A", 2, 0));
    assert_null(lanes_take(&fixture->lanes)); /* what comes later waits too */
    loop_run(fixture->loop);
    assert_int_equal(fixture->retries, 1);
    assert_ptr_equal(lanes_take(&fixture->lanes), lane);
    expect_pop(lane, "1");
}

static void ready_first_goes_before_the_others(void **state)
{
    struct lanes *lanes = &((struct fixture *)*state)->lanes;
    lanes_push(lanes, make("A", 1, 0));
    lanes_push(lanes, make("B", 2, 0));
    struct lane *a = lanes_take(lanes);
    lane_ready(a, true);
    assert_ptr_equal(lanes_take(lanes), a);
    lane_ready(a, false);
    assert_string_equal(lanes_take(lanes)->machine, "B");
    assert_ptr_equal(lanes_take(lanes), a);
}

static void dropping_a_partition_spares_busy_heads_and_other_partitions(void **state)
{
    struct lanes *lanes = &((struct fixture *)*state)->lanes;
    lanes_push(lanes, make("busy", 1, 0));
    lanes_push(lanes, make("busy", 2, 0));
    lanes_push(lanes, make("other", 3, 1));
    lanes_push(lanes, make("ready", 4, 0));
    lanes_push(lanes, make("waiting", 5, 0));
    lanes_push(lanes, make("still", 6, 0));
    struct lane *busy = lanes_take(lanes);
    struct lane *other = lanes_take(lanes);
    struct lane *ready = lanes_take(lanes);
    lane_wait(lanes_take(lanes), 60000);
    lane_still(lanes_take(lanes));
    lane_ready(other, false);
    lane_ready(ready, false);
    lanes_drop(lanes, &partitions[0]);
    assert_int_equal(lanes->held_count, 2);
    assert_int_equal(lanes->count, 2);
    assert_ptr_equal(lanes_take(lanes), other);
    assert_null(lanes_take(lanes));
    lanes_push(lanes, make("busy", 7, 1)); /* behind the head whose request is still out */
    assert_null(lanes_take(lanes));
    expect_pop(busy, "1");
    assert_ptr_equal(lanes_take(lanes), busy);
    expect_pop(busy, "7");
}

static void a_lane_whose_head_was_dropped_goes_on_with_the_next(void **state)
{
    struct lanes *lanes = &((struct fixture *)*state)->lanes;
    lanes_push(lanes, make("A", 1, 0));
    lanes_push(lanes, make("A", 2, 1));
    lane_wait(lanes_take(lanes), 60000);
    lanes_drop(lanes, &partitions[0]);
    struct lane *lane = lanes_take(lanes);
    assert_non_null(lane);
    expect_pop(lane, "2");
}

/* Heads are looked at, busy ones too; an event that came from no outbox says nothing. */
static void the_oldest_of_all_lanes_is_known(void **state)
{
    struct lanes *lanes = &((struct fixture *)*state)->lanes;
    assert_int_equal(lanes_oldest_us(lanes), 0);
    lanes_push(lanes, make("no outbox", 1, 0));
    assert_int_equal(lanes_oldest_us(lanes), 0);
    static const int64_t created[] = {500, 300, 400};
    static const char *const machines[] = {"A", "B", "B"};
    for (int i = 0; i < 3; i++) {
        struct held *held = make(machines[i], 2 + i, 0);
        held->envelope.created_us = created[i];
        lanes_push(lanes, held);
    }
    assert_int_equal(lanes_oldest_us(lanes), 300);
    struct lane *without = lanes_take(lanes), *a = lanes_take(lanes), *b = lanes_take(lanes);
    assert_int_equal(lanes_oldest_us(lanes), 300);
    expect_pop(b, "3");
    assert_int_equal(lanes_oldest_us(lanes), 400);
    expect_pop(a, "2");
    expect_pop(without, "1");
    assert_int_equal(lanes_oldest_us(lanes), 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(heads_come_in_order_and_one_at_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_oldest_of_all_lanes_is_known, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_waiting_lane_comes_back_by_itself, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ready_first_goes_before_the_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(dropping_a_partition_spares_busy_heads_and_other_partitions,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_lane_whose_head_was_dropped_goes_on_with_the_next, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
