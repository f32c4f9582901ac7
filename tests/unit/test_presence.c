/* test_presence.c - suite/presence: who is answered, with what, and what goes wrong with it */
#include "unit.h"
#include "fake_amqp.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "suite/presence.h"

#include <string.h>

struct fixture {
    struct amqp_conn *conn;
    struct metrics *metrics;
    struct presence *presence;
    const char *missing; /* NULL: ready */
    const char *remarks; /* NULL: none */
    int orders;
};

static char *remarks(void *arg)
{
    const struct fixture *fixture = arg;
    return fixture->remarks ? xstrdup(fixture->remarks) : NULL;
}

static char *on_order(const char *order, void *arg)
{
    struct fixture *fixture = arg;
    fixture->orders++;
    return strcmp(order, "{\"mine\":1}") == 0 ? xstrdup("done") : NULL;
}

static bool ready(const void *arg, const char **why)
{
    const struct fixture *fixture = arg;
    *why = fixture->missing;
    return !fixture->missing;
}

static int set_up(void **state)
{
    static struct fixture fixture;
    memset(&fixture, 0, sizeof fixture);
    fixture.conn = fake_conn_new();
    fixture.metrics = metrics_new();
    metric_set(metrics_add(fixture.metrics, METRIC_GAUGE, "mtc_test", "A test.", NULL), 7);
    struct presence_settings settings = {.program = "mtc-test",
                                         .worker = "test-1",
                                         .listen = "",
                                         .metrics = fixture.metrics,
                                         .ready = ready,
                                         .remarks = remarks,
                                         .on_order = on_order,
                                         .arg = &fixture};
    fixture.presence = presence_new(&settings);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    fake_conn_free(fixture->conn);
    presence_free(fixture->presence);
    metrics_free(fixture->metrics);
    return 0;
}

static struct amqp_chan *connect(struct fixture *fixture)
{
    presence_on_conn_up(fixture->presence, fixture->conn);
    fake_answer(fixture->conn);
    return fake_conn_channel(fixture->conn, fake_conn_channels(fixture->conn) - 1);
}

static void ask_with(struct amqp_chan *chan, uint64_t tag, const char *reply_to, const char *body)
{
    amqp_basic_properties_t properties = {._flags = 0};
    if (reply_to) {
        properties._flags = AMQP_BASIC_REPLY_TO_FLAG;
        properties.reply_to = amqp_text(reply_to);
    }
    fake_deliver_with(chan, tag, &properties, body);
}

static void ask(struct amqp_chan *chan, uint64_t tag, const char *reply_to)
{
    ask_with(chan, tag, reply_to, "");
}

static void a_question_is_answered_and_acked(void **state)
{
    struct fixture *fixture = *state;
    struct amqp_chan *chan = connect(fixture);
    const struct fake_message *messages;
    const uint64_t *acked;
    assert_int_equal(strncmp(fake_consumed(chan), "mtc.programs.mtc-test.test-1.", 29), 0);
    ask(chan, 1, "amq.rabbitmq.reply-to.g1h2AA.x");
    assert_int_equal(fake_published(chan, &messages), 1);
    assert_string_equal(messages[0].exchange, "");
    assert_string_equal(messages[0].key, "amq.rabbitmq.reply-to.g1h2AA.x");
    assert_non_null(strstr(messages[0].body, "mtc_test 7"));
    assert_int_equal(fake_acked(chan, &acked), 1);
    assert_int_equal(acked[0], 1);
}

static void an_order_is_answered_by_whom_it_concerns(void **state)
{
    struct fixture *fixture = *state;
    struct amqp_chan *chan = connect(fixture);
    const struct fake_message *messages;
    const uint64_t *acked;
    static char large[PRESENCE_ORDER_MAX + 2];
    memset(large, 'x', sizeof large - 1);
    ask_with(chan, 1, "amq.rabbitmq.reply-to.a", "{\"mine\":1}");
    ask_with(chan, 2, "amq.rabbitmq.reply-to.a", "{\"another's\":1}");
    ask_with(chan, 3, "amq.rabbitmq.reply-to.a", large);
    ask_with(chan, 4, "mtc.control", "{\"mine\":1}"); /* nobody would hear of it */
    assert_int_equal(fixture->orders, 2);
    assert_int_equal(fake_published(chan, &messages), 1);
    assert_string_equal(messages[0].body, "");
    assert_int_equal(fake_acked(chan, &acked), 4);
}

static void other_addresses_get_no_answer(void **state)
{
    struct fixture *fixture = *state;
    struct amqp_chan *chan = connect(fixture);
    const struct fake_message *messages;
    const uint64_t *acked;
    static const char *const addresses[] = {NULL,
                                            "",
                                            "mtc.control",
                                            "amq.rabbitmq.reply-to",
                                            "amq.rabbitmq.reply-to.",
                                            "AMQ.rabbitmq.reply-to.x"};
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++)
        ask(chan, i + 1, addresses[i]);
    assert_int_equal(fake_published(chan, &messages), 0);
    assert_int_equal(fake_acked(chan, &acked), 6); /* or no further question would come */
}

static void a_refusal_costs_nothing_else(void **state)
{
    struct fixture *fixture = *state;
    struct amqp_chan *chan = connect(fixture);
    fake_close(chan, 403, "ACCESS_REFUSED");
    assert_string_equal(fake_conn_failed(fixture->conn), "");
    assert_int_equal(fake_conn_channels(fixture->conn), 1); /* not again on this connection */
    presence_on_conn_up(NULL, fixture->conn);
    assert_int_equal(fake_conn_channels(fixture->conn), 1);
}

static void a_deleted_queue_is_made_again(void **state)
{
    struct fixture *fixture = *state;
    struct amqp_chan *chan = connect(fixture);
    char before[64];
    strncpy(before, fake_consumed(chan), sizeof before - 1);
    before[sizeof before - 1] = '\0';
    fake_cancel(chan);
    fake_answer(fixture->conn);
    assert_string_not_equal(fake_consumed(chan), before);
    const struct fake_message *messages;
    ask(chan, 1, "amq.rabbitmq.reply-to.a");
    assert_int_equal(fake_published(chan, &messages), 1);
}

static void an_odd_answer_is_read(void **state)
{
    (void)state;
    amqp_table_entry_t headers[] = {
        {.key = amqp_text("worker"), .value = {.kind = AMQP_FIELD_KIND_I32, .value.i32 = 5}},
        {.key = amqp_text("missing"), .value = {.kind = AMQP_FIELD_KIND_VOID}}};
    amqp_basic_properties_t odd = {._flags = AMQP_BASIC_HEADERS_FLAG,
                                   .headers = {.num_entries = 2, .entries = headers}};
    amqp_basic_properties_t none = {._flags = 0};
    struct presence_told told;
    presence_read(&odd, "a\0b", 3, &told);
    assert_string_equal(told.worker, "");
    assert_false(told.ready);
    presence_told_free(&told);
    presence_read(&none, NULL, 0, &told);
    assert_string_equal(told.program, "");
    assert_string_equal(told.metrics, "");
    assert_true(told.ready);
    presence_told_free(&told);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    log_init("test");
    const struct CMUnitTest tests[] = {
        TEST(a_question_is_answered_and_acked), TEST(an_order_is_answered_by_whom_it_concerns),
        TEST(other_addresses_get_no_answer),    TEST(a_refusal_costs_nothing_else),
        TEST(a_deleted_queue_is_made_again),    TEST(an_odd_answer_is_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
