/* test_resolve.c - an address that needs no look-up is told once, later; or never */
#include "unit.h"
#include "base/loop.h"
#include "net/resolve.h"

#include <stdio.h>

struct told {
    struct loop *loop;
    int times;
    char address[64];
};

static void on_told(const char *address, const char *error, void *arg)
{
    struct told *told = arg;
    assert_null(*error ? error : NULL);
    told->times++;
    snprintf(told->address, sizeof told->address, "%s", address);
    loop_stop(told->loop);
}

static void an_address_is_told_later(void **state)
{
    (void)state;
    struct told told = {.loop = loop_new()};
    struct resolver *resolver = resolver_new(told.loop);
    resolve_start(resolver, "127.0.0.1", on_told, &told);
    assert_int_equal(told.times, 0);
    loop_run(told.loop);
    assert_int_equal(told.times, 1);
    assert_string_equal(told.address, "127.0.0.1");
    resolver_free(resolver);
    loop_free(told.loop);
}

/* The program ends meanwhile. LeakSanitizer has a look at what is left. */
static void one_under_way_is_freed_with_the_resolver(void **state)
{
    (void)state;
    struct told told = {.loop = loop_new()};
    struct resolver *resolver = resolver_new(told.loop);
    resolve_start(resolver, "127.0.0.1", on_told, &told);
    resolve_cancel(resolve_start(resolver, "::1", on_told, &told));
    resolver_free(resolver);
    loop_free(told.loop);
    assert_int_equal(told.times, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_is_told_later),
        cmocka_unit_test(one_under_way_is_freed_with_the_resolver),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
