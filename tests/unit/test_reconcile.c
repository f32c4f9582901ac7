/* test_reconcile.c - producer/reconcile: what is published is noted, then markers go after it */
#include "unit.h"
#include "fake_amqp.h"
#include "fake_pg.h"
#include "reconcile.h"
#include "base/clock.h"

#include <string.h>

#define EXCHANGE "mtc.relay.7"

struct fixture {
    struct service service;
    struct config config;
    struct metrics *metrics;
    struct producer_metrics of_producer;
    struct election *election;
    struct pg_session *pg;
    struct amqp_conn *conn;
    struct publisher *publisher;
    struct reconcile *reconcile;
    int idle;
};

static void nothing(void *arg)
{
    (void)arg;
}

static void on_lost(bool was_active, const char *reason, void *arg)
{
    (void)was_active;
    (void)reason;
    reconcile_on_lost(((struct fixture *)arg)->reconcile);
}

static void on_publisher_lost(void *arg)
{
    reconcile_on_lost(((struct fixture *)arg)->reconcile);
}

static void on_idle(void *arg)
{
    ((struct fixture *)arg)->idle++;
}

static void make(struct fixture *fixture, int64_t period_s)
{
    struct reconcile_settings settings = {.election = fixture->election,
                                          .metrics = &fixture->of_producer,
                                          .period_s = period_s,
                                          .partitions = 8};
    reconcile_free(fixture->reconcile);
    fixture->reconcile = reconcile_new(&settings, on_idle, fixture);
    reconcile_on_open(fixture->reconcile, fixture->publisher, EXCHANGE);
}

static int set_up(void **state)
{
    static const struct election_settings settings = {
        .lock = ELECTION_RELAY, .session_sql = "", .standby_poll_ms = 1000};
    static const struct election_events events = {
        .on_elected = nothing, .on_lost = on_lost, .on_idle = nothing};
    static const struct publisher_events publisher_events = {.on_lost = on_publisher_lost};
    static struct fixture fixture;
    char error[200];
    memset(&fixture, 0, sizeof fixture);
    assert_true(config_load(&fixture.config, NULL, error, sizeof error));
    fixture.service.config = &fixture.config;
    fixture.service.connection_name = "test";
    fixture.service.loop = loop_new();
    fixture.metrics = metrics_new();
    producer_metrics_register(&fixture.of_producer, fixture.metrics);
    fixture.election = election_new(&fixture.service, &settings, &events, &fixture, error,
                                    sizeof error);
    fixture.pg = fake_pg();
    fixture.conn = fake_conn_new();
    fixture.publisher = publisher_new(fixture.conn, "an event", &publisher_events, &fixture);
    fake_pg_up(fixture.pg);
    fake_pg_answer(fixture.pg, "t");
    publisher_open(fixture.publisher);
    make(&fixture, 300);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    fake_conn_free(fixture->conn);
    publisher_free(fixture->publisher);
    election_free(fixture->election);
    reconcile_free(fixture->reconcile);
    metrics_free(fixture->metrics);
    loop_free(fixture->service.loop);
    config_free(&fixture->config);
    return 0;
}

static bool run(struct fixture *fixture)
{
    return reconcile_run(fixture->reconcile, reconcile_due_at(fixture->reconcile));
}

static void expect_asked(struct fixture *fixture, const char *function)
{
    assert_true(run(fixture));
    if (!strstr(fake_pg_asked(fixture->pg), function))
        fail_msg("%s, where %s was expected", fake_pg_asked(fixture->pg), function);
}

static int sent(struct fixture *fixture, const struct fake_message **messages)
{
    return fake_published(fake_conn_channel(fixture->conn, fake_conn_channels(fixture->conn) - 1),
                          messages);
}

static void answer_due(struct fixture *fixture)
{
    expect_asked(fixture, "mtc.reconcile_due");
    fake_pg_answer_rows(fixture->pg, 1, 2, (const char *const[]){"40", "50"});
}

