/* test_publisher.c - suite/publisher: confirms, losses, and what must not be lost without a word */
#include "unit.h"
#include "fake_amqp.h"
#include "suite/publisher.h"

#include <stdio.h>
#include <string.h>

struct fixture {
    struct amqp_conn *conn;
    struct publisher *publisher;
    char story[256]; /* what the publisher's callbacks said, in order */
};

static void add(struct fixture *fixture, const char *word)
{
    size_t len = strlen(fixture->story);
    snprintf(fixture->story + len, sizeof fixture->story - len, "%s", word);
}

static void on_ready(void *arg)
{
    add(arg, "ready ");
}

static void on_lost(void *arg)
{
    add(arg, "lost ");
}

static void on_confirmed(uint64_t tag, bool multiple, void *arg)
{
    char word[32];
    snprintf(word, sizeof word, "tag%d%s ", (int)tag, multiple ? "+" : "");
    add(arg, word);
}

struct note {
    struct fixture *fixture;
    const char *name;
};

static void on_done(bool confirmed, void *arg)
{
    const struct note *note = arg;
    add(note->fixture, note->name);
    add(note->fixture, confirmed ? ":yes " : ":no ");
}

static int set_up(void **state)
{
    static const struct publisher_events events = {
        .on_ready = on_ready, .on_lost = on_lost, .on_confirmed = on_confirmed};
    static struct fixture fixture;
    memset(&fixture, 0, sizeof fixture);
    fixture.conn = fake_conn_new();
    fixture.publisher = publisher_new(fixture.conn, "an event", &events, &fixture);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    fake_conn_free(fixture->conn);
    publisher_free(fixture->publisher);
    return 0;
}

static struct amqp_chan *open(struct fixture *fixture)
{
    publisher_open(fixture->publisher);
    return fake_conn_channel(fixture->conn, fake_conn_channels(fixture->conn) - 1);
}

static void send(struct fixture *fixture, struct note *note)
{
    amqp_basic_properties_t properties = {._flags = 0};
    assert_true(publisher_send(fixture->publisher, "mtc.events", "A", &properties, "{}", 2,
                               note ? on_done : NULL, note) > 0);
}

static void confirms_reach_those_they_mean(void **state)
{
    struct fixture *fixture = *state;
    struct note a = {fixture, "a"}, b = {fixture, "b"}, c = {fixture, "c"}, d = {fixture, "d"};
    struct amqp_chan *chan = open(fixture);
    send(fixture, &a);
    send(fixture, &b);
    send(fixture, &c);
    send(fixture, &d);
    assert_int_equal(publisher_waiting(fixture->publisher), 4);
    fake_confirm(chan, 2, false, true);
    fake_confirm(chan, 3, true, true);
    assert_string_equal(fixture->story, "ready tag2 b:yes tag3+ a:yes c:yes ");
    assert_int_equal(publisher_waiting(fixture->publisher), 1);
}

static void a_loss_is_told_before_those_that_waited(void **state)
{
    struct fixture *fixture = *state;
    struct note a = {fixture, "a"}, b = {fixture, "b"};
    struct amqp_chan *chan = open(fixture);
    send(fixture, &a);
    send(fixture, &b);
    publisher_on_conn_down(fixture->publisher);
    assert_string_equal(fixture->story, "ready lost a:no b:no ");
    assert_false(publisher_is_ready(fixture->publisher));
    fake_confirm(chan, 1, false, true); /* too late: nobody is told twice */
    assert_string_equal(fixture->story, "ready lost a:no b:no ");
}

static void a_channel_the_broker_closes_ends_the_connection(void **state)
{
    struct fixture *fixture = *state;
    struct note a = {fixture, "a"};
    struct amqp_chan *chan = open(fixture);
    send(fixture, &a);
    fake_close(chan, 406, "precondition failed");
    assert_string_equal(fixture->story, "ready lost a:no ");
    assert_string_equal(fake_conn_failed(fixture->conn), "precondition failed");
}

static void a_nack_ends_the_connection(void **state)
{
    struct fixture *fixture = *state;
    struct note a = {fixture, "a"};
    struct amqp_chan *chan = open(fixture);
    send(fixture, &a);
    fake_confirm(chan, 1, false, false);
    assert_string_equal(fake_conn_failed(fixture->conn), "the broker refused a message");
    assert_string_equal(fixture->story, "ready ");
}

static void a_returned_message_is_not_a_confirmed_one(void **state)
{
    struct fixture *fixture = *state;
    struct amqp_chan *chan = open(fixture);
    send(fixture, NULL);
    fake_return(chan, 312, "NO_ROUTE");
    assert_string_equal(fake_conn_failed(fixture->conn), "an event was returned: 312 NO_ROUTE");
}

static void it_is_ready_only_when_the_topology_is_there(void **state)
{
    struct fixture *fixture = *state;
    publisher_declare_and_open(fixture->publisher, 2);
    assert_false(publisher_is_ready(fixture->publisher));
    fake_answer(fixture->conn);
    assert_true(publisher_is_ready(fixture->publisher));
    assert_string_equal(fixture->story, "ready ");
}

static void lost_while_it_declares_it_comes_back(void **state)
{
    struct fixture *fixture = *state;
    publisher_declare_and_open(fixture->publisher, 2);
    publisher_on_conn_down(fixture->publisher);
    assert_string_equal(fixture->story, ""); /* it was not ready: nothing was lost */
    publisher_declare_and_open(fixture->publisher, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(confirms_reach_those_they_mean, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_loss_is_told_before_those_that_waited, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_channel_the_broker_closes_ends_the_connection, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_nack_ends_the_connection, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_returned_message_is_not_a_confirmed_one, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(it_is_ready_only_when_the_topology_is_there, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(lost_while_it_declares_it_comes_back, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
