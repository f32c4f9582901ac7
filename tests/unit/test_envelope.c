/* test_envelope.c - envelopes survive the journey; bad ones are refused */
#include "unit.h"
#include "journey.h"
#include "suite/envelope.h"

#include <string.h>

static const struct envelope full = {
    .event_id = "01a20acf-767b-780b-8c69-ce07a41c3bf2",
    .machine = "SR-26 \xc3\xa4",
    .kind = "setup",
    .type = "setup.started",
    .path = "/api/ext/setup",
    .traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    .occurred_s = 1766923953,
    .seq = 123456789012,
    .created_us = 1766923953213000,
    .repeat = true};

static void an_envelope_comes_back_as_it_went(void **state)
{
    (void)state;
    struct envelope_properties message;
    struct envelope got;
    char room[ENVELOPE_ROOM];
    const char *error;
    envelope_write(&full, &message);
    struct journey journey = journey_make(&message.properties, "{}", 2);
    assert_int_equal(journey.frames, 3);
    assert_true(envelope_read(journey.properties, &got, room, &error));
    assert_string_equal(got.event_id, full.event_id);
    assert_string_equal(got.machine, full.machine);
    assert_string_equal(got.kind, full.kind);
    assert_string_equal(got.type, full.type);
    assert_string_equal(got.path, full.path);
    assert_string_equal(got.traceparent, full.traceparent);
    assert_int_equal(got.occurred_s, full.occurred_s);
    assert_int_equal(got.seq, full.seq);
    assert_int_equal(got.created_us, full.created_us);
    assert_true(got.repeat);
    journey_end(&journey);
}

static const char *refusal(const struct envelope *envelope)
{
    struct envelope_properties message;
    struct envelope got;
    char room[ENVELOPE_ROOM];
    const char *error;
    envelope_write(envelope, &message);
    return envelope_read(&message.properties, &got, room, &error) ? NULL : error;
}

static void bad_envelopes_are_refused(void **state)
{
    (void)state;
    static const char *const paths[] = {"",     "x",          "//host/x",  "http://host/",
                                        "/a b", "/a\r\nX: y", "/\xc3\xa4", "/a\"b"};
    struct envelope bad;
    assert_null(refusal(&full));
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        bad = full;
        bad.path = paths[i];
        assert_non_null(refusal(&bad));
    }
    bad = full;
    bad.event_id = NULL;
    assert_non_null(refusal(&bad));
    bad = full;
    bad.event_id = "a\nb";
    assert_non_null(refusal(&bad));
    bad = full;
    bad.machine = "";
    assert_non_null(refusal(&bad));
    char long_name[400];
    memset(long_name, 'm', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    bad = full;
    bad.machine = long_name;
    assert_non_null(refusal(&bad));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_envelope_comes_back_as_it_went),
        cmocka_unit_test(bad_envelopes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
