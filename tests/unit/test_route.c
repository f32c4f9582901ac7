/* test_route.c - paths of MTConnect, each by itself, and only so many */
#include "unit.h"
#include "route.h"

#include <stdio.h>

static struct routes fresh(void)
{
    struct routes routes;
    struct routes_settings settings = {.failures_to_open = 5, .connections = 8};
    routes_init(&routes, &settings);
    return routes;
}

static void a_path_has_one_route(void **state)
{
    (void)state;
    struct routes routes = fresh();
    assert_null(routes_first(&routes));
    struct route *setup = routes_find(&routes, "/setup"), *event = routes_find(&routes, "/event");
    assert_ptr_not_equal(setup, event);
    assert_ptr_equal(routes_find(&routes, "/setup"), setup);
    assert_int_equal(setup->held, 2);
    assert_null(routes_peek(&routes, "/other"));
    for (int i = 0; i < 5; i++)
        breaker_tell(&setup->breaker, SIGN_OF_ABSENCE, 1, 1, 0);
    assert_int_equal(routes_count_open(&routes), 1);
    assert_true(breaker_allows(&event->breaker, 0, 0));
    routes_free(&routes);
}

static struct route *find(struct routes *routes, int number)
{
    char path[32];
    snprintf(path, sizeof path, "/path/%d", number);
    return routes_find(routes, path);
}

static void what_is_held_is_never_forgotten(void **state)
{
    (void)state;
    struct routes routes = fresh();
    struct route *held = find(&routes, 0);
    for (int i = 1; i < 1000; i++)
        route_let_go(find(&routes, i));
    assert_int_equal(routes.count, ROUTES_MAX);
    assert_ptr_equal(find(&routes, 0), held);
    assert_null(routes.others);
    routes_free(&routes);
}

static void where_there_is_no_room_paths_share_one(void **state)
{
    (void)state;
    struct routes routes = fresh();
    struct route *shared = NULL;
    for (int i = 0; i < ROUTES_MAX + 10; i++) {
        struct route *route = find(&routes, i);
        if (i >= ROUTES_MAX)
            assert_true(!shared || route == shared);
        shared = i >= ROUTES_MAX ? route : NULL;
    }
    assert_int_equal(shared->held, 10);
    int count = 0;
    for (struct route *route = routes_first(&routes); route; route = routes_next(&routes, route))
        count++;
    assert_int_equal(count, ROUTES_MAX + 1);
    routes_free(&routes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_has_one_route),
        cmocka_unit_test(what_is_held_is_never_forgotten),
        cmocka_unit_test(where_there_is_no_room_paths_share_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
