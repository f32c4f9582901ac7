/* test_allowance.c - when a sender reads, and when not */
#include "unit.h"
#include "fake_amqp.h"
#include "allowance.h"
#include "base/loop.h"

#include <string.h>

#define BOUND 1000

struct fixture {
    struct loop *loop;
    struct metrics *registry;
    struct sender_metrics metrics;
    struct amqp_conn *consuming, *publishing;
    struct publisher *publisher;
    struct allowance *allowance;
    int spent;
};

static void on_spent(void *arg)
{
    ((struct fixture *)arg)->spent++;
}

static int set_up(void **state)
{
    static struct fixture fixture;
    memset(&fixture, 0, sizeof fixture);
    fixture.loop = loop_new();
    fixture.registry = metrics_new();
    sender_metrics_register(&fixture.metrics, fixture.registry);
    fixture.consuming = fake_conn_new();
    fixture.publishing = fake_conn_new();
    struct publisher_events events = {.on_ready = NULL};
    fixture.publisher = publisher_new(fixture.publishing, "an outcome", &events, NULL);
    struct allowance_settings settings = {.loop = fixture.loop,
                                          .bytes = BOUND,
                                          .consuming = fixture.consuming,
                                          .publisher = fixture.publisher,
                                          .metrics = &fixture.metrics,
                                          .patience_ms = 20};
    fixture.allowance = allowance_new(&settings, on_spent, &fixture);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    allowance_free(fixture->allowance);
    fake_conn_free(fixture->consuming);
    fake_conn_free(fixture->publishing);
    publisher_free(fixture->publisher);
    metrics_free(fixture->registry);
    loop_free(fixture->loop);
    return 0;
}

static bool reads(const struct fixture *fixture)
{
    return amqp_conn_is_reading(fixture->consuming);
}

static void reading_stops_at_the_bound_and_goes_on_below_three_quarters(void **state)
{
    struct fixture *fixture = *state;
    allowance_take(fixture->allowance, 600);
    allowance_take(fixture->allowance, 399);
    assert_true(reads(fixture));
    allowance_take(fixture->allowance, 1);
    assert_false(reads(fixture));
    assert_int_equal((int)fixture->metrics.stops->value, 1);
    allowance_give(fixture->allowance, 1);
    allowance_shrink(fixture->allowance, 249);
    assert_false(reads(fixture)); /* 750 */
    allowance_shrink(fixture->allowance, 1);
    assert_true(reads(fixture));
    assert_int_equal(allowance_spent_s(fixture->allowance), -1);
}

static void with_nothing_held_it_reads_whatever_the_bound(void **state)
{
    struct fixture *fixture = *state;
    allowance_take(fixture->allowance, 5000);
    assert_false(reads(fixture));
    allowance_take(fixture->allowance, 5000); /* another channel's had begun to come */
    allowance_give(fixture->allowance, 5000);
    assert_false(reads(fixture));
    allowance_give(fixture->allowance, 5000);
    assert_true(reads(fixture));
    assert_int_equal(allowance_bytes(fixture->allowance), 0);
}

static void a_connection_made_anew_waits_for_what_the_last_one_brought(void **state)
{
    struct fixture *fixture = *state;
    allowance_take(fixture->allowance, BOUND);
    amqp_conn_read_on(fixture->consuming); /* as each new one begins */
    allowance_on_conn_up(fixture->allowance);
    assert_false(reads(fixture));
    assert_int_equal((int)fixture->metrics.stops->value, 2);
}

static void its_owner_hears_when_nothing_was_read_for_long(void **state)
{
    struct fixture *fixture = *state;
    allowance_take(fixture->allowance, BOUND);
    loop_run(fixture->loop);
    assert_int_equal(fixture->spent, 1);
    assert_true(allowance_spent_s(fixture->allowance) >= 0);
    allowance_give(fixture->allowance, BOUND);
    allowance_take(fixture->allowance, BOUND);
    allowance_give(fixture->allowance, BOUND); /* in time */
    loop_run(fixture->loop);
    assert_int_equal(fixture->spent, 1);
}

static void when_closed_it_only_counts(void **state)
{
    struct fixture *fixture = *state;
    allowance_take(fixture->allowance, BOUND);
    allowance_close(fixture->allowance);
    allowance_give(fixture->allowance, BOUND);
    assert_false(reads(fixture));
    assert_int_equal(allowance_bytes(fixture->allowance), 0);
    loop_run(fixture->loop);
    assert_int_equal(fixture->spent, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reading_stops_at_the_bound_and_goes_on_below_three_quarters,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(with_nothing_held_it_reads_whatever_the_bound, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_connection_made_anew_waits_for_what_the_last_one_brought,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(its_owner_hears_when_nothing_was_read_for_long, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(when_closed_it_only_counts, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
