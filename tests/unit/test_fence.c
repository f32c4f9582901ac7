/* test_fence.c - producer/fence: nothing is open before every earlier term is fenced off */
#include "unit.h"
#include "fake_amqp.h"
#include "fake_pg.h"
#include "fence.h"

#include <stdio.h>
#include <string.h>

struct fixture {
    struct service service;
    struct config config;
    struct election *election;
    struct pg_session *pg;
    struct amqp_conn *conn;
    struct publisher *publisher;
    struct fence *fence;
    char open[64]; /* the exchange of the term that is open, or "" */
    int idle;
};

static void on_elected(void *arg)
{
    (void)arg;
}

static void on_session_lost(bool was_active, const char *reason, void *arg)
{
    (void)was_active;
    (void)reason;
    fence_on_session_lost(((struct fixture *)arg)->fence);
}

static void on_publisher_lost(void *arg)
{
    struct fixture *fixture = arg;
    fixture->open[0] = '\0';
    fence_on_publisher_lost(fixture->fence);
}

static void on_open(struct publisher *publisher, const char *exchange, void *arg)
{
    struct fixture *fixture = arg;
    assert_ptr_equal(publisher, fixture->publisher);
    snprintf(fixture->open, sizeof fixture->open, "%s", exchange);
}

static void on_idle(void *arg)
{
    ((struct fixture *)arg)->idle++;
}

static int set_up(void **state)
{
    static const struct election_settings settings = {
        .lock = ELECTION_RELAY, .session_sql = "", .standby_poll_ms = 1000};
    static const struct election_events events = {
        .on_elected = on_elected, .on_lost = on_session_lost, .on_idle = on_elected};
    static const struct publisher_events publisher_events = {.on_lost = on_publisher_lost};
    static const struct fence_events fence_events = {.on_open = on_open, .on_idle = on_idle};
    static struct fixture fixture;
    char error[200];
    memset(&fixture, 0, sizeof fixture);
    assert_true(config_load(&fixture.config, NULL, error, sizeof error));
    fixture.service.config = &fixture.config;
    fixture.service.connection_name = "test";
    fixture.service.loop = loop_new();
    fixture.election = election_new(&fixture.service, &settings, &events, &fixture, error,
                                    sizeof error);
    fixture.pg = fake_pg();
    fixture.fence = fence_new(fixture.election, &fence_events, &fixture);
    fixture.conn = fake_conn_new();
    fixture.publisher = publisher_new(fixture.conn, "an event", &publisher_events, &fixture);
    fake_pg_up(fixture.pg);
    fake_pg_answer(fixture.pg, "t");
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    fake_conn_free(fixture->conn);
    publisher_free(fixture->publisher);
    election_free(fixture->election);
    fence_free(fixture->fence);
    loop_free(fixture->service.loop);
    config_free(&fixture->config);
    return 0;
}

static void open_publisher(struct fixture *fixture)
{
    publisher_open(fixture->publisher);
    fence_on_publisher_ready(fixture->fence, fixture->publisher);
}

static void give_term(struct fixture *fixture, const char *term, const char *fenced)
{
    assert_string_equal(fake_pg_asked(fixture->pg), "SELECT * FROM mtc.begin_term()");
    fake_pg_answer_rows(fixture->pg, 1, 2, (const char *const[]){term, fenced});
}

static const char *calls(struct fixture *fixture)
{
    return fake_exchange_calls(
        fake_conn_channel(fixture->conn, fake_conn_channels(fixture->conn) - 1));
}

static void finish(struct fixture *fixture)
{
    assert_true(fence_run(fixture->fence));
    assert_non_null(strstr(fake_pg_asked(fixture->pg), "mtc.term_begun"));
    fake_pg_answer(fixture->pg, "");
    assert_false(fence_run(fixture->fence));
}

