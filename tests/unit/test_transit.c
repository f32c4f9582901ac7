/* test_transit.c - producer/transit: what is read again is published as a repeat */
#include "unit.h"
#include "fake_amqp.h"
#include "fake_pg.h"
#include "transit.h"
#include "base/clock.h"

#include <stdio.h>
#include <string.h>

struct fixture {
    struct service service;
    struct config config;
    struct producer_metrics metrics;
    struct election *election;
    struct pg_session *pg;
    struct amqp_conn *conn;
    struct publisher *publisher;
    struct transit *transit;
    int published; /* by the last step */
};

static void on_elected(void *arg)
{
    (void)arg;
}

static void on_lost(bool was_active, const char *reason, void *arg)
{
    (void)was_active;
    (void)reason;
    (void)arg;
}

static void on_stepped(int asked, int count, void *arg)
{
    (void)asked;
    ((struct fixture *)arg)->published = count;
}

static void on_publisher_lost(void *arg)
{
    transit_on_publisher_lost(((struct fixture *)arg)->transit);
}

static void on_confirmed(uint64_t tag, bool multiple, void *arg)
{
    transit_on_confirmed(((struct fixture *)arg)->transit, tag, multiple);
}

static void open_publisher(struct fixture *fixture)
{
    publisher_open(fixture->publisher);
    transit_on_publisher_ready(fixture->transit, fixture->publisher, "mtc.relay.1");
}

static int set_up(void **state)
{
    static const struct election_settings settings = {
        .lock = ELECTION_RELAY, .session_sql = "", .standby_poll_ms = 1000};
    static const struct election_events events = {
        .on_elected = on_elected, .on_lost = on_lost, .on_idle = on_elected};
    static const struct publisher_events publisher_events = {.on_lost = on_publisher_lost,
                                                             .on_confirmed = on_confirmed};
    static struct fixture fixture;
    char error[200];
    memset(&fixture, 0, sizeof fixture);
    assert_true(config_load(&fixture.config, NULL, error, sizeof error));
    fixture.service.config = &fixture.config;
    fixture.service.connection_name = "test";
    fixture.service.loop = loop_new();
    fixture.service.metrics = metrics_new();
    producer_metrics_register(&fixture.metrics, fixture.service.metrics);
    fixture.election = election_new(&fixture.service, &settings, &events, &fixture, error,
                                    sizeof error);
    fixture.pg = fake_pg();
    fake_pg_up(fixture.pg);
    fake_pg_answer(fixture.pg, "t");
    fixture.transit = transit_new(fixture.election, &fixture.config, &fixture.metrics, on_stepped,
                                  &fixture);
    fixture.conn = fake_conn_new();
    fixture.publisher = publisher_new(fixture.conn, "an event", &publisher_events, &fixture);
    open_publisher(&fixture);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    fake_conn_free(fixture->conn);
    publisher_free(fixture->publisher);
    election_free(fixture->election);
    transit_free(fixture->transit);
    metrics_free(fixture->service.metrics);
    loop_free(fixture->service.loop);
    config_free(&fixture->config);
    return 0;
}

#define COLUMNS 12 /* of mtc.relay_step() */

/* The answer to a step: the rows first .. first + count - 1. */
static void answer(struct fixture *fixture, int first, int count)
{
    static const char *const kinds[COLUMNS] = {NULL,
                                               "0193f6a2-7c11-7d41-8f3b-2c5e9d7a1b44",
                                               "setup",
                                               "SR-26",
                                               "setup.started",
                                               "/api/ext/setup",
                                               "{}",
                                               NULL,
                                               NULL,
                                               "1766923953",
                                               "1766923953000000",
                                               "f"};
    const char *cells[8 * COLUMNS] = {NULL};
    char ids[8][12];
    for (int row = 0; row < count; row++) {
        memcpy(&cells[(size_t)row * COLUMNS], kinds, sizeof kinds);
        snprintf(ids[row], sizeof ids[row], "%d", first + row);
        cells[(size_t)row * COLUMNS] = ids[row];
    }
    fake_pg_answer_rows(fixture->pg, count, COLUMNS, cells);
}

