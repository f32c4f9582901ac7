/* pg_session.c - a PostgreSQL session that never stops the loop; see pg_session.h */
#include "net/pg_session.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/timer.h"
#include "base/xalloc.h"
#include "net/pg_address.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATEMENT_LIMIT_MS 30000

enum pg_state { PG_WAITING, PG_RESOLVING, PG_CONNECTING, PG_PREPARING, PG_UP };

struct pg_session {
    struct loop *loop;
    struct resolver *resolver;
    struct pg_session_settings settings;
    struct pg_session_events events;
    void *arg;
    enum pg_state state;
    struct pg_address *address;
    PGconn *pg;
    struct event *socket; /* for reading, and for writing while libpq wants it */
    struct timer *timer, *failed;
    struct backoff backoff;
    char reason[256];
    bool failing;
    bool under_way;
    PGresult *result; /* of the statement under way, so far */
    pg_done done;
    void *done_arg;
};

static void start_attempt(struct pg_session *session);
static void on_socket(evutil_socket_t fd, short what, void *arg);

static void arm(struct pg_session *session, int64_t ms)
{
    timer_in(session->timer, ms);
}

void pg_session_fail(struct pg_session *session, const char *reason)
{
    if (session->failing || session->state == PG_WAITING)
        return;
    session->failing = true;
    snprintf(session->reason, sizeof session->reason, "%s", reason);
    session->reason[strcspn(session->reason, "\n")] = '\0';
    timer_soon(session->failed);
}

static void drop_session(struct pg_session *session)
{
    pg_address_cancel(session->address);
    if (session->socket)
        event_free(session->socket);
    session->socket = NULL;
    if (session->pg)
        PQfinish(session->pg);
    session->pg = NULL;
    PQclear(session->result);
    session->result = NULL;
    session->under_way = false;
}

static void on_failed(void *arg)
{
    struct pg_session *session = arg;
    bool was_up = session->state == PG_UP;
    session->failing = false;
    drop_session(session);
    session->state = PG_WAITING;
    int64_t pause = backoff_next_ms(&session->backoff);
    log_warn(was_up ? "lost PostgreSQL" : "cannot reach PostgreSQL",
             LF_S("reason", session->reason), LF_I("retry_ms", pause));
    arm(session, pause);
    if (was_up)
        session->events.on_down(session->reason, session->arg);
}

/* Watches the socket libpq uses now (it may change between steps) for what it wants. */
static void watch(struct pg_session *session, short what)
{
    int fd = PQsocket(session->pg);
    if (session->socket && (event_get_fd(session->socket) != fd ||
                            event_get_events(session->socket) != (what | EV_PERSIST))) {
        event_free(session->socket);
        session->socket = NULL;
    }
    if (!session->socket) {
        session->socket = event_new(loop_events(session->loop), fd, (short)(what | EV_PERSIST),
                                    on_socket, session);
        if (!session->socket)
            out_of_memory(0);
        event_add(session->socket, NULL);
    }
}

static void flush_output(struct pg_session *session)
{
    int left = PQflush(session->pg);
    if (left < 0)
        pg_session_fail(session, PQerrorMessage(session->pg));
    else
        watch(session, left ? EV_READ | EV_WRITE : EV_READ);
}

static void send_query(struct pg_session *session, const char *sql, int count,
                       const char *const *values)
{
    session->under_way = true;
    arm(session, STATEMENT_LIMIT_MS);
    /* Several statements go only through the simple protocol; parameters only through the extended
     * one. */
    int ok = count ? PQsendQueryParams(session->pg, sql, count, NULL, values, NULL, NULL, 0)
                   : PQsendQuery(session->pg, sql);
    if (!ok)
        pg_session_fail(session, PQerrorMessage(session->pg));
    else
        flush_output(session);
}

