/* test_aside.c - whose bodies are let go of, and how many */
#include "unit.h"
#include "fake_amqp.h"
#include "aside.h"
#include "allowance.h"
#include "base/xalloc.h"

#include <stdio.h>
#include <string.h>

#define BOUND 640000
#define BODY  30000

struct partition {
    int unused;
};
static struct partition partition;

struct fixture {
    struct loop *loop;
    struct metrics *registry;
    struct sender_metrics metrics;
    struct amqp_conn *conn;
    struct publisher *publisher;
    struct allowance *allowance;
    struct routes routes;
    struct lanes lanes;
    int number;
};

static void on_spent(void *arg)
{
    (void)arg;
}

static void on_ready(void *worker)
{
    (void)worker;
}

static int set_up(void **state)
{
    struct fixture *fixture = xcalloc(1, sizeof *fixture);
    fixture->loop = loop_new();
    fixture->registry = metrics_new();
    sender_metrics_register(&fixture->metrics, fixture->registry);
    fixture->conn = fake_conn_new();
    struct publisher_events events = {.on_ready = NULL};
    fixture->publisher = publisher_new(fixture->conn, "an outcome", &events, NULL);
    struct allowance_settings settings = {.loop = fixture->loop,
                                          .bytes = BOUND,
                                          .consuming = fixture->conn,
                                          .publisher = fixture->publisher,
                                          .metrics = &fixture->metrics,
                                          .patience_ms = 1000};
    fixture->allowance = allowance_new(&settings, on_spent, NULL);
    struct routes_settings routes = {.failures_to_open = 5, .connections = 8};
    routes_init(&fixture->routes, &routes);
    lanes_init(&fixture->lanes, fixture->loop);
    lanes_set_worker(&fixture->lanes, on_ready, NULL);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    lanes_free(&fixture->lanes);
    routes_free(&fixture->routes);
    assert_int_equal(allowance_bytes(fixture->allowance), 0);
    allowance_free(fixture->allowance);
    fake_conn_free(fixture->conn);
    publisher_free(fixture->publisher);
    metrics_free(fixture->registry);
    loop_free(fixture->loop);
    free(fixture);
    return 0;
}

static void push(struct fixture *fixture, const char *machine)
{
    char id[16];
    snprintf(id, sizeof id, "%d", fixture->number++);
    struct envelope envelope = {.event_id = id, .machine = machine, .path = "/p"};
    struct held *held = held_new(&envelope, xcalloc(1, BODY + 1), BODY, fixture->allowance);
    held->partition = &partition;
    held->route = routes_find(&fixture->routes, "/p");
    lanes_push(&fixture->lanes, held);
}

/* How many of the first have bodies; none behind them has. */
static int with_bodies(const struct fixture *fixture, const char *machine)
{
    int count = 0;
    const struct held *held = lanes_find(&fixture->lanes, machine)->first;
    for (; held && !held->aside; held = held->next) {
        assert_non_null(held->body);
        count++;
    }
    for (; held; held = held->next) {
        assert_true(held->aside);
        assert_null(held->body);
    }
    return count;
}

static void make_room(struct fixture *fixture)
{
    aside_make_room(&fixture->lanes, fixture->allowance, BOUND);
}

static void who_has_much_keeps_a_quarter_and_others_all(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 16; i++)
        push(fixture, "much");
    push(fixture, "little");
    push(fixture, "little");
    make_room(fixture);
    int kept = with_bodies(fixture, "much");
    assert_true(kept >= 3 && kept <= 5);
    assert_int_equal(with_bodies(fixture, "little"), 2);
    assert_int_equal(aside_count(&fixture->lanes), 16 - kept);
    assert_true(amqp_conn_is_reading(fixture->conn));
}

static void what_comes_behind_has_no_body_either(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 16; i++)
        push(fixture, "much");
    make_room(fixture);
    int kept = with_bodies(fixture, "much");
    push(fixture, "much");
    push(fixture, "little");
    assert_int_equal(with_bodies(fixture, "much"), kept);
    assert_int_equal(with_bodies(fixture, "little"), 1);
}

static void many_with_much_keep_less_each_and_the_first_always(void **state)
{
    struct fixture *fixture = *state;
    const char *machines[] = {"A", "B", "C", "D", "E", "F", "G", "H"};
    for (int i = 0; i < 24; i++)
        push(fixture, machines[i % 8]);
    make_room(fixture);
    for (int i = 0; i < 8; i++)
        assert_int_equal(with_bodies(fixture, machines[i]), 1);
}

static void after_a_hand_back_bodies_are_kept_again(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 16; i++)
        push(fixture, "much");
    make_room(fixture);
    struct lane *busy = lanes_take(routes_peek(&fixture->routes, "/p"));
    lanes_drop(&fixture->lanes, NULL);
    assert_int_equal(aside_count(&fixture->lanes), 0);
    push(fixture, "much"); /* behind the head whose request is still under way */
    assert_int_equal(with_bodies(fixture, "much"), 2);
    held_free(lane_pop(busy));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_has_much_keeps_a_quarter_and_others_all, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_comes_behind_has_no_body_either, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_with_much_keep_less_each_and_the_first_always, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(after_a_hand_back_bodies_are_kept_again, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