/* How many messages went out on the channel opened last, and how many of them as repeats. */
static void expect_sent(struct fixture *fixture, int wanted, int wanted_repeats)
{
    const struct fake_message *messages;
    struct amqp_chan *chan = fake_conn_channel(fixture->conn,
                                               fake_conn_channels(fixture->conn) - 1);
    int count = fake_published(chan, &messages), repeats = 0;
    for (int i = 0; i < count; i++)
        repeats += messages[i].repeat;
    assert_int_equal(count, wanted);
    assert_int_equal(repeats, wanted_repeats);
}

static void what_was_unconfirmed_comes_again_as_a_repeat(void **state)
{
    struct fixture *fixture = *state;
    transit_step(fixture->transit, 10);
    answer(fixture, 1, 3);
    expect_sent(fixture, 3, 0);
    publisher_on_conn_down(fixture->publisher);
    open_publisher(fixture);
    transit_step(fixture->transit, 10);
    answer(fixture, 1, 4); /* the fourth has never been out */
    expect_sent(fixture, 4, 3);
}

/* The answer is thrown away, and must not take what is known of repeats along. */
static void a_loss_under_a_read_forgets_no_repeat(void **state)
{
    struct fixture *fixture = *state;
    transit_step(fixture->transit, 10);
    answer(fixture, 1, 3);
    transit_step(fixture->transit, 10);
    publisher_on_conn_down(fixture->publisher);
    answer(fixture, 4, 2);
    assert_int_equal(fixture->published, 0);
    open_publisher(fixture);
    transit_step(fixture->transit, 10);
    answer(fixture, 1, 5);
    expect_sent(fixture, 5, 3);
}

/* Rows 1 to 3 must not come after 4 and 5, which were read while they were on their way. */
static void a_channel_lost_and_back_under_a_read_keeps_the_order(void **state)
{
    struct fixture *fixture = *state;
    transit_step(fixture->transit, 10);
    answer(fixture, 1, 3);
    transit_step(fixture->transit, 10);
    publisher_on_conn_down(fixture->publisher);
    open_publisher(fixture);
    answer(fixture, 4, 2);
    assert_int_equal(fixture->published, 0);
    expect_sent(fixture, 0, 0);
    transit_step(fixture->transit, 10);
    answer(fixture, 1, 5);
    expect_sent(fixture, 5, 3);
}

static void once_all_is_read_again_nothing_is_a_repeat(void **state)
{
    struct fixture *fixture = *state;
    transit_step(fixture->transit, 10);
    answer(fixture, 1, 1);
    publisher_on_conn_down(fixture->publisher);
    open_publisher(fixture);
    transit_step(fixture->transit, 10);
    answer(fixture, 1, 1);
    fake_confirm(fake_conn_channel(fixture->conn, 1), 1, false, true);
    transit_step(fixture->transit, 10);
    answer(fixture, 0, 0); /* marked, and nothing more is there */
    assert_true(transit_is_done(fixture->transit));
    transit_step(fixture->transit, 10);
    answer(fixture, 1, 1); /* as if it were another: ids don't come twice */
    expect_sent(fixture, 2, 1);
}

static void refuse(struct fixture *fixture)
{
    fake_pg_refuse(fixture->pg, "22P05", "no such character in UTF8");
}

/* One row of eight can't be read: it is found by halves, and all the others go out. */
static void a_row_that_cant_be_read_is_found_and_set_aside(void **state)
{
    struct fixture *fixture = *state;
    int asked = 8;
    transit_step(fixture->transit, asked);
    for (; asked > 1; asked /= 2) {
        refuse(fixture);
        assert_int_equal(transit_rows_wanted(fixture->transit), asked / 2);
        transit_step(fixture->transit, asked / 2);
    }
    refuse(fixture);
    assert_non_null(strstr(fake_pg_asked(fixture->pg), "mtc.set_aside"));
    fake_pg_answer(fixture->pg, "1");
    assert_string_equal(fake_pg_failed(fixture->pg), "");
    transit_step(fixture->transit, transit_rows_wanted(fixture->transit));
    answer(fixture, 1, 1);
    assert_int_equal(transit_rows_wanted(fixture->transit), 2); /* twice as many each time */
    transit_step(fixture->transit, 2);
    answer(fixture, 2, 2);
    expect_sent(fixture, 3, 0);
}

