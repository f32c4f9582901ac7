/* test_consumer.c - suite/consumer: acks only what is applied, and one bad message stops no
 * other */
#include "unit.h"
#include "fake_amqp.h"
#include "suite/consumer.h"

#include <stdio.h>
#include <string.h>

struct fixture {
    struct amqp_conn *conn;
    struct consumer *consumer;
    int arrived;
    char buried[256];
};

static void on_arrived(void *arg)
{
    ((struct fixture *)arg)->arrived++;
}

static const char *check(struct delivery *delivery, const amqp_basic_properties_t *properties,
                         void *arg)
{
    (void)properties;
    (void)arg;
    return strcmp(delivery->body, "no JSON") == 0 ? "not a cycle time" : NULL;
}

static bool is_obsolete(const struct delivery *delivery, void *arg)
{
    (void)arg;
    return strcmp(delivery->body, "old") == 0;
}

static void on_buried(const struct delivery *delivery, const char *reason, void *arg)
{
    struct fixture *fixture = arg;
    size_t len = strlen(fixture->buried);
    snprintf(fixture->buried + len, sizeof fixture->buried - len, "%s=%s ", delivery->body, reason);
}

static int set_up(void **state)
{
    static const struct consumer_settings settings = {.queue = "mtc.outcomes",
                                                      .tag = "test",
                                                      .kind = "outcomes",
                                                      .prefetch = 10,
                                                      .batch_max = 3,
                                                      .body_max = 100};
    static const struct consumer_events events = {.on_arrived = on_arrived,
                                                  .check = check,
                                                  .is_obsolete = is_obsolete,
                                                  .on_buried = on_buried};
    static struct fixture fixture;
    memset(&fixture, 0, sizeof fixture);
    fixture.conn = fake_conn_new();
    fixture.consumer = consumer_new(&settings, &events, &fixture);
    consumer_start(fixture.consumer, fixture.conn);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    fake_conn_free(fixture->conn);
    consumer_free(fixture->consumer);
    return 0;
}

/* The first channel is for dead letters, the second consumes. */
static struct amqp_chan *letters(struct fixture *fixture)
{
    return fake_conn_channel(fixture->conn, 0);
}

static struct amqp_chan *source(struct fixture *fixture)
{
    return fake_conn_channel(fixture->conn, 1);
}

