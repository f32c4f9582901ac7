/* test_flights.c - confirmed, marked and trimmed in order */
#include "unit.h"
#include "flights.h"

#include <stdlib.h>

static void on_confirmed(const struct flight *flight, void *arg)
{
    assert_int_equal(flight->created_us, flight->row * 1000);
    (*(int *)arg)++;
}

static void flights_are_confirmed_marked_and_trimmed_in_order(void **state)
{
    (void)state;
    struct flights flights;
    int confirmed = 0;
    flights_init(&flights, 8);
    for (uint64_t round = 0; round < 5; round++) { /* goes round the ring several times */
        for (uint64_t i = 0; i < 5; i++)
            flights_add(&flights, round * 5 + i + 1, (int64_t)(100 + i), (int64_t)(100 + i) * 1000);
        flights_confirm(&flights, round * 5 + 4, false, on_confirmed, &confirmed);
        assert_int_equal(flights.in_state[FLIGHT_CONFIRMED], 1);
        flights_confirm(&flights, round * 5 + 2, true, on_confirmed, &confirmed);
        /* Again changes nothing, nor does a tag of nobody. */
        flights_confirm(&flights, round * 5 + 2, true, on_confirmed, &confirmed);
        flights_confirm(&flights, 10000, false, on_confirmed, &confirmed);
        assert_int_equal(confirmed, round * 5 + 3);
        assert_int_equal(flights.in_state[FLIGHT_CONFIRMED], 3);
        assert_int_equal(flights.in_state[FLIGHT_PUBLISHED], 2);
        for (size_t i = 0; i < flights.count; i++) {
            struct flight *flight = flights_at(&flights, i);
            if (flight->state == FLIGHT_CONFIRMED)
                flights_set(&flights, flight, FLIGHT_MARKED);
        }
        flights_trim(&flights);
        assert_int_equal(flights.count, 3); /* 103 is marked but stands behind 102 */
        assert_int_equal(flights_at(&flights, 0)->row, 102);
        flights_confirm(&flights, round * 5 + 5, true, on_confirmed, &confirmed);
        assert_int_equal(flights.in_state[FLIGHT_CONFIRMED], 2);
        for (size_t i = 0; i < flights.count; i++)
            flights_set(&flights, flights_at(&flights, i), FLIGHT_MARKED);
        flights_trim(&flights);
        assert_int_equal(flights.count, 0);
        assert_int_equal(confirmed, (round + 1) * 5);
    }
    flights_free(&flights);
}

static void expect(char *array, const char *wanted)
{
    assert_string_equal(array, wanted);
    free(array);
}

static void a_row_is_on_its_way_until_it_is_marked(void **state)
{
    (void)state;
    struct flights flights;
    flights_init(&flights, 4);
    expect(flights_array_unmarked(&flights), "{}");
    for (uint64_t i = 0; i < 4; i++)
        flights_add(&flights, i + 1, (int64_t)(100 + i), 0);
    flights_set(&flights, flights_at(&flights, 1), FLIGHT_CONFIRMED);
    flights_set(&flights, flights_at(&flights, 2), FLIGHT_MARKING);
    flights_set(&flights, flights_at(&flights, 3), FLIGHT_MARKED);
    expect(flights_array_of(&flights, FLIGHT_PUBLISHED), "{100}");
    expect(flights_array_of(&flights, FLIGHT_MARKED), "{103}");
    expect(flights_array_unmarked(&flights), "{100,101,102}");
    flights_free(&flights);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flights_are_confirmed_marked_and_trimmed_in_order),
        cmocka_unit_test(a_row_is_on_its_way_until_it_is_marked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
