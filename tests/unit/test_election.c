/* test_election.c - suite/election: who is active, who stands by, and who is heard */
#include "unit.h"
#include "fake_pg.h"
#include "suite/election.h"

#include <stdio.h>
#include <string.h>

struct fixture {
    struct service service;
    struct config config;
    struct election *election;
    struct pg_session *pg;
    char story[256];
};

static void add(struct fixture *fixture, const char *word)
{
    size_t len = strlen(fixture->story);
    snprintf(fixture->story + len, sizeof fixture->story - len, "%s", word);
}

static void on_elected(void *arg)
{
    add(arg, "elected ");
}

static void on_refused(void *arg)
{
    add(arg, "refused ");
}

static void on_lost(bool was_active, const char *reason, void *arg)
{
    add(arg, was_active ? "lost active:" : "lost:");
    add(arg, reason);
    add(arg, " ");
}

static void on_idle(void *arg)
{
    struct fixture *fixture = arg;
    add(fixture, "idle ");
    loop_stop(fixture->service.loop);
}

static void on_notify(const char *channel, const char *payload, void *arg)
{
    (void)payload;
    add(arg, channel);
    add(arg, " ");
}

static int set_up(void **state)
{
    static const struct election_settings settings = {
        .lock = ELECTION_SCHEDULER, .session_sql = "SET jit = off", .standby_poll_ms = 1};
    static const struct election_events events = {.on_elected = on_elected,
                                                  .on_refused = on_refused,
                                                  .on_lost = on_lost,
                                                  .on_idle = on_idle,
                                                  .on_notify = on_notify};
    static struct fixture fixture;
    static char conninfo[] = "dbname=x", none[] = "";
    char error[100];
    memset(&fixture, 0, sizeof fixture);
    fixture.config.postgres_conninfo = conninfo;
    fixture.config.postgres_password_file = none;
    fixture.service.config = &fixture.config;
    fixture.service.connection_name = "test";
    fixture.service.loop = loop_new();
    fixture.election = election_new(&fixture.service, &settings, &events, &fixture, error,
                                    sizeof error);
    assert_non_null(fixture.election);
    fixture.pg = fake_pg();
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    election_free(fixture->election);
    loop_free(fixture->service.loop);
    return 0;
}

static void elect(struct fixture *fixture)
{
    fake_pg_up(fixture->pg);
    fake_pg_answer(fixture->pg, "t");
}

static void whoever_gets_the_lock_is_active(void **state)
{
    struct fixture *fixture = *state;
    assert_string_equal(fake_pg_session_sql(fixture->pg),
                        "SET idle_session_timeout = '4s'; SET tcp_user_timeout = '10s'; "
                        "SET jit = off");
    assert_false(election_is_connected(fixture->election));
    fake_pg_up(fixture->pg);
    assert_string_equal(fake_pg_asked(fixture->pg), "SELECT pg_try_advisory_lock(7173219, 3)");
    assert_true(election_is_connected(fixture->election));
    assert_false(election_is_active(fixture->election));
    fake_pg_answer(fixture->pg, "t");
    assert_true(election_is_active(fixture->election));
    assert_true(election_is_idle(fixture->election));
    assert_string_equal(fixture->story, "elected ");
}

static void stop_when_asked(void *arg)
{
    struct fixture *fixture = arg;
    if (*fake_pg_asked(fixture->pg))
        loop_stop(fixture->service.loop);
}

/* Turns the loop until the election has asked PostgreSQL something by itself. */
static void until_it_asks(struct fixture *fixture)
{
    struct timer *watch = timer_new(fixture->service.loop, stop_when_asked, fixture);
    timer_every(watch, 1);
    loop_run(fixture->service.loop);
    timer_free(watch);
}

static void a_standby_asks_again(void **state)
{
    struct fixture *fixture = *state;
    fake_pg_up(fixture->pg);
    fake_pg_answer(fixture->pg, "f");
    assert_string_equal(fixture->story, "refused ");
    until_it_asks(fixture);
    fake_pg_answer(fixture->pg, "t");
    assert_string_equal(fixture->story, "refused elected ");
}

static void a_standby_that_withdraws_asks_no_more(void **state)
{
    struct fixture *fixture = *state;
    fake_pg_up(fixture->pg);
    fake_pg_answer(fixture->pg, "f");
    election_withdraw(fixture->election);
    loop_run(fixture->service.loop); /* ends when nothing is left that could happen */
    assert_string_equal(fake_pg_asked(fixture->pg), "");
}

static void a_silent_active_gives_a_sign_of_life(void **state)
{
    struct fixture *fixture = *state;
    elect(fixture);
    until_it_asks(fixture);
    assert_string_equal(fake_pg_asked(fixture->pg), "SELECT 1");
    assert_false(election_is_idle(fixture->election));
    fake_pg_answer(fixture->pg, "1");
    assert_string_equal(fixture->story, "elected idle ");
}

static void the_lock_goes_with_the_session(void **state)
{
    struct fixture *fixture = *state;
    elect(fixture);
    fake_pg_down(fixture->pg, "gone");
    assert_false(election_is_active(fixture->election));
    assert_string_equal(fixture->story, "elected lost active:gone ");
    fake_pg_up(fixture->pg);
    fake_pg_down(fixture->pg, "again");
    assert_string_equal(fixture->story, "elected lost active:gone lost:again ");
}

static void an_error_gives_the_session_up(void **state)
{
    struct fixture *fixture = *state;
    fake_pg_up(fixture->pg);
    fake_pg_refuse(fixture->pg, "42501", "permission denied");
    assert_string_equal(fake_pg_failed(fixture->pg), "permission denied");
    assert_false(election_is_active(fixture->election));
}

static void notifications_pass(void **state)
{
    struct fixture *fixture = *state;
    elect(fixture);
    fake_pg_notify(fixture->pg, "mtc_outbox");
    assert_string_equal(fixture->story, "elected mtc_outbox ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(whoever_gets_the_lock_is_active),
        TEST(a_standby_asks_again),
        TEST(a_standby_that_withdraws_asks_no_more),
        TEST(a_silent_active_gives_a_sign_of_life),
        TEST(the_lock_goes_with_the_session),
        TEST(an_error_gives_the_session_up),
        TEST(notifications_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
