/* test_memory.c - recent ids, rendezvous weights, flights, repeats */
#include "unit.h"
#include "flights.h"
#include "recent.h"
#include "rendezvous.h"
#include "repeats.h"

#include <stdio.h>
#include <stdlib.h>

static void recent_holds_the_last_ids_and_no_more(void **state)
{
    (void)state;
    struct recent *recent = recent_new();
    char id[40];
    for (int i = 0; i < 5 * RECENT_IDS; i++) {
        snprintf(id, sizeof id, "event-%d", i);
        assert_false(recent_has(recent, id));
        recent_add(recent, id);
        recent_add(recent, id); /* twice is once */
        assert_true(recent_has(recent, id));
    }
    int found = 0;
    for (int i = 0; i < 5 * RECENT_IDS; i++) {
        snprintf(id, sizeof id, "event-%d", i);
        bool has = recent_has(recent, id);
        assert_int_equal(has, i >= 4 * RECENT_IDS);
        found += has;
    }
    assert_int_equal(found, RECENT_IDS);
    recent_free(recent);
}

static void weights_spread_and_move_little(void **state)
{
    (void)state;
    int owned[4] = {0}, moved = 0;
    char names[4][16];
    for (int w = 0; w < 4; w++)
        snprintf(names[w], sizeof names[w], "host:%d", 1000 + w);
    for (int partition = 0; partition < 1000; partition++) {
        int best = 0, best_of_three = 0;
        for (int w = 1; w < 4; w++) {
            int32_t weight = rendezvous_weight(names[w], partition);
            assert_in_range(weight, 0, 1048575);
            if (weight > rendezvous_weight(names[best], partition))
                best = w;
            if (w < 3 && weight > rendezvous_weight(names[best_of_three], partition))
                best_of_three = w;
        }
        owned[best]++;
        moved += best != 3 &&
                 best != best_of_three; /* only what the fourth had may move when it goes */
    }
    for (int w = 0; w < 4; w++)
        assert_in_range(owned[w], 180, 320);
    assert_int_equal(moved, 0);
}

static void flights_are_confirmed_marked_and_trimmed_in_order(void **state)
{
    (void)state;
    struct flights flights;
    flights_init(&flights, 8);
    for (uint64_t round = 0; round < 5; round++) { /* goes round the ring several times */
        for (uint64_t i = 0; i < 5; i++)
            flights_add(&flights, round * 5 + i + 1, (int64_t)(100 + i));
        flights_confirm(&flights, round * 5 + 4, false);
        assert_int_equal(flights.in_state[FLIGHT_CONFIRMED], 1);
        flights_confirm(&flights, round * 5 + 2, true);
        flights_confirm(&flights, round * 5 + 2, true); /* again changes nothing */
        flights_confirm(&flights, 10000, false);        /* nor does a tag of nobody */
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
        flights_confirm(&flights, round * 5 + 5, true);
        assert_int_equal(flights.in_state[FLIGHT_CONFIRMED], 2);
        for (size_t i = 0; i < flights.count; i++)
            flights_set(&flights, flights_at(&flights, i), FLIGHT_MARKED);
        flights_trim(&flights);
        assert_int_equal(flights.count, 0);
    }
    flights_free(&flights);
}

static void repeats_are_known_rows_and_the_oldest_after_a_takeover(void **state)
{
    (void)state;
    struct repeats repeats = {0};
    assert_false(repeats_has(&repeats, 1));
    for (int64_t row = 1000; row > 0; row -= 2)
        repeats_add(&repeats, row);
    for (int64_t row = 1; row <= 1001; row++)
        assert_int_equal(repeats_has(&repeats, row), row % 2 == 0);
    repeats_clear(&repeats);
    assert_false(repeats_has(&repeats, 2));

    repeats_after_takeover(&repeats, 10);
    assert_true(repeats_has(&repeats, 3));
    assert_true(repeats_has(&repeats, 10));
    assert_false(repeats_has(&repeats, 11)); /* written after the takeover */
    repeats_after_takeover(&repeats, INT64_MAX);
    int64_t row = 0;
    while (repeats_has(&repeats, row))
        row++;
    assert_int_equal(row, REPEATS_AFTER_TAKEOVER);
    repeats_free(&repeats);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recent_holds_the_last_ids_and_no_more),
        cmocka_unit_test(weights_spread_and_move_little),
        cmocka_unit_test(repeats_are_known_rows_and_the_oldest_after_a_takeover),
        cmocka_unit_test(flights_are_confirmed_marked_and_trimmed_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
