/* test_marker.c - markers and their answers on the broker */
#include "suite/marker.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

static const struct marker marker = {
    .number = 7000000000, .at_us = 1766923953000000, .partition = 3, .partitions = 8};

static void a_marker_is_read_as_it_was_written(void **state)
{
    (void)state;
    struct envelope_properties message;
    struct marker read = {.number = 0};
    marker_write(&marker, &message);
    assert_true(marker_read(&message.properties, &read));
    assert_memory_equal(&read, &marker, sizeof marker);
    assert_false(marker_is_answer(&message.properties));
}

static void an_event_is_no_marker_whatever_its_kind(void **state)
{
    (void)state;
    struct envelope event = {.event_id = "0193f6a2-7c11-7d41-8f3b-2c5e9d7a1b44",
                             .kind = "marker",
                             .machine = "SR-26",
                             .path = "/api/ext/setup"};
    struct envelope_properties message;
    struct marker read;
    envelope_write(&event, &message);
    envelope_add_int(&message, "number", 1);
    envelope_add_int(&message, "at_us", 1);
    envelope_add_int(&message, "partition", 0);
    envelope_add_int(&message, "partitions", 1);
    assert_false(marker_read(&message.properties, &read));
}

static void what_makes_no_sense_is_none(void **state)
{
    (void)state;
    static const struct marker bad[] = {{.number = 0, .at_us = 1, .partitions = 8},
                                        {.number = 1, .at_us = 0, .partitions = 8},
                                        {.number = 1, .at_us = 1, .partition = 8, .partitions = 8},
                                        {.number = 1, .at_us = 1, .partition = -1, .partitions = 8},
                                        {.number = 1, .at_us = 1, .partitions = 1L << 40}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct envelope_properties message;
        struct marker read;
        marker_write(&bad[i], &message);
        assert_false(marker_read(&message.properties, &read));
    }
}

static void an_answer_tells_what_is_held(void **state)
{
    (void)state;
    static const int64_t rows[] = {1, 9000000000000, 3};
    size_t len;
    char *held;
    struct marker read;
    struct envelope_properties message;
    for (size_t count = 0; count <= 3; count += 3) {
        char *body = marker_answer(&marker, rows, count, &len);
        assert_int_equal(len, strlen(body));
        assert_true(marker_read_answer(body, len, &read, &held));
        assert_memory_equal(&read, &marker, sizeof marker);
        assert_string_equal(held, count ? "{1,9000000000000,3}" : "{}");
        free(held);
        free(body);
    }
    marker_write_answer(&message);
    assert_true(marker_is_answer(&message.properties));
    assert_false(marker_read(&message.properties, &read));
}

static void an_answer_that_is_none(void **state)
{
    (void)state;
#define SOUND "\"number\":1,\"at_us\":1,\"partition\":0,\"partitions\":1"
    static const char *const bodies[] = {
        "",
        "[",
        "[]",
        "{}",
        "7",
        "[{\"seq\":1}]",
        "[{\"marker\":7}]",
        "[{\"marker\":{" SOUND "}}]",
        "[{\"marker\":{" SOUND ",\"held\":{}}}]",
        "[{\"marker\":{" SOUND ",\"held\":[1,\"2\"]}}]",
        "[{\"marker\":{\"number\":0,\"at_us\":1,\"partition\":0,\"partitions\":1,\"held\":[]}}]",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct marker read;
        char *held;
        assert_false(marker_read_answer(bodies[i], strlen(bodies[i]), &read, &held));
        assert_null(held);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_marker_is_read_as_it_was_written),
        cmocka_unit_test(an_event_is_no_marker_whatever_its_kind),
        cmocka_unit_test(what_makes_no_sense_is_none),
        cmocka_unit_test(an_answer_tells_what_is_held),
        cmocka_unit_test(an_answer_that_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