static void become_up(struct pg_session *session)
{
    session->state = PG_UP;
    backoff_reset(&session->backoff);
    log_info("connected to PostgreSQL", LF_S("database", PQdb(session->pg)),
             LF_I("version", PQserverVersion(session->pg)));
    session->events.on_up(session->arg);
}

/* What the server says on its own; a lost session is reported by whoever notices it. */
static void on_notice(void *arg, const PGresult *result)
{
    (void)arg;
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    log_debug("PostgreSQL says", LF_S("notice", text ? text : ""));
}

static void on_connected(struct pg_session *session)
{
    timer_cancel(session->timer);
    PQsetNoticeReceiver(session->pg, on_notice, NULL);
    if (PQsetnonblocking(session->pg, 1) != 0) {
        pg_session_fail(session, PQerrorMessage(session->pg));
        return;
    }
    watch(session, EV_READ);
    if (!*session->settings.session_sql) {
        become_up(session);
        return;
    }
    session->state = PG_PREPARING;
    send_query(session, session->settings.session_sql, 0, NULL);
}

static void poll_connect(struct pg_session *session)
{
    /* libpq may close the socket and open another under the same number: forget it while it is
     * still there. */
    if (session->socket)
        event_free(session->socket);
    session->socket = NULL;
    switch (PQconnectPoll(session->pg)) {
    case PGRES_POLLING_OK:
        on_connected(session);
        break;
    case PGRES_POLLING_READING:
        watch(session, EV_READ);
        break;
    case PGRES_POLLING_WRITING:
        watch(session, EV_WRITE);
        break;
    default:
        pg_session_fail(session, PQerrorMessage(session->pg));
    }
}

/* The last character may have been cut in two: a header or a document wants whole ones. */
static void end_at_character(char *text)
{
    size_t len = strlen(text), at = len;
    while (at > 0 && len - at < 3 && ((unsigned char)text[at - 1] & 0xc0) == 0x80)
        at--;
    unsigned char lead = at > 0 ? (unsigned char)text[at - 1] : 0;
    size_t wanted = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (wanted > 1 && len - at + 1 < wanted)
        text[at - 1] = '\0';
}

static void tell_owner(struct pg_session *session, const PGresult *result, ExecStatusType status)
{
    struct pg_error error;
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        session->done(result, NULL, session->done_arg);
        return;
    }
    snprintf(error.sqlstate, sizeof error.sqlstate, "%s", sqlstate ? sqlstate : "");
    snprintf(error.text, sizeof error.text, "%s", PQresultErrorMessage(result));
    end_at_character(error.text);
    session->done(NULL, &error, session->done_arg);
}

/* The last result of the statement is in: say so. */
static void on_result(struct pg_session *session, PGresult *result)
{
    timer_cancel(session->timer);
    session->under_way = false;
    ExecStatusType status = PQresultStatus(result);
    if (session->state == PG_PREPARING) {
        if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
            become_up(session);
        else
            pg_session_fail(session, PQresultErrorMessage(result));
    } else {
        tell_owner(session, result, status);
    }
    PQclear(result);
}

/* Of several results of a statement the first failure, else the last, is the answer. */
static void keep_result(struct pg_session *session, PGresult *result)
{
    ExecStatusType status = session->result ? PQresultStatus(session->result) : PGRES_COMMAND_OK;
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        PQclear(result);
        return;
    }
    PQclear(session->result);
    session->result = result;
}

/* A result and the end of its statement may come in different reads, so what was got so far stays
 * in the session. */
static void take_results(struct pg_session *session)
{
    while (session->under_way && !session->failing && !PQisBusy(session->pg)) {
        PGresult *result = PQgetResult(session->pg);
        if (result) {
            keep_result(session, result);
        } else if (PQstatus(session->pg) == CONNECTION_BAD) {
            pg_session_fail(session, PQerrorMessage(session->pg));
        } else if (!session->result) {
            pg_session_fail(session, "a statement without a result");
        } else {
            PGresult *whole = session->result;
            session->result = NULL;
            on_result(session, whole);
        }
    }
}