/* The refused step has marked nothing; the next one, which reads nothing, does. */
static void marks_of_a_refused_step_are_made_again(void **state)
{
    struct fixture *fixture = *state;
    transit_step(fixture->transit, 8);
    answer(fixture, 1, 2);
    fake_confirm(fake_conn_channel(fixture->conn, 0), 2, true, true);
    transit_step(fixture->transit, 8);
    refuse(fixture);
    assert_false(transit_is_done(fixture->transit));
    assert_int_equal(transit_rows_wanted(fixture->transit), 0);
    assert_int_equal(transit_mark_at(fixture->transit), 0);
    transit_step(fixture->transit, 0);
    answer(fixture, 0, 0);
    assert_true(transit_is_done(fixture->transit));
    assert_int_equal(transit_rows_wanted(fixture->transit), 4);
}

/* What can't be laid at a row's door is not: the session is given up, as for any other error. */
static void no_row_is_blamed_without_a_reason(void **state)
{
    struct fixture *fixture = *state;
    transit_step(fixture->transit, 1);
    refuse(fixture);
    fake_pg_answer_rows(fixture->pg, 1, 1, (const char *const[]){NULL});
    assert_non_null(strstr(fake_pg_failed(fixture->pg), "not a row's fault"));
}

#define CREATED_US 1766923953000000 /* of every row of answer() */

/* Known by the tick while it can't be read, by the row itself while it is on its way. */
static void the_oldest_that_waits_is_known_throughout(void **state)
{
    struct fixture *fixture = *state;
    struct transit *transit = fixture->transit;
    assert_int_equal(transit_oldest_us(transit), 0);
    transit_on_oldest_told(transit, 77);
    assert_int_equal(transit_oldest_us(transit), 77);
    transit_step(transit, 10);
    answer(fixture, 1, 2);
    assert_int_equal(transit_oldest_us(transit), CREATED_US);
    publisher_on_conn_down(fixture->publisher);
    assert_int_equal(transit_oldest_us(transit), CREATED_US);
    open_publisher(fixture);
    transit_step(transit, 10);
    answer(fixture, 1, 2);
    fake_confirm(fake_conn_channel(fixture->conn, 1), 2, true, true);
    transit_step(transit, 10);
    answer(fixture, 0, 0);
    assert_int_equal(transit_oldest_us(transit), 0);
    transit_on_oldest_told(transit, 77);
    transit_forget(transit);
    assert_int_equal(transit_oldest_us(transit), 0);
}

static void each_row_counts_once_when_it_is_confirmed(void **state)
{
    struct fixture *fixture = *state;
    const struct metric *seconds = fixture->metrics.publishing_seconds;
    transit_step(fixture->transit, 10);
    answer(fixture, 1, 3);
    assert_int_equal(seconds->count, 0);
    fake_confirm(fake_conn_channel(fixture->conn, 0), 2, true, true);
    fake_confirm(fake_conn_channel(fixture->conn, 0), 3, true, true);
    assert_int_equal(seconds->count, 3);
    double wanted = 3 * age_s(CREATED_US);
    assert_true(seconds->value <= wanted && seconds->value > wanted - 60);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_unconfirmed_comes_again_as_a_repeat),
        TEST(a_loss_under_a_read_forgets_no_repeat),
        TEST(a_channel_lost_and_back_under_a_read_keeps_the_order),
        TEST(once_all_is_read_again_nothing_is_a_repeat),
        TEST(a_row_that_cant_be_read_is_found_and_set_aside),
        TEST(marks_of_a_refused_step_are_made_again),
        TEST(no_row_is_blamed_without_a_reason),
        TEST(the_oldest_that_waits_is_known_throughout),
        TEST(each_row_counts_once_when_it_is_confirmed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
