/* test_flights.c - confirmed and marked, in whatever order */
#include "unit.h"
#include "flights.h"

#include <stdlib.h>

static void on_confirmed(const struct flight *flight, void *arg)
{
    assert_int_equal(flight->created_us, flight->row * 1000);
    (*(int *)arg)++;
}

static void add(struct flights *flights, uint64_t tag, int64_t row)
{
    flights_add(flights, &(struct flight){.tag = tag, .row = row, .created_us = row * 1000});
}

static void expect(char *array, const char *wanted)
{
    assert_string_equal(array, wanted);
    free(array);
}

static void flights_are_confirmed_one_by_one_and_up_to_one(void **state)
{
    (void)state;
    struct flights flights = {0};
    int confirmed = 0;
    for (uint64_t i = 1; i <= 5; i++)
        add(&flights, i, (int64_t)(100 + i));
    flights_confirm(&flights, 4, false, on_confirmed, &confirmed);
    expect(flights_array_of(&flights, FLIGHT_CONFIRMED), "{104}");
    flights_confirm(&flights, 2, true, on_confirmed, &confirmed);
    /* Again changes nothing, nor does a tag of nobody. */
    flights_confirm(&flights, 2, true, on_confirmed, &confirmed);
    flights_confirm(&flights, 10000, false, on_confirmed, &confirmed);
    flights_confirm(&flights, 0, true, on_confirmed, &confirmed);
    assert_int_equal(confirmed, 3);
    expect(flights_array_of(&flights, FLIGHT_CONFIRMED), "{101,102,104}");
    expect(flights_array_of(&flights, FLIGHT_PUBLISHED), "{103,105}");
    flights_confirm(&flights, 5, true, on_confirmed, &confirmed);
    assert_int_equal(confirmed, 5);
    flights_free(&flights);
}

/* The first is never confirmed; thousands of others come and go. */
static void one_that_is_not_confirmed_holds_no_other_up(void **state)
{
    (void)state;
    struct flights flights = {0};
    int confirmed = 0;
    add(&flights, 1, 1);
    for (uint64_t tag = 2; tag < 5000; tag += 2) {
        add(&flights, tag, (int64_t)tag);
        add(&flights, tag + 1, (int64_t)tag + 1);
        flights_confirm(&flights, tag + 1, false, on_confirmed, &confirmed);
        flights_confirm(&flights, tag, false, on_confirmed, &confirmed);
        flights_turn_all(&flights, FLIGHT_CONFIRMED, FLIGHT_MARKING);
        flights_drop_all(&flights, FLIGHT_MARKING);
        assert_int_equal(flights.count, 1);
    }
    assert_int_equal(confirmed, 4998);
    expect(flights_array_of_all(&flights), "{1}");
    flights_confirm(&flights, 1, false, on_confirmed, &confirmed);
    assert_int_equal(confirmed, 4999);
    flights_free(&flights);
}

/* What is still to be marked stays, and is not taken for what a new channel publishes. */
static void a_new_channel_counts_anew(void **state)
{
    (void)state;
    struct flights flights = {0};
    int confirmed = 0;
    for (uint64_t i = 1; i <= 3; i++)
        add(&flights, i, (int64_t)(100 + i));
    flights_confirm(&flights, 2, true, on_confirmed, &confirmed);
    flights_drop_all(&flights, FLIGHT_PUBLISHED);
    flights_forget_tags(&flights);
    add(&flights, 1, 103);
    add(&flights, 2, 104);
    flights_confirm(&flights, 2, false, on_confirmed, &confirmed);
    expect(flights_array_of(&flights, FLIGHT_CONFIRMED), "{101,102,104}");
    flights_confirm(&flights, 1, true, on_confirmed, &confirmed);
    expect(flights_array_of(&flights, FLIGHT_CONFIRMED), "{101,102,103,104}");
    assert_int_equal(confirmed, 4);
    flights_free(&flights);
}

static void a_row_is_on_its_way_until_it_is_marked(void **state)
{
    (void)state;
    struct flights flights = {0};
    expect(flights_array_of_all(&flights), "{}");
    for (uint64_t i = 0; i < 3; i++)
        add(&flights, i + 1, (int64_t)(100 + i));
    flights_set(&flights, flights_at(&flights, 1), FLIGHT_CONFIRMED);
    flights_set(&flights, flights_at(&flights, 2), FLIGHT_MARKING);
    expect(flights_array_of(&flights, FLIGHT_PUBLISHED), "{100}");
    expect(flights_array_of(&flights, FLIGHT_MARKING), "{102}");
    expect(flights_array_of_all(&flights), "{100,101,102}");
    flights_free(&flights);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flights_are_confirmed_one_by_one_and_up_to_one),
        cmocka_unit_test(one_that_is_not_confirmed_holds_no_other_up),
        cmocka_unit_test(a_new_channel_counts_anew),
        cmocka_unit_test(a_row_is_on_its_way_until_it_is_marked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
