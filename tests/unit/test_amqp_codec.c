/* test_amqp_codec.c - what we encode, librabbitmq decodes */
#include "unit.h"
#include "journey.h"
#include "base/xalloc.h"
#include "suite/envelope.h"

#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

static const struct envelope plain = {
    .event_id = "01a20acf-767b-780b-8c69-ce07a41c3bf2", .machine = "SR-26", .path = "/p"};

static void bodies_of_any_size_arrive_byte_for_byte(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 4087, 4088, 4089, 8176, 100000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned char *body = xmalloc(sizes[i]);
        for (size_t n = 0; n < sizes[i]; n++)
            body[n] = (unsigned char)(n * 7);
        struct envelope_properties message;
        envelope_write(&plain, &message);
        struct journey journey = journey_make(&message.properties, body, sizes[i]);
        assert_int_equal(journey.len, sizes[i]);
        assert_memory_equal(journey.body, body, sizes[i]);
        journey_end(&journey);
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
    envelope_write(&plain, &message);
    envelope_add_text(&message, "reason", large);
    struct evbuffer *buffer = evbuffer_new();
    amqp_basic_publish_t publish = {.exchange = amqp_text("e"), .routing_key = amqp_text("k")};
    assert_false(amqp_put_publish(buffer, 1, 4096, &publish, &message.properties, "", 0));
    assert_int_equal(evbuffer_get_length(buffer), 0);
    evbuffer_free(buffer);
    free(large);
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
        cmocka_unit_test(bodies_of_any_size_arrive_byte_for_byte),
        cmocka_unit_test(what_does_not_fit_into_a_frame_is_refused_and_leaves_nothing),
        cmocka_unit_test(integers_of_every_kind_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