static void take_notifies(struct pg_session *session)
{
    PGnotify *notify;
    while (session->state == PG_UP && !session->failing && (notify = PQnotifies(session->pg))) {
        if (session->events.on_notify)
            session->events.on_notify(notify->relname, notify->extra, session->arg);
        PQfreemem(notify);
    }
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    struct pg_session *session = arg;
    if (session->failing)
        return;
    if (session->state == PG_CONNECTING) {
        poll_connect(session);
        return;
    }
    if ((what & EV_WRITE) && session->state >= PG_PREPARING)
        flush_output(session);
    if (session->failing || !(what & EV_READ))
        return;
    if (!PQconsumeInput(session->pg)) {
        pg_session_fail(session, PQerrorMessage(session->pg));
        return;
    }
    take_results(session);
    if (!session->failing)
        take_notifies(session);
}

static void on_timer(void *arg)
{
    struct pg_session *session = arg;
    if (session->state == PG_WAITING)
        start_attempt(session);
    else
        pg_session_fail(session, session->state == PG_UP ? "no answer to a statement"
                                                         : "no connection in time");
}

/* --- connecting --- */

static void on_resolved(const char *error, void *arg)
{
    struct pg_session *session = arg;
    struct pg_parameters parameters;
    char problem[256], *password = NULL;
    if (error) {
        pg_session_fail(session, error);
        return;
    }
    if (*session->settings.password_file) {
        password = secret_read(session->settings.password_file, problem, sizeof problem);
        if (!password) {
            pg_session_fail(session, problem);
            return;
        }
    }
    pg_address_parameters(session->address, password, session->settings.application_name,
                          &parameters);
    session->state = PG_CONNECTING;
    session->pg = PQconnectStartParams(parameters.keys, parameters.values, 0);
    free(password);
    if (!session->pg)
        out_of_memory(0);
    if (PQstatus(session->pg) == CONNECTION_BAD)
        pg_session_fail(session, PQerrorMessage(session->pg));
    else
        watch(session, EV_WRITE);
}

static void start_attempt(struct pg_session *session)
{
    session->state = PG_RESOLVING;
    arm(session, session->settings.connect_timeout_ms);
    pg_address_resolve(session->address, session->resolver, on_resolved, session);
}

struct pg_session *pg_session_new(struct loop *loop, struct resolver *resolver,
                                  const struct pg_session_settings *settings,
                                  const struct pg_session_events *events, void *arg, char *error,
                                  size_t error_size)
{
    struct pg_session *session = xcalloc(1, sizeof *session);
    session->loop = loop;
    session->resolver = resolver;
    session->settings = *settings;
    session->events = *events;
    session->arg = arg;
    session->backoff = (struct backoff){.min_ms = 100, .max_ms = 3000};
    session->timer = timer_new(loop, on_timer, session);
    session->failed = timer_new(loop, on_failed, session);
    session->address = pg_address_new(settings->conninfo, error, error_size);
    if (!session->address) {
        pg_session_free(session);
        return NULL;
    }
    arm(session, 0);
    return session;
}

void pg_session_free(struct pg_session *session)
{
    if (!session)
        return;
    if (session->address)
        drop_session(session);
    timer_free(session->timer);
    timer_free(session->failed);
    pg_address_free(session->address);
    free(session);
}

bool pg_session_is_up(const struct pg_session *session)
{
    return session->state == PG_UP && !session->failing;
}

bool pg_session_is_idle(const struct pg_session *session)
{
    return pg_session_is_up(session) && !session->under_way;
}

void pg_session_query(struct pg_session *session, const char *sql, int count,
                      const char *const *values, pg_done done, void *arg)
{
    if (!pg_session_is_idle(session))
        abort(); /* our bug: see the header */
    session->done = done;
    session->done_arg = arg;
    send_query(session, sql, count, values);
}
