/* test_amqp.c - what we encode, librabbitmq decodes; envelopes survive the journey */
#include "unit.h"
#include "suite/envelope.h"
#include "base/xalloc.h"

#include <event2/buffer.h>

#include <stdlib.h>
#include <string.h>

/* Publishes into a buffer and reads the frames back as a peer would. */
struct journey {
    amqp_connection_state_t peer;
    amqp_basic_properties_t *properties;
    char *body;
    size_t len;
    int frames;
};

static struct journey travel(struct evbuffer *buffer)
{
    struct journey journey = {.peer = amqp_new_connection()};
    size_t size = evbuffer_get_length(buffer);
    char *bytes = xmalloc(size + 1), *body = xmalloc(size + 1);
    evbuffer_remove(buffer, bytes, size);
    amqp_bytes_t left = {.bytes = bytes, .len = size};
    while (left.len) {
        amqp_frame_t frame = {.frame_type = 0};
        size_t piece = left.len > 7 ? 7 : left.len; /* in small pieces, as a network might */
        int used = amqp_handle_input(journey.peer,
                                     (amqp_bytes_t){.bytes = left.bytes, .len = piece}, &frame);
        assert_true(used > 0);
        left.bytes = (char *)left.bytes + used;
        left.len -= (size_t)used;
        journey.frames += frame.frame_type != 0;
        if (frame.frame_type == AMQP_FRAME_HEADER)
            journey.properties = frame.payload.properties.decoded;
        if (frame.frame_type == AMQP_FRAME_BODY) {
            memcpy(body + journey.len, frame.payload.body_fragment.bytes,
                   frame.payload.body_fragment.len);
            journey.len += frame.payload.body_fragment.len;
        }
    }
    free(bytes);
    journey.body = body;
    return journey;
}

static void end(struct journey *journey)
{
    free(journey->body);
    amqp_destroy_connection(journey->peer);
}

static struct journey publish_and_read(struct envelope_properties *message, const void *body,
                                       size_t len)
{
    struct evbuffer *buffer = evbuffer_new();
    amqp_basic_publish_t publish = {.exchange = amqp_text("mtc.events"),
                                    .routing_key = amqp_text("SR-26")};
    assert_true(amqp_put_publish(buffer, 1, 4096, &publish, &message->properties, body, len));
    struct journey journey = travel(buffer);
    evbuffer_free(buffer);
    return journey;
}

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
    struct journey journey = publish_and_read(&message, "{}", 2);
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
    end(&journey);
}

static void bodies_of_any_size_arrive_byte_for_byte(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 4087, 4088, 4089, 8176, 100000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned char *body = xmalloc(sizes[i]);
        for (size_t n = 0; n < sizes[i]; n++)
            body[n] = (unsigned char)(n * 7);
        struct envelope_properties message;
        envelope_write(&full, &message);
        struct journey journey = publish_and_read(&message, body, sizes[i]);
        assert_int_equal(journey.len, sizes[i]);
        assert_memory_equal(journey.body, body, sizes[i]);
        end(&journey);
        free(body);
    }
}

static void what_does_not_fit_into_a_frame_is_refused_and_leaves_nothing(void **state)
{
    (void)state;
    char *large = xmalloc(5001);
    memset(large, 'x', 5000);
    large[5000] = '\0';
    struct envelope_properties message;
    envelope_write(&full, &message);
    envelope_add_text(&message, "reason", large);
    struct evbuffer *buffer = evbuffer_new();
    amqp_basic_publish_t publish = {.exchange = amqp_text("e"), .routing_key = amqp_text("k")};
    assert_false(amqp_put_publish(buffer, 1, 4096, &publish, &message.properties, "", 0));
    assert_int_equal(evbuffer_get_length(buffer), 0);
    evbuffer_free(buffer);
    free(large);
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

static void integers_of_every_kind_are_read(void **state)
{
    (void)state;
    static const uint8_t kinds[] = {AMQP_FIELD_KIND_I8,  AMQP_FIELD_KIND_U8,  AMQP_FIELD_KIND_I16,
                                    AMQP_FIELD_KIND_U16, AMQP_FIELD_KIND_I32, AMQP_FIELD_KIND_U32,
                                    AMQP_FIELD_KIND_I64};
    for (size_t i = 0; i < sizeof kinds; i++) {
        amqp_field_value_t value = {.kind = kinds[i],
                                    .value.i64 = 77}; /* little-endian: any width holds it */
        int64_t out = 0;
        assert_true(amqp_field_int(&value, &out));
        assert_int_equal(out, 77);
    }
    amqp_field_value_t text = {.kind = AMQP_FIELD_KIND_UTF8};
    int64_t out;
    assert_false(amqp_field_int(&text, &out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_envelope_comes_back_as_it_went),
        cmocka_unit_test(bodies_of_any_size_arrive_byte_for_byte),
        cmocka_unit_test(what_does_not_fit_into_a_frame_is_refused_and_leaves_nothing),
        cmocka_unit_test(bad_envelopes_are_refused),
        cmocka_unit_test(integers_of_every_kind_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