static void a_round_notes_all_rows_and_then_sends_markers(void **state)
{
    struct fixture *fixture = *state;
    const struct fake_message *messages;
    answer_due(fixture);
    expect_asked(fixture, "mtc.note_unsettled");
    assert_string_equal(fake_pg_value(fixture->pg, 0), "40");
    fake_pg_answer(fixture->pg, "2040");
    expect_asked(fixture, "mtc.note_unsettled");
    assert_string_equal(fake_pg_value(fixture->pg, 0), "2040");
    assert_int_equal(sent(fixture, &messages), 0);
    fake_pg_answer(fixture->pg, "0");
    expect_asked(fixture, "mtc.send_markers");
    assert_string_equal(fake_pg_value(fixture->pg, 0), "8");
    assert_string_equal(fake_pg_value(fixture->pg, 1), "true"); /* the term is new */
    assert_string_equal(fake_pg_value(fixture->pg, 2), "50");
    fake_pg_answer_rows(fixture->pg, 2, 3,
                        (const char *const[]){"9", "1000", "0", "9", "1000", "5"});
    assert_int_equal(sent(fixture, &messages), 2);
    assert_string_equal(messages[0].exchange, EXCHANGE);
    assert_string_equal(messages[0].key, "mtc.events.0");
    assert_string_equal(messages[1].key, "mtc.events.5");
    assert_int_equal(fixture->idle, 4);
    assert_false(reconcile_run(fixture->reconcile, mono_ms()));
    answer_due(fixture);
    expect_asked(fixture, "mtc.note_unsettled");
    fake_pg_answer(fixture->pg, "0");
    expect_asked(fixture, "mtc.send_markers");
    assert_string_equal(fake_pg_value(fixture->pg, 1), "false");
}

static void a_round_that_is_not_due_is_asked_for_later(void **state)
{
    struct fixture *fixture = *state;
    expect_asked(fixture, "mtc.reconcile_due");
    fake_pg_answer_rows(fixture->pg, 0, 2, NULL);
    assert_false(reconcile_run(fixture->reconcile, mono_ms()));
    assert_true(reconcile_due_at(fixture->reconcile) > mono_ms() + 30000);
    reconcile_on_asked(fixture->reconcile);
    assert_true(reconcile_run(fixture->reconcile, mono_ms()));
}

/* The events it was to be behind went by the channel that is gone. */
static void what_was_numbered_for_a_lost_channel_is_not_sent(void **state)
{
    struct fixture *fixture = *state;
    const struct fake_message *messages;
    answer_due(fixture);
    expect_asked(fixture, "mtc.note_unsettled");
    fake_pg_answer(fixture->pg, "0");
    expect_asked(fixture, "mtc.send_markers");
    publisher_on_conn_down(fixture->publisher);
    publisher_open(fixture->publisher);
    reconcile_on_open(fixture->reconcile, fixture->publisher, "mtc.relay.8");
    fake_pg_answer_rows(fixture->pg, 1, 3, (const char *const[]){"9", "1000", "0"});
    assert_int_equal(sent(fixture, &messages), 0);
    answer_due(fixture); /* from the beginning */
}

static void a_lost_session_ends_the_round(void **state)
{
    struct fixture *fixture = *state;
    answer_due(fixture);
    expect_asked(fixture, "mtc.note_unsettled");
    fake_pg_down(fixture->pg, "gone");
    assert_int_equal(reconcile_due_at(fixture->reconcile), INT64_MAX);
    fake_pg_up(fixture->pg);
    fake_pg_answer(fixture->pg, "t");
    assert_false(reconcile_run(fixture->reconcile, INT64_MAX));
    reconcile_on_open(fixture->reconcile, fixture->publisher, EXCHANGE);
    answer_due(fixture);
}

static void no_round_begins_soon_after_an_alarm(void **state)
{
    struct fixture *fixture = *state;
    int64_t now = reconcile_due_at(fixture->reconcile);
    fake_conn_block(fixture->conn, true);
    assert_false(reconcile_run(fixture->reconcile, now));
    fake_conn_block(fixture->conn, false);
    assert_false(reconcile_run(fixture->reconcile, now + 299999));
    assert_true(reconcile_run(fixture->reconcile, now + 300000));
}

static void with_no_period_there_are_no_rounds(void **state)
{
    struct fixture *fixture = *state;
    make(fixture, 0);
    reconcile_on_asked(fixture->reconcile);
    assert_false(reconcile_run(fixture->reconcile, INT64_MAX));
    assert_int_equal(reconcile_due_at(fixture->reconcile), INT64_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_round_notes_all_rows_and_then_sends_markers),
        TEST(a_round_that_is_not_due_is_asked_for_later),
        TEST(what_was_numbered_for_a_lost_channel_is_not_sent),
        TEST(a_lost_session_ends_the_round),
        TEST(no_round_begins_soon_after_an_alarm),
        TEST(with_no_period_there_are_no_rounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
