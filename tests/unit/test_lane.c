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

static struct routes routes;

static struct held *make_for(const char *path, const char *machine, int number, int partition)
{
    char id[16];
    snprintf(id, sizeof id, "%d", number);
    struct envelope envelope = {.event_id = id, .machine = machine, .path = path};
    struct held *held = held_new(&envelope, xstrdup("{}"), 2, NULL);
    held->partition = &partitions[partition];
    held->route = routes_find(&routes, path);
    return held;
}

static struct held *make(const char *machine, int number, int partition)
{
    return make_for("/p", machine, number, partition);
}

static struct lane *take_for(const char *path)
{
    struct route *route = routes_peek(&routes, path);
    return route ? lanes_take(route) : NULL;
}

static struct lane *take(void)
{
    return take_for("/p");
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
    struct routes_settings settings = {.failures_to_open = 5, .connections = 8};
    routes_init(&routes, &settings);
    lanes_init(&fixture->lanes, fixture->loop);
    lanes_set_worker(&fixture->lanes, on_ready, &fixture->retries);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    lanes_free(&fixture->lanes);
    for (const struct route *route = routes_first(&routes); route;
         route = routes_next(&routes, route)) {
        assert_int_equal(route->held, 0);
        assert_int_equal(route->heads, 0);
        assert_int_equal(route->doubted, 0);
    }
    routes_free(&routes);
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
    struct lane *a = take(), *b = take();
    assert_string_equal(a->machine, "A");
    assert_string_equal(b->machine, "B");
    assert_null(take()); /* 2 and 3 wait behind their heads */
    expect_pop(b, "1");
    assert_ptr_equal(take(), b);
    expect_pop(b, "3");
    expect_pop(a, "0");
    assert_int_equal(lanes->count, 1); /* B is gone */
    assert_ptr_equal(take(), a);
    expect_pop(a, "2");
    assert_int_equal(lanes->count, 0);
    assert_int_equal(lanes->held_count, 0);
}

static void a_waiting_lane_comes_back_by_itself(void **state)
{
    struct fixture *fixture = *state;
    lanes_push(&fixture->lanes, make("A", 1, 0));
    struct lane *lane = take();
    lane_wait(lane, 1, false);
    assert_null(take());
    lanes_push(&fixture->lanes, make("A", 2, 0));
    assert_null(take()); /* what comes later waits too */
    loop_run(fixture->loop);
    assert_int_equal(fixture->retries, 1);
    assert_ptr_equal(take(), lane);
    expect_pop(lane, "1");
}

static void ready_first_goes_before_the_others(void **state)
{
    struct lanes *lanes = &((struct fixture *)*state)->lanes;
    lanes_push(lanes, make("A", 1, 0));
    lanes_push(lanes, make("B", 2, 0));
    struct lane *a = take();
    lane_ready(a, true);
    assert_ptr_equal(take(), a);
    lane_ready(a, false);
    assert_string_equal(take()->machine, "B");
    assert_ptr_equal(take(), a);
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
    struct lane *busy = take();
    struct lane *other = take();
    struct lane *ready = take();
    lane_wait(take(), 60000, false);
    lane_still(take());
    lane_ready(other, false);
    lane_ready(ready, false);
    lanes_drop(lanes, &partitions[0]);
    assert_int_equal(lanes->held_count, 2);
    assert_int_equal(lanes->count, 2);
    assert_ptr_equal(take(), other);
    assert_null(take());
    lanes_push(lanes, make("busy", 7, 1)); /* behind the head whose request is still out */
    assert_null(take());
    expect_pop(busy, "1");
    assert_ptr_equal(take(), busy);
    expect_pop(busy, "7");
}

static void a_lane_whose_head_was_dropped_goes_on_with_the_next(void **state)
{
    struct lanes *lanes = &((struct fixture *)*state)->lanes;
    lanes_push(lanes, make("A", 1, 0));
    lanes_push(lanes, make("A", 2, 1));
    lane_wait(take(), 60000, false);
    lanes_drop(lanes, &partitions[0]);
    struct lane *lane = take();
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
    struct lane *without = take(), *a = take(), *b = take();
    assert_int_equal(lanes_oldest_us(lanes), 300);
    expect_pop(b, "3");
    assert_int_equal(lanes_oldest_us(lanes), 400);
    expect_pop(a, "2");
    expect_pop(without, "1");
    assert_int_equal(lanes_oldest_us(lanes), 400);
}

static void a_lane_is_ready_where_its_head_goes(void **state)
{
    struct lanes *lanes = &((struct fixture *)*state)->lanes;
    lanes_push(lanes, make_for("/setup", "A", 1, 0));
    lanes_push(lanes, make_for("/event", "A", 2, 0));
    lanes_push(lanes, make_for("/event", "B", 3, 0));
    struct lane *a = take_for("/setup"), *b = take_for("/event");
    assert_string_equal(b->machine, "B");
    assert_null(take_for("/event"));
    assert_int_equal(routes_peek(&routes, "/setup")->heads, 1);
    expect_pop(a, "1");
    assert_int_equal(routes_peek(&routes, "/setup")->heads, 0);
    assert_int_equal(routes_peek(&routes, "/event")->heads, 2);
    assert_null(take_for("/setup"));
    assert_ptr_equal(take_for("/event"), a);
}

static bool is_b(const struct lane *lane, void *arg)
{
    (void)arg;
    return strcmp(lane->machine, "B") == 0;
}

static void only_doubted_lanes_are_woken_and_only_those_wanted(void **state)
{
    struct lanes *lanes = &((struct fixture *)*state)->lanes;
    static const char *const machines[] = {"A", "B", "C"};
    for (int i = 0; i < 3; i++) {
        lanes_push(lanes, make(machines[i], i, 0));
        lane_wait(take(), 60000, i < 2);
    }
    struct route *route = routes_peek(&routes, "/p");
    assert_int_equal(route->doubted, 2);
    lanes_wake(lanes, NULL, is_b, NULL);
    assert_string_equal(take()->machine, "B");
    assert_null(take());
    lanes_wake(lanes, route, NULL, NULL);
    assert_string_equal(take()->machine, "A");
    assert_null(take()); /* C waits for its counted retry */
    assert_int_equal(route->doubted, 0);
}

static void a_lane_is_seized_whatever_it_waits_for(void **state)
{
    struct lanes *lanes = &((struct fixture *)*state)->lanes;
    static const char *const machines[] = {"ready", "waiting", "stopped", "busy", "still"};
    for (int i = 0; i < 5; i++)
        lanes_push(lanes, make(machines[i], i, 0));
    struct lane *ready = take();
    lane_wait(take(), 60000, true);
    lane_stop(take());
    struct lane *busy = take();
    lane_still(take());
    lane_ready(ready, false);
    assert_null(lanes_find(lanes, "nobody"));
    for (int i = 0; i < 3; i++) {
        struct lane *lane = lanes_find(lanes, machines[i]);
        assert_true(lane_seize(lane));
        assert_false(lane_seize(lane));
        held_free(lane_pop(lane));
        assert_null(lanes_find(lanes, machines[i]));
    }
    assert_false(lane_seize(busy));
    assert_false(lane_seize(lanes_find(lanes, "still")));
    assert_null(take());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(heads_come_in_order_and_one_at_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_lane_is_ready_where_its_head_goes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_doubted_lanes_are_woken_and_only_those_wanted, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_lane_is_seized_whatever_it_waits_for, set_up, tear_down),
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