static void every_earlier_term_is_fenced_off_before_this_one_opens(void **state)
{
    struct fixture *fixture = *state;
    assert_false(fence_run(fixture->fence)); /* no channel */
    open_publisher(fixture);
    assert_true(fence_run(fixture->fence));
    give_term(fixture, "7", "4");
    assert_string_equal(calls(fixture),
                        "delete mtc.relay.5, delete mtc.relay.6, "
                        "declare mtc.relay.7, bind mtc.relay.7 to mtc.partitions, ");
    assert_false(fence_run(fixture->fence)); /* the broker has not said so yet */
    assert_string_equal(fixture->open, "");
    int idle = fixture->idle;
    fake_answer(fixture->conn);
    assert_int_equal(fixture->idle, idle + 1);
    assert_string_equal(fixture->open, "");
    finish(fixture);
    assert_string_equal(fixture->open, "mtc.relay.7");
}

static void every_channel_has_a_term_of_its_own(void **state)
{
    struct fixture *fixture = *state;
    open_publisher(fixture);
    assert_true(fence_run(fixture->fence));
    give_term(fixture, "1", "0");
    fake_answer(fixture->conn);
    finish(fixture);
    publisher_on_conn_down(fixture->publisher);
    assert_false(fence_run(fixture->fence));
    open_publisher(fixture);
    assert_true(fence_run(fixture->fence));
    give_term(fixture, "2", "0");
    assert_string_equal(calls(fixture), "delete mtc.relay.1, declare mtc.relay.2, "
                                        "bind mtc.relay.2 to mtc.partitions, ");
    fake_answer(fixture->conn);
    finish(fixture);
    assert_string_equal(fixture->open, "mtc.relay.2");
}

/* A broker that refuses the exchange for a day must not use a number up every few seconds. */
static void a_term_nothing_was_published_in_serves_the_next_channel(void **state)
{
    struct fixture *fixture = *state;
    open_publisher(fixture);
    assert_true(fence_run(fixture->fence));
    publisher_on_conn_down(fixture->publisher); /* before the number came */
    give_term(fixture, "9", "8");
    assert_string_equal(calls(fixture), "");
    open_publisher(fixture);
    assert_false(fence_run(fixture->fence));
    assert_string_equal(calls(fixture),
                        "declare mtc.relay.9, bind mtc.relay.9 to mtc.partitions, ");
    publisher_on_conn_down(fixture->publisher); /* before the broker has answered */
    open_publisher(fixture);
    assert_false(fence_run(fixture->fence));
    fake_answer(fixture->conn);
    finish(fixture);
    assert_string_equal(fixture->open, "mtc.relay.9");
}

/* It would answer no call, and the connection would be given up for that. */
static void a_blocked_broker_is_asked_nothing(void **state)
{
    struct fixture *fixture = *state;
    open_publisher(fixture);
    fake_conn_block(fixture->conn, true);
    assert_false(fence_run(fixture->fence));
    fake_conn_block(fixture->conn, false);
    assert_true(fence_run(fixture->fence));
}

/* What the broker says to a term of the lost session opens nothing; nor is that term used. */
static void a_lost_session_takes_its_term_along(void **state)
{
    struct fixture *fixture = *state;
    open_publisher(fixture);
    assert_true(fence_run(fixture->fence));
    give_term(fixture, "3", "2");
    fake_pg_down(fixture->pg, "gone");
    fake_pg_up(fixture->pg);
    fake_pg_answer(fixture->pg, "t");
    assert_true(fence_run(fixture->fence));
    give_term(fixture, "5", "2"); /* somebody else had the fourth */
    assert_non_null(strstr(calls(fixture), "delete mtc.relay.3, delete mtc.relay.4, "));
    fake_answer(fixture->conn); /* both */
    finish(fixture);
    assert_string_equal(fixture->open, "mtc.relay.5");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_earlier_term_is_fenced_off_before_this_one_opens),
        TEST(every_channel_has_a_term_of_its_own),
        TEST(a_term_nothing_was_published_in_serves_the_next_channel),
        TEST(a_blocked_broker_is_asked_nothing),
        TEST(a_lost_session_takes_its_term_along),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