static void expect_acked(struct fixture *fixture, const char *wanted)
{
    const uint64_t *tags;
    char got[64] = "";
    int count = fake_acked(source(fixture), &tags);
    for (int i = 0; i < count; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%d ", (int)tags[i]);
    assert_string_equal(got, wanted);
}

static void expect_batch(struct fixture *fixture, const char *wanted)
{
    char got[64] = "";
    for (const struct delivery *at = consumer_take(fixture->consumer); at; at = at->next)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s ", at->body);
    assert_string_equal(got, wanted);
}

static void deliver(struct fixture *fixture, uint64_t tag, const char *body)
{
    fake_deliver(source(fixture), tag, body);
}

static void nothing_is_acked_before_it_is_applied(void **state)
{
    struct fixture *fixture = *state;
    assert_string_equal(fake_consumed(source(fixture)), "mtc.outcomes");
    deliver(fixture, 1, "a");
    deliver(fixture, 2, "b");
    assert_int_equal(fixture->arrived, 2);
    expect_batch(fixture, "a b ");
    expect_acked(fixture, "");
    assert_null(consumer_take(fixture->consumer)); /* one batch at a time */
    consumer_applied(fixture->consumer, NULL, 0, NULL);
    expect_acked(fixture, "1 2 ");
    assert_null(consumer_take(fixture->consumer));
}

static void what_is_too_large_is_the_brokers_to_bury(void **state)
{
    struct fixture *fixture = *state;
    const uint64_t *tags;
    deliver(fixture, 1, "a");
    fake_deliver_large(source(fixture), 2, 101);
    deliver(fixture, 3, "b");
    assert_string_equal(fixture->buried, "=a message of 101 bytes, and 100 are the most ");
    assert_int_equal(fake_rejected(source(fixture), &tags), 1);
    assert_int_equal((int)tags[0], 2);
    expect_batch(fixture, "a b ");
    consumer_applied(fixture->consumer, NULL, 0, NULL);
    expect_acked(fixture, "1 3 ");
}

static void what_is_held_is_counted(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(consumer_held(fixture->consumer), 0);
    deliver(fixture, 1, "abc");
    deliver(fixture, 2, "no JSON"); /* held until its copy is confirmed */
    size_t two = 2 * sizeof(struct delivery) + strlen("abc") + strlen("no JSON");
    assert_int_equal(consumer_held(fixture->consumer), two);
    expect_batch(fixture, "abc ");
    assert_int_equal(consumer_held(fixture->consumer), two);
    consumer_applied(fixture->consumer, NULL, 0, NULL);
    assert_int_equal(consumer_held(fixture->consumer), sizeof(struct delivery) + strlen("no JSON"));
    consumer_stop(fixture->consumer);
    assert_int_equal(consumer_held(fixture->consumer), 0);
}

static void a_batch_is_bounded_and_keeps_the_order(void **state)
{
    struct fixture *fixture = *state;
    static const char *const bodies[] = {"a", "b", "c", "d"};
    for (int i = 0; i < 4; i++)
        deliver(fixture, (uint64_t)i + 1, bodies[i]);
    expect_batch(fixture, "a b c ");
    consumer_applied(fixture->consumer, NULL, 0, NULL);
    expect_batch(fixture, "d ");
}

static void an_uncertain_batch_is_told_again(void **state)
{
    struct fixture *fixture = *state;
    deliver(fixture, 1, "a");
    deliver(fixture, 2, "b");
    expect_batch(fixture, "a b ");
    deliver(fixture, 3, "c");
    consumer_uncertain(fixture->consumer);
    expect_acked(fixture, "");
    expect_batch(fixture, "a b c ");
}

static void the_culprit_is_found_and_buried_alone(void **state)
{
    struct fixture *fixture = *state;
    const struct fake_message *dead;
    deliver(fixture, 1, "a");
    deliver(fixture, 2, "bad");
    deliver(fixture, 3, "c");
    expect_batch(fixture, "a bad c ");
    consumer_refused(fixture->consumer, "invalid input");
    expect_batch(fixture, "a ");
    consumer_applied(fixture->consumer, NULL, 0, NULL);
    expect_batch(fixture, "bad ");
    consumer_refused(fixture->consumer, "invalid input");
    assert_string_equal(fixture->buried, "bad=invalid input ");
    expect_batch(fixture, "c ");
    consumer_applied(fixture->consumer, NULL, 0, NULL);
    expect_acked(fixture, "1 3 "); /* the culprit only when its copy is confirmed */
    assert_int_equal(fake_published(letters(fixture), &dead), 1);
    assert_string_equal(dead[0].exchange, "mtc.dead");
    assert_string_equal(dead[0].body, "bad");
    assert_string_equal(dead[0].reason, "invalid input");
    fake_confirm(letters(fixture), 1, false, true);
    expect_acked(fixture, "1 3 2 ");
}

static void culprits_named_by_position_are_buried(void **state)
{
    struct fixture *fixture = *state;
    static const int unknown[] = {0, 2};
    deliver(fixture, 1, "x");
    deliver(fixture, 2, "b");
    deliver(fixture, 3, "y");
    expect_batch(fixture, "x b y ");
    consumer_applied(fixture->consumer, unknown, 2, "unknown machine");
    assert_string_equal(fixture->buried, "x=unknown machine y=unknown machine ");
    expect_acked(fixture, "2 ");
    fake_confirm(letters(fixture), 2, true, true);
    expect_acked(fixture, "2 1 3 ");
}

static void what_is_no_message_of_ours_is_buried_at_once(void **state)
{
    struct fixture *fixture = *state;
    deliver(fixture, 1, "no JSON");
    assert_int_equal(fixture->arrived, 0);
    assert_string_equal(fixture->buried, "no JSON=not a cycle time ");
    assert_null(consumer_take(fixture->consumer));
}

static void what_says_nothing_new_is_acked_unapplied(void **state)
{
    struct fixture *fixture = *state;
    deliver(fixture, 1, "old");
    deliver(fixture, 2, "new");
    expect_batch(fixture, "new ");
    expect_acked(fixture, "1 ");
}

/* A confirm that belongs to what was forgotten must not ack a message that came since. */
static void a_confirm_of_another_life_acks_nothing(void **state)
{
    struct fixture *fixture = *state;
    deliver(fixture, 1, "no JSON");
    consumer_stop(fixture->consumer);
    assert_true(fake_is_closing(source(fixture)));
    consumer_start(fixture->consumer, fixture->conn);
    struct amqp_chan *again = fake_conn_channel(fixture->conn, 2);
    fake_deliver(again, 1, "no JSON");
    fake_confirm(letters(fixture), 1, false, true); /* of the first life's letter */
    const uint64_t *tags;
    assert_int_equal(fake_acked(again, &tags), 0);
    fake_confirm(letters(fixture), 2, false, true);
    assert_int_equal(fake_acked(again, &tags), 1);
}

static void after_a_stop_late_deliveries_are_the_brokers(void **state)
{
    struct fixture *fixture = *state;
    struct amqp_chan *old = source(fixture);
    consumer_stop(fixture->consumer);
    fake_deliver(old, 9, "late");
    assert_int_equal(fixture->arrived, 0);
    assert_null(consumer_take(fixture->consumer));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_acked_before_it_is_applied),
        TEST(what_is_too_large_is_the_brokers_to_bury),
        TEST(what_is_held_is_counted),
        TEST(a_batch_is_bounded_and_keeps_the_order),
        TEST(an_uncertain_batch_is_told_again),
        TEST(the_culprit_is_found_and_buried_alone),
        TEST(culprits_named_by_position_are_buried),
        TEST(what_is_no_message_of_ours_is_buried_at_once),
        TEST(what_says_nothing_new_is_acked_unapplied),
        TEST(a_confirm_of_another_life_acks_nothing),
        TEST(after_a_stop_late_deliveries_are_the_brokers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
