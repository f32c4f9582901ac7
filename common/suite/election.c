/* election.c - at most one active process of a kind per database; see election.h */
#include "suite/election.h"
#include "base/clock.h"
#include "base/timer.h"
#include "base/xalloc.h"
#include "suite/settings.h"

#include <stdio.h>
#include <stdlib.h>

#define SILENCE_LIMIT   "4s"
#define BLOCKED_LIMIT   "10s" /* without a byte taken */
#define SIGN_OF_LIFE_MS 1500  /* well within the limit, should the loop be held up for a while */

enum election_state { OFFLINE, STANDBY, ACTIVE };

struct election {
    struct election_settings settings;
    struct election_events events;
    void *arg;
    struct pg_session *pg;
    char *session_sql;
    struct timer *timer; /* STANDBY: the next attempt; ACTIVE: the next sign of life */
    enum election_state state;
    int64_t last_ms; /* when the last statement was sent */
    bool withdrawn;
};

static void ask(struct election *election, const char *sql, int count, const char *const *values,
                pg_done done, void *arg)
{
    election->last_ms = mono_ms();
    pg_session_query(election->pg, sql, count, values, done, arg);
}

/* --- the lock --- */

static void on_lock(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct election *election = arg;
    if (error) {
        pg_session_fail(election->pg, error->text);
        return;
    }
    if (PQgetvalue(rows, 0, 0)[0] == 't') {
        election->state = ACTIVE;
        timer_in(election->timer, SIGN_OF_LIFE_MS);
        election->events.on_elected(election->arg);
        return;
    }
    timer_in(election->timer, election->settings.standby_poll_ms);
    if (election->events.on_refused)
        election->events.on_refused(election->arg);
}

static void try_lock(struct election *election)
{
    char sql[80];
    if (election->withdrawn || !pg_session_is_idle(election->pg))
        return;
    snprintf(sql, sizeof sql, "SELECT pg_try_advisory_lock(%d, %d)", ELECTION_LOCK_KEY,
             (int)election->settings.lock);
    ask(election, sql, 0, NULL, on_lock, election);
}

/* --- the sign of life --- */

static void on_alive(const PGresult *rows, const struct pg_error *error, void *arg)
{
    struct election *election = arg;
    (void)rows;
    if (error)
        pg_session_fail(election->pg, error->text);
    else
        election->events.on_idle(election->arg);
}

/* A statement under way needs no sign: the server counts idle time only. */
static void keep_alive(struct election *election)
{
    int64_t silent_ms = mono_ms() - election->last_ms;
    if (silent_ms < SIGN_OF_LIFE_MS) {
        timer_in(election->timer, SIGN_OF_LIFE_MS - silent_ms);
        return;
    }
    timer_in(election->timer, SIGN_OF_LIFE_MS);
    if (pg_session_is_idle(election->pg))
        ask(election, "SELECT 1", 0, NULL, on_alive, election);
}

static void on_timer(void *arg)
{
    struct election *election = arg;
    if (election->state == ACTIVE)
        keep_alive(election);
    else if (election->state == STANDBY)
        try_lock(election);
}

/* --- the session --- */

static void on_up(void *arg)
{
    struct election *election = arg;
    election->state = STANDBY;
    try_lock(election);
}

static void on_down(const char *reason, void *arg)
{
    struct election *election = arg;
    bool was_active = election->state == ACTIVE;
    election->state = OFFLINE;
    timer_cancel(election->timer);
    election->events.on_lost(was_active, reason, election->arg);
}

static void on_notify(const char *channel, const char *payload, void *arg)
{
    struct election *election = arg;
    if (election->events.on_notify)
        election->events.on_notify(channel, payload, election->arg);
}

struct election *election_new(const struct service *service,
                              const struct election_settings *settings,
                              const struct election_events *events, void *arg, char *error,
                              size_t error_size)
{
    static const struct pg_session_events pg_events = {
        .on_up = on_up, .on_down = on_down, .on_notify = on_notify};
    struct election *election = xcalloc(1, sizeof *election);
    election->settings = *settings;
    election->events = *events;
    election->arg = arg;
    election->timer = timer_new(service->loop, on_timer, election);
    /* The second is for a process that stops in the middle of an answer: the session is not idle,
     * but blocked in sending. Through a Unix socket it has no effect. */
    election->session_sql = xasprintf("SET idle_session_timeout = '" SILENCE_LIMIT "'; "
                                      "SET tcp_user_timeout = '" BLOCKED_LIMIT "'; %s",
                                      settings->session_sql);
    struct pg_session_settings pg = settings_pg(service->config, service->connection_name,
                                                election->session_sql);
    election->pg = pg_session_new(service->loop, service->resolver, &pg, &pg_events, election,
                                  error, error_size);
    if (!election->pg) {
        election_free(election);
        return NULL;
    }
    return election;
}

void election_free(struct election *election)
{
    if (!election)
        return;
    pg_session_free(election->pg);
    timer_free(election->timer);
    free(election->session_sql);
    free(election);
}

bool election_is_connected(const struct election *election)
{
    return election->state != OFFLINE;
}

bool election_is_active(const struct election *election)
{
    return election->state == ACTIVE;
}

bool election_is_idle(const struct election *election)
{
    return election->state == ACTIVE && pg_session_is_idle(election->pg);
}

void election_query(struct election *election, const char *sql, int count,
                    const char *const *values, pg_done done, void *arg)
{
    if (election->state != ACTIVE)
        abort(); /* our bug: who is not elected must not write */
    ask(election, sql, count, values, done, arg);
}

void election_fail(struct election *election, const char *reason)
{
    pg_session_fail(election->pg, reason);
}

void election_withdraw(struct election *election)
{
    election->withdrawn = true;
}
