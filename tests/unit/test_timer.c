/* test_timer.c - base/timer and base/loop: what fires, how often, and what does not */
#include "unit.h"
#include "base/timer.h"

struct fixture {
    struct loop *loop;
    struct timer *timer;
    int fired, enough;
};

static void on_due(void *arg)
{
    struct fixture *fixture = arg;
    if (++fixture->fired == fixture->enough)
        timer_cancel(fixture->timer);
}

static int set_up(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.loop = loop_new()};
    fixture.timer = timer_new(fixture.loop, on_due, &fixture);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    timer_free(fixture->timer);
    loop_free(fixture->loop);
    return 0;
}

static void it_fires_once_per_start(void **state)
{
    struct fixture *fixture = *state;
    timer_in(fixture->timer, 1);
    timer_in(fixture->timer, 2); /* started anew, not twice */
    assert_true(timer_is_started(fixture->timer));
    loop_run(fixture->loop); /* ends when nothing is left that could happen */
    assert_int_equal(fixture->fired, 1);
    assert_false(timer_is_started(fixture->timer));
}

static void every_goes_on_until_it_is_cancelled(void **state)
{
    struct fixture *fixture = *state;
    fixture->enough = 3;
    timer_every(fixture->timer, 1);
    loop_run(fixture->loop);
    assert_int_equal(fixture->fired, 3);
}

static void in_ends_every(void **state)
{
    struct fixture *fixture = *state;
    timer_every(fixture->timer, 1);
    timer_in(fixture->timer, 1);
    loop_run(fixture->loop);
    assert_int_equal(fixture->fired, 1);
}

static void soon_is_once_however_often_it_is_said(void **state)
{
    struct fixture *fixture = *state;
    timer_soon(fixture->timer);
    timer_soon(fixture->timer);
    assert_int_equal(fixture->fired, 0); /* never inside the caller */
    loop_run(fixture->loop);
    assert_int_equal(fixture->fired, 1);
}

static void what_is_cancelled_does_not_fire(void **state)
{
    struct fixture *fixture = *state;
    timer_in(fixture->timer, 0);
    timer_cancel(fixture->timer);
    timer_soon(fixture->timer);
    timer_cancel(fixture->timer);
    loop_run(fixture->loop);
    assert_int_equal(fixture->fired, 0);
}

static void free_itself(void *arg)
{
    struct fixture *fixture = arg;
    timer_free(fixture->timer);
    fixture->timer = NULL;
    fixture->fired++;
}

static void a_timer_may_free_itself(void **state)
{
    struct fixture *fixture = *state;
    timer_free(fixture->timer);
    fixture->timer = timer_new(fixture->loop, free_itself, fixture);
    timer_every(fixture->timer, 1);
    loop_run(fixture->loop);
    assert_int_equal(fixture->fired, 1);
}

static void a_past_moment_is_now(void **state)
{
    struct fixture *fixture = *state;
    timer_in(fixture->timer, -5);
    loop_run(fixture->loop);
    assert_int_equal(fixture->fired, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_fires_once_per_start),
        TEST(every_goes_on_until_it_is_cancelled),
        TEST(in_ends_every),
        TEST(soon_is_once_however_often_it_is_said),
        TEST(what_is_cancelled_does_not_fire),
        TEST(a_timer_may_free_itself),
        TEST(a_past_moment_is_now),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
