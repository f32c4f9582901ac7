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
    bool found, more; /* by the last step */
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

static void on_stepped(bool found, bool more, void *arg)
{
    struct fixture *fixture = arg;
    fixture->found = found;
    fixture->more = more;
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

#define COLUMNS 13 /* of mtc.relay_step(), and whether the row was lost */

/* The answer to a step: the rows first .. first + count - 1, of this machine, lost or not. */
static void answer_as(struct fixture *fixture, int first, int count, const char *machine,
                      const char *lost)
{
    const char *const kinds[COLUMNS] = {NULL,
                                        "0193f6a2-7c11-7d41-8f3b-2c5e9d7a1b44",
                                        "setup",
                                        machine,
                                        "setup.started",
                                        "/api/ext/setup",
                                        "{}",
                                        NULL,
                                        NULL,
                                        "1766923953",
                                        "1766923953000000",
                                        "f",
                                        lost};
    const char *cells[8 * COLUMNS] = {NULL};
    char ids[8][12];
    for (int row = 0; row < count; row++) {
        memcpy(&cells[(size_t)row * COLUMNS], kinds, sizeof kinds);
        snprintf(ids[row], sizeof ids[row], "%d", first + row);
        cells[(size_t)row * COLUMNS] = ids[row];
    }
    fake_pg_answer_rows(fixture->pg, count, COLUMNS, cells);
}

static void answer_of(struct fixture *fixture, int first, int count, const char *machine)
{
    answer_as(fixture, first, count, machine, "f");
}

static void answer(struct fixture *fixture, int first, int count)
{
    answer_of(fixture, first, count, "SR-26");
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

static void what_the_broker_lost_comes_again_as_a_repeat(void **state)
{
    struct fixture *fixture = *state;
    transit_step(fixture->transit, 10);
    answer_as(fixture, 1, 3, "SR-26", "t");
    expect_sent(fixture, 3, 3);
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
    assert_false(fixture->found);
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
    assert_false(fixture->found);
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

static bool watch(struct fixture *fixture, int64_t from, int64_t until)
{
    bool stopped = false;
    for (int64_t now = from; now <= until; now += 1000)
        stopped |= transit_watch(fixture->transit, now);
    return stopped;
}

/* SR-26 and SR-25 are of different partitions. */
static void a_partition_that_confirms_nothing_stops_alone(void **state)
{
    struct fixture *fixture = *state;
    struct amqp_chan *chan = fake_conn_channel(fixture->conn, 0);
    int64_t now = mono_ms();
    transit_step(fixture->transit, 10);
    assert_string_equal(fake_pg_value(fixture->pg, 4), "{}");
    answer_of(fixture, 1, 2, "SR-26");
    assert_false(watch(fixture, now, now + 5000));
    transit_step(fixture->transit, 10);
    answer_of(fixture, 3, 1, "SR-25");
    fake_confirm(chan, 3, false, true);
    assert_true(watch(fixture, now + 6000, now + 12000));
    assert_int_equal((int)fixture->metrics.stopped_partitions->value, 1);
    assert_string_equal(fake_conn_failed(fixture->conn), ""); /* something was confirmed */
    transit_step(fixture->transit, 10);
    assert_string_equal(fake_pg_value(fixture->pg, 0), "{3}");
    assert_string_equal(fake_pg_value(fixture->pg, 1), "{1,2}");
    assert_string_equal(fake_pg_value(fixture->pg, 4), "{\"SR-26\"}");
    answer_of(fixture, 5, 1, "SR-25"); /* the fourth is of the machine that is held */
    expect_sent(fixture, 4, 0);
    fake_confirm(chan, 4, false, true);
    transit_step(fixture->transit, 0);
    answer(fixture, 0, 0);
    assert_true(transit_is_done(fixture->transit)); /* a drain does not wait for it */
    fake_confirm(chan, 1, false, true);
    assert_int_equal((int)fixture->metrics.stopped_partitions->value, 0);
    assert_false(transit_is_done(fixture->transit));
    transit_step(fixture->transit, 10);
    assert_string_equal(fake_pg_value(fixture->pg, 4), "{}");
    answer_of(fixture, 4, 1, "SR-26");
    expect_sent(fixture, 5, 0);
}

/* A row that was read and must wait is no repeat later; those behind it of its machine wait too. */
static void a_row_that_must_wait_is_read_again(void **state)
{
    struct fixture *fixture = *state;
    transit_step(fixture->transit, 10);
    answer_of(fixture, 1, 1, "SR-26");
    assert_true(watch(fixture, mono_ms(), mono_ms() + 12000));
    transit_step(fixture->transit, 3);
    answer_of(fixture, 2, 3, "SR-26"); /* read before it was stopped */
    assert_false(fixture->found);
    assert_true(fixture->more);
    expect_sent(fixture, 1, 0);
    fake_confirm(fake_conn_channel(fixture->conn, 0), 1, false, true);
    transit_step(fixture->transit, 10);
    answer_of(fixture, 2, 3, "SR-26");
    expect_sent(fixture, 4, 0);
}

static void a_broker_that_confirms_nothing_at_all_is_given_up(void **state)
{
    struct fixture *fixture = *state;
    int64_t now = mono_ms();
    watch(fixture, now, now + 60000); /* nothing waits */
    transit_step(fixture->transit, 10);
    answer(fixture, 1, 2);
    fake_conn_block(fixture->conn, true);
    watch(fixture, now + 61000, now + 120000);
    assert_int_equal((int)fixture->metrics.stopped_partitions->value, 0);
    fake_conn_block(fixture->conn, false);
    watch(fixture, now + 121000, now + 129000);
    assert_string_equal(fake_conn_failed(fixture->conn), "");
    watch(fixture, now + 130000, now + 130000);
    assert_string_equal(fake_conn_failed(fixture->conn), "the broker confirms nothing");
}

/* Confirms came, and wait to be read. */
static void a_process_that_was_stopped_blames_nobody(void **state)
{
    struct fixture *fixture = *state;
    int64_t now = mono_ms();
    watch(fixture, now, now);
    transit_step(fixture->transit, 10);
    answer(fixture, 1, 2);
    watch(fixture, now + 60000, now + 69000);
    assert_int_equal((int)fixture->metrics.stopped_partitions->value, 0);
    assert_string_equal(fake_conn_failed(fixture->conn), "");
    watch(fixture, now + 70000, now + 70000);
    assert_int_equal((int)fixture->metrics.stopped_partitions->value, 1);
}

static void reads_are_bounded_in_bytes(void **state)
{
    struct fixture *fixture = *state;
    transit_step(fixture->transit, 10);
    assert_string_equal(fake_pg_value(fixture->pg, 3), "16777216"); /* of 64 MiB */
    answer(fixture, 1, 2);
    assert_int_equal((int)fixture->metrics.unconfirmed_bytes->value, 2 * (2 + 1000));
    fake_confirm(fake_conn_channel(fixture->conn, 0), 2, true, true);
    assert_int_equal((int)fixture->metrics.unconfirmed_bytes->value, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_unconfirmed_comes_again_as_a_repeat),
        TEST(what_the_broker_lost_comes_again_as_a_repeat),
        TEST(a_loss_under_a_read_forgets_no_repeat),
        TEST(a_channel_lost_and_back_under_a_read_keeps_the_order),
        TEST(once_all_is_read_again_nothing_is_a_repeat),
        TEST(a_row_that_cant_be_read_is_found_and_set_aside),
        TEST(marks_of_a_refused_step_are_made_again),
        TEST(no_row_is_blamed_without_a_reason),
        TEST(the_oldest_that_waits_is_known_throughout),
        TEST(each_row_counts_once_when_it_is_confirmed),
        TEST(a_partition_that_confirms_nothing_stops_alone),
        TEST(a_row_that_must_wait_is_read_again),
        TEST(a_broker_that_confirms_nothing_at_all_is_given_up),
        TEST(a_process_that_was_stopped_blames_nobody),
        TEST(reads_are_bounded_in_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
